"""A new key pair under a new consumer key: a new application link beside the old one, which is removed later."""

import re
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from social_bitbucket_server.django import integrations, key_rotation
from social_bitbucket_server.django.models import ApplicationLink, KeyPair
from social_bitbucket_server.login import LIFETIME
from tests.capabilities import capability
from tests.frameworks.django.conftest import Visitor, happenings, login_page, paste_public_key

SETUP = "/admin/social_bitbucket_server/integration/{0.pk}/setup/"


@pytest.fixture
def old_link(acme, bitbucket_sandbox):
    (link,) = bitbucket_sandbox.links.all()
    return link


@pytest.fixture
def rotating(acme, old_link):
    """Acme's integration, with a new key pair that waits for a new link."""
    assert key_rotation.begin(acme, with_new_link=True)
    return acme


def make_new_link(sandbox, record):
    """Make the link from the new worksheet, as the Bitbucket admin does."""
    pair = record.pending_key_pair
    values = {entry.label: entry.value for step in integrations.worksheet_of(record, pair) for entry in step.entries}
    return sandbox.link(
        name=values["Application Name"],
        application_url=values["Application URL"],
        consumer_key=values["Consumer Key"],
        public_key=values["Public Key"],
    )


def states():
    return sorted(KeyPair.objects.values_list("state", flat=True))


def consumer_keys_since(sandbox, since):
    asked = [record for record in list(sandbox.requests)[since:] if record.path.endswith("/request-token")]
    return [record.oauth_parameters["oauth_consumer_key"] for record in asked]


def text_of(answer):
    return re.sub(r"\s+", " ", answer.content.decode())


@capability("new link")
def test_the_new_link_is_made_verified_and_used_and_the_old_one_removed(staff, acme, old_link, bitbucket_sandbox):
    def press(action, **fields):
        address = SETUP.format(acme)
        return staff.post(address.replace("/setup/", f"/{action}/"), form_at=address, **fields)

    assert press("new-key-pair", link="new").status_code == 303
    page = staff.open(SETUP.format(acme)).content.decode()
    value = dict(re.findall(r'<input id="new-([a-z-]+)" value="([^"]*)" readonly', page))
    public_key = re.search(r'<textarea id="new-public-key"[^>]*>([^<]+)<', page)[1]
    assert value["consumer-key"] != old_link.consumer.key
    assert Visitor().log_in(acme, bitbucket_sandbox).status_code == 303

    refused = press("verify-key-pair")
    assert refused.status_code == 422
    assert "Bitbucket does not have the new link yet." in text_of(refused)
    assert states() == ["active", "pending"]

    new_link = bitbucket_sandbox.link(
        name=value["application-name"],
        application_url=value["application-url"],
        consumer_key=value["consumer-key"],
        public_key=public_key,
    )
    assert Visitor().open(new_link.application_url)["Location"] == login_page(acme)
    assert Visitor().log_in(acme, bitbucket_sandbox).status_code == 303
    assert press("verify-key-pair").status_code == 303
    assert states() == ["active", "replaced"]
    page = text_of(staff.open(SETUP.format(acme)))
    assert "the old link can be removed" in page
    for words in (old_link.name, old_link.application_url, old_link.consumer.key):
        assert words in page
    since = len(bitbucket_sandbox.requests)
    assert Visitor().log_in(acme, bitbucket_sandbox).status_code == 303
    assert consumer_keys_since(bitbucket_sandbox, since) == [new_link.consumer.key]
    assert acme.consumer_key == new_link.consumer.key

    bitbucket_sandbox.links.remove(old_link.id)
    assert press("old-link-removed").status_code == 303
    assert KeyPair.objects.get(state="retired").sealed_private_key == ""
    assert states() == ["active", "retired"]
    assert old_link.consumer.key not in text_of(staff.open(SETUP.format(acme)))
    assert Visitor().log_in(acme, bitbucket_sandbox).status_code == 303
    for event in ("consumer_key.created", "consumer_key.replaced", "key.promoted", "key.retired"):
        assert happenings().count(event) == 1, event


@pytest.mark.parametrize("refusal", ["consumer_key_unknown", "signature_invalid"])
def test_a_login_that_is_refused_with_the_old_link_tries_the_new_one_once_and_puts_it_in_use(
    rotating, old_link, bitbucket_sandbox, keys, refusal
):
    new_link = make_new_link(bitbucket_sandbox, rotating)
    if refusal == "consumer_key_unknown":
        bitbucket_sandbox.links.remove(old_link.id)
    else:
        paste_public_key(bitbucket_sandbox, rotating, keys[3].public.pem)
    since = len(bitbucket_sandbox.requests)
    assert Visitor().log_in(rotating, bitbucket_sandbox).status_code == 303
    assert consumer_keys_since(bitbucket_sandbox, since) == [old_link.consumer.key, new_link.consumer.key]
    since = len(bitbucket_sandbox.requests)
    assert Visitor().log_in(rotating, bitbucket_sandbox).status_code == 303
    assert consumer_keys_since(bitbucket_sandbox, since) == [new_link.consumer.key]
    assert states() == ["active", "replaced"]


