"""A new key pair that waits: the first login that Bitbucket refuses with the old one puts it in use."""

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from social_bitbucket_server.django import integrations, key_rotation
from social_bitbucket_server.django.models import KeyPair
from tests.frameworks.django.conftest import Visitor, happenings, newest_event, paste_public_key

ACCEPTED = "SOCIAL_AUTH_BITBUCKET_SERVER_PENDING_KEY_ACCEPTED"


@pytest.fixture
def rotating(acme):
    """Acme's integration, with a new key pair that waits."""
    key_rotation.begin(acme)
    return acme


def states():
    return sorted(KeyPair.objects.values_list("state", "fingerprint"))


def request_tokens(sandbox):
    return [asked.oauth_parameters["oauth_nonce"] for asked in sandbox.requests.to("/request-token")]


def test_a_login_that_is_refused_with_the_old_key_tries_the_new_one_once_and_puts_it_in_use(
    rotating, bitbucket_sandbox, keys
):
    old, new = keys[0].public, keys[1].public
    paste_public_key(bitbucket_sandbox, rotating, new.pem)
    assert Visitor().log_in(rotating, bitbucket_sandbox).status_code == 303
    nonces = request_tokens(bitbucket_sandbox)
    assert len(nonces) == len(set(nonces)) == 2
    assert states() == [("active", new.fingerprint), ("retired", old.fingerprint)]
    assert KeyPair.objects.get(state="retired").sealed_private_key == ""
    assert happenings()[-4:] == ["key.retired", "key.promoted", "login.begin", "login.success"]

    assert Visitor().log_in(rotating, bitbucket_sandbox).status_code == 303
    assert len(request_tokens(bitbucket_sandbox)) == 3
    assert happenings().count("key.promoted") == 1


def test_while_bitbucket_has_the_old_key_the_new_one_is_not_tried(rotating, bitbucket_sandbox):
    assert Visitor().log_in(rotating, bitbucket_sandbox).status_code == 303
    assert len(request_tokens(bitbucket_sandbox)) == 1
    assert "key.promoted" not in happenings()


def test_a_login_under_way_while_bitbucket_gets_the_new_key_is_finished_with_it(rotating, bitbucket_sandbox, keys):
    visitors = [Visitor(), Visitor()]
    callbacks = [bitbucket_sandbox.authorize(visitor.begin(rotating)["Location"]) for visitor in visitors]
    paste_public_key(bitbucket_sandbox, rotating, keys[1].public.pem)
    answers = [visitor.open(callback) for visitor, callback in zip(visitors, callbacks, strict=True)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert happenings().count("key.promoted") == 1


def test_a_login_that_is_refused_with_both_keys_fails_and_changes_nothing(rotating, bitbucket_sandbox, keys):
    before = states()
    paste_public_key(bitbucket_sandbox, rotating, keys[2].public.pem)
    assert Visitor().begin(rotating).status_code == 503
    assert newest_event().problem == "signature_invalid"
    assert len(request_tokens(bitbucket_sandbox)) == 2
    assert states() == before


def test_a_new_key_that_cannot_be_opened_keeps_nobody_out_and_is_written_down(rotating, bitbucket_sandbox, caplog):
    KeyPair.objects.filter(state="pending").update(sealed_private_key="garbage")
    assert Visitor().log_in(rotating, bitbucket_sandbox).status_code == 303
    assert "key.decrypt_failed" in happenings()
    assert f"the pending private key of the integration {rotating.pk} cannot be opened; make another" in caplog.text


def test_of_two_logins_that_find_out_at_once_one_puts_the_new_key_in_use(rotating):
    found = integrations.find(rotating.pk)
    for _ in range(2):
        key_rotation.promote_after_a_login(found.successor)
    assert happenings()[-2:] == ["key.retired", "key.promoted"]
    assert happenings().count("key.promoted") == 1
    assert [state for state, _ in states()] == ["active", "retired"]


def test_a_login_looks_at_all_key_pairs_at_one_moment_so_that_none_is_missed(rotating):
    with CaptureQueriesContext(connection) as asked:
        integrations.find(rotating.pk)
    assert len([query for query in asked if "_keypair" in query["sql"]]) == 1


def test_a_key_pair_that_another_one_took_the_place_of_is_not_put_in_use(rotating):
    late = integrations.find(rotating.pk).successor
    key_rotation.begin(rotating)
    before = states()
    key_rotation.promote_after_a_login(late)
    assert states() == before


def test_an_application_that_keeps_the_integrations_itself_is_told_instead(rotating, bitbucket_sandbox, keys):
    told, before = [], states()
    paste_public_key(bitbucket_sandbox, rotating, keys[1].public.pem)
    with override_settings(**{ACCEPTED: told.append}):
        assert Visitor().begin(rotating).status_code == 303
    assert [integration.private_key.public.fingerprint for integration in told] == [keys[1].public.fingerprint]
    assert states() == before
