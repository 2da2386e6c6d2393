"""Access tokens that end when their person logs out."""

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import integrations
from social_bitbucket_server.integration import OAUTH2
from social_bitbucket_server.oauth import OAuth2Client
from tests.frameworks.django.conftest import Visitor
from tests.frameworks.django.test_oauth2 import prepare

OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"


@pytest.fixture(autouse=True)
def kept():
    with override_settings(**{f"{OWN}STORE_ACCESS_TOKEN": True, f"{OWN}REVOKE_AT_LOGOUT": True}):
        yield


def keeps_token(name="jane"):
    return "sealed_access_token" in UserSocialAuth.objects.get(user__username=name).extra_data


def test_the_token_of_who_logs_out_is_erased_and_nobody_elses(acme, bitbucket_sandbox):
    jane, kim = Visitor(), Visitor()
    jane.log_in(acme, bitbucket_sandbox)
    kim.log_in(acme, bitbucket_sandbox, "kim")
    assert (keeps_token("jane"), keeps_token("kim")) == (True, True)
    jane.client.logout()
    assert (keeps_token("jane"), keeps_token("kim")) == (False, True)


@pytest.mark.parametrize("is_down", [False, True])
def test_a_token_of_oauth_2_is_revoked_unless_the_server_is_down(both, staff, acme, bitbucket_sandbox, is_down):
    prepare(staff, acme, bitbucket_sandbox)
    jane = Visitor()
    with override_settings(
        **{f"{OWN}OAUTH2_STORE_ACCESS_TOKEN": True, f"{OWN}OAUTH2_KEY_RING": "1:" + "A" * 42 + "E="},
        **{f"{OWN}OAUTH2_REVOKE_AT_LOGOUT": True},
    ):
        jane.log_in(acme, bitbucket_sandbox, oauth="2")
        assert keeps_token()
        bitbucket_sandbox.faults.server_error = is_down
        jane.client.logout()
    assert (keeps_token(), len(bitbucket_sandbox._state.grants.granted())) == (False, int(is_down))


def test_by_default_tokens_stay(acme, bitbucket_sandbox):
    jane = Visitor()
    with override_settings(**{f"{OWN}REVOKE_AT_LOGOUT": False}):
        jane.log_in(acme, bitbucket_sandbox)
        jane.client.logout()
    assert keeps_token()


def test_who_has_no_account_and_who_is_not_logged_in_log_out(staff):
    staff.client.logout()
    Visitor().client.logout()
    assert get_user_model().objects.count() == 1


def test_who_has_an_account_of_a_backend_that_is_configured_no_more_logs_out(acme, bitbucket_sandbox):
    jane = Visitor()
    jane.log_in(acme, bitbucket_sandbox)
    UserSocialAuth.objects.update(provider=OAUTH2)
    jane.client.logout()
    assert get_user_model().objects.count() == 1
    assert "_auth_user_id" not in jane.client.session


def test_an_account_that_is_disconnected_meanwhile_stays_so(both, staff, acme, bitbucket_sandbox, monkeypatch):
    prepare(staff, acme, bitbucket_sandbox)
    jane = Visitor()
    with override_settings(
        **{f"{OWN}OAUTH2_STORE_ACCESS_TOKEN": True, f"{OWN}OAUTH2_KEY_RING": "1:" + "A" * 42 + "E="},
        **{f"{OWN}OAUTH2_REVOKE_AT_LOGOUT": True},
    ):
        jane.log_in(acme, bitbucket_sandbox, oauth="2")
        monkeypatch.setattr(OAuth2Client, "revoke", lambda *_: UserSocialAuth.objects.all().delete())
        jane.client.logout()
    assert not UserSocialAuth.objects.exists()


def test_a_session_that_ended_without_its_person_leaves_the_token_of_another_one(acme, bitbucket_sandbox):
    before, now = Visitor(), Visitor()
    before.log_in(acme, bitbucket_sandbox)
    for enabled in (False, True):
        integrations.enable(acme, enabled=enabled)
    now.log_in(acme, bitbucket_sandbox)
    assert (before.name, now.name) == ("nobody", "jane")
    assert keeps_token()