def test_a_login_that_is_refused_with_both_links_fails_and_changes_nothing(rotating, old_link, bitbucket_sandbox):
    bitbucket_sandbox.links.remove(old_link.id)
    since = len(bitbucket_sandbox.requests)
    assert Visitor().begin(rotating).status_code == 503
    assert len(consumer_keys_since(bitbucket_sandbox, since)) == 2
    assert states() == ["active", "pending"]


def test_a_login_under_way_while_the_new_link_is_put_in_use_is_finished_with_the_old_one(
    rotating, old_link, visitor, bitbucket_sandbox
):
    callback = bitbucket_sandbox.authorize(visitor.begin(rotating)["Location"])
    make_new_link(bitbucket_sandbox, rotating)
    assert key_rotation.verify(rotating)
    assert visitor.open(callback).status_code == 303
    (exchanged,) = bitbucket_sandbox.requests.to("/access-token")
    assert exchanged.oauth_parameters["oauth_consumer_key"] == old_link.consumer.key


def replaced(sandbox, record):
    make_new_link(sandbox, record)
    assert key_rotation.verify(record)
    return record


def test_what_was_replaced_is_used_for_as_long_as_logins_take(rotating, old_link, bitbucket_sandbox):
    replaced(bitbucket_sandbox, rotating)
    assert integrations.find(rotating.pk).replaced.consumer_key == old_link.consumer.key
    KeyPair.objects.filter(state="replaced").update(replaced_at=timezone.now() - timedelta(seconds=LIFETIME + 1))
    assert integrations.find(rotating.pk).replaced is None


def test_its_private_key_is_erased_when_no_login_can_be_under_way_any_more(rotating, bitbucket_sandbox):
    replaced(bitbucket_sandbox, rotating)
    call_command("bitbucket_server", "prune")
    assert rotating.replaced_key_pair.sealed_private_key
    KeyPair.objects.filter(state="replaced").update(replaced_at=timezone.now() - timedelta(seconds=LIFETIME + 1))
    call_command("bitbucket_server", "prune")
    assert not rotating.replaced_key_pair.sealed_private_key
    assert rotating.active_key_pair.sealed_private_key
    assert Visitor().log_in(rotating, bitbucket_sandbox).status_code == 303


def test_a_replaced_key_that_cannot_be_opened_keeps_nobody_out(rotating, bitbucket_sandbox, caplog):
    replaced(bitbucket_sandbox, rotating)
    KeyPair.objects.filter(state="replaced").update(sealed_private_key="garbage")
    assert Visitor().log_in(rotating, bitbucket_sandbox).status_code == 303
    assert "key.decrypt_failed" in happenings()
    assert "logins that began with it have to begin again" in caplog.text


def test_there_are_never_three_links(rotating, bitbucket_sandbox):
    replaced(bitbucket_sandbox, rotating)
    before = ApplicationLink.objects.count()
    assert not key_rotation.begin(rotating, with_new_link=True)
    assert ApplicationLink.objects.count() == before
    assert key_rotation.begin(rotating)
    assert states() == ["active", "pending", "replaced"]
    key_rotation.note_removal(rotating)
    assert key_rotation.begin(rotating, with_new_link=True)


def test_a_link_that_was_never_made_is_followed_by_one_with_other_values(rotating):
    first = rotating.pending_key_pair
    key_rotation.begin(rotating, with_new_link=True)
    second = rotating.pending_key_pair
    assert second.consumer_key != first.consumer_key
    assert integrations.application_url(rotating, second.link) != integrations.application_url(rotating, first.link)


def test_a_key_pair_for_the_old_link_takes_the_place_of_one_for_a_new_link(rotating, old_link):
    key_rotation.begin(rotating)
    assert rotating.pending_key_pair.consumer_key == old_link.consumer.key


def test_without_a_key_pair_the_next_one_is_for_a_new_link(acme, bitbucket_sandbox):
    KeyPair.objects.all().delete()
    assert acme.consumer_key == ""
    assert key_rotation.begin(acme)
    make_new_link(bitbucket_sandbox, acme)
    assert key_rotation.verify(acme)
    assert Visitor().log_in(acme, bitbucket_sandbox).status_code == 303
