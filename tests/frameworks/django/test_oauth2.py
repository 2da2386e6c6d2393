"""OAuth 2 in the database: from the beginning, or as an upgrade with the same accounts, and back."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone
from social_django.models import UserSocialAuth

from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.django import events, integrations, upgrade
from social_bitbucket_server.django.checks import check_settings
from social_bitbucket_server.django.management.commands.bitbucket_server import Command
from social_bitbucket_server.django.models import ClientCredentials, Event, Integration, KeyPair
from social_bitbucket_server.organizations import State
from social_bitbucket_server.sandbox import Sandbox
from tests.capabilities import capability
from tests.frameworks.django.conftest import (
    Visitor,
    happenings,
    link,
    login_page,
    make_integration,
    newest_event,
    paste_public_key,
)
from tests.frameworks.django.test_admin import ADMIN, change, press, setup_page, staff_who_may, text_of
from tests.frameworks.django.test_changed_server import WAITS, django_database
from tests.frameworks.django.test_models import run_with
from tests.postgresql import PostgreSQL, programs

OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
ORIGIN = "http://127.0.0.1:8000"


def oauth2_page(record):
    return f"{ADMIN}{record.pk}/oauth2/"


def link_oauth2(staff, record, sandbox):
    """Make the link from the worksheet on the page."""
    page = staff.open(oauth2_page(record)).content.decode()
    value = dict(re.findall(r'<input id="oauth2-([a-z-]+)" value="([^"]*)" readonly', page))
    return sandbox.link_external_application(redirect_url=value["redirect-url"], name=value["name"])


def enter(staff, record, client_id, client_secret):
    address = f"{ADMIN}{record.pk}/keep-credentials/"
    return staff.post(address, form_at=oauth2_page(record), client_id=client_id, client_secret=client_secret)


def prepare(staff, record, sandbox):
    made = link_oauth2(staff, record, sandbox)
    assert enter(staff, record, made.client_id, made.client_secret).status_code == 303
    return made


def go_back(staff, record):
    return staff.post(f"{ADMIN}{record.pk}/go-back/", form_at=oauth2_page(record))


def people():
    return list(UserSocialAuth.objects.values_list("uid", "user_id"))


def stored():
    return Integration.objects.get()


@pytest.fixture
def upgrading(both, staff, acme, bitbucket_sandbox):
    """Acme's integration while both versions work."""
    prepare(staff, acme, bitbucket_sandbox)
    return acme


@pytest.fixture
def new(both, staff, bitbucket_sandbox):
    """An integration that was added for OAuth 2."""
    added = staff.post(f"{ADMIN}add/", name="Acme", slug="acme", base_url=bitbucket_sandbox.url, oauth="2")
    assert (added.status_code, added["Location"]) == (302, oauth2_page(stored()))
    return stored()


# The whole way


@capability("upgrade")
@pytest.mark.socket
def test_the_same_people_stay_from_oauth_1_on_an_old_server_to_oauth_2_on_a_new_one(both, staff, keys):
    with Sandbox(version="7.21") as sandbox:
        record = make_integration("acme", sandbox)
        for user in ("jane", "admin"):
            Visitor().log_in(record, sandbox, user=user)
        before = people()
        assert len(before) == 2

        press(staff, record, "new-key-pair")
        paste_public_key(sandbox, record, keys[1].public.pem)
        assert press(staff, record, "verify-key-pair").status_code == 303
        Visitor().log_in(record, sandbox)

        sandbox.faults.version = "10.2.0"
        press(staff, record, "check-up")
        assert record.server_version != stored().server_version == "10.2.0"
        prepare(staff, record, sandbox)
        check_up = press_oauth2(staff, record, "check-up")
        assert "Bitbucket knows the client ID" in check_up
        assert "failed</span>" not in check_up

        visitor = Visitor()
        visitor.log_in(record, sandbox, oauth="2")
        assert visitor.name == "jane"
        assert people() == before
        assert "People log in by OAuth 2." in text_of(staff.open(oauth2_page(record)))
        other = Visitor()
        other.log_in(record, sandbox, user="admin")
        assert other.name == "admin"
        assert people() == before
        assert set(UserSocialAuth.objects.values_list("provider", flat=True)) == {"bitbucket-server-oauth2"}
        assert get_user_model().objects.count() == 3, "two people, and staff"


def press_oauth2(staff, record, action):
    return text_of(staff.post(f"{ADMIN}{record.pk}/{action}/", form_at=oauth2_page(record), oauth="2"))


# From the beginning


@capability("oauth 2")
def test_people_log_in_through_an_integration_that_was_added_for_oauth_2(new, staff, visitor, bitbucket_sandbox):
    assert not KeyPair.objects.exists()
    made = prepare(staff, new, bitbucket_sandbox)
    visitor.log_in(new, bitbucket_sandbox)
    assert visitor.name == "jane"
    page = text_of(staff.open(oauth2_page(new)))
    assert made.client_id in page
    assert made.client_secret not in page
    assert "Go back to OAuth 1" not in page
    assert "It works: 1 person has logged in through it so far." in text_of(staff.open(setup_page(new)))


def test_the_login_page_announces_the_scope_that_is_asked_for(new, staff, visitor, bitbucket_sandbox):
    prepare(staff, new, bitbucket_sandbox)
    assert "may view public projects and repositories" in text_of(visitor.open(login_page(new)))
    Integration.objects.update(allow_projects=["WEB"])
    assert "may view projects and repositories" in text_of(visitor.open(login_page(new)))
    with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_SCOPE="REPO_READ"):
        assert "may access your account, and says for what" in text_of(visitor.open(login_page(new)))


def test_before_its_credentials_are_there_nobody_can_log_in_and_the_pages_say_what_is_next(new, staff, visitor):
    page = text_of(visitor.open(login_page(new)))
    assert "Nobody can log in yet, because Bitbucket is not set up." in page
    assert "<form" not in page
    assert "make the link in Bitbucket, and enter what it shows" in text_of(staff.open(oauth2_page(new)))
    assert "makes the link for" in text_of(staff.open(setup_page(new)))


def test_an_integration_for_oauth_2_gets_no_key_pair(new, staff):
    press_answer = staff.post(f"{ADMIN}{new.pk}/new-key-pair/", form_at=oauth2_page(new))
    assert press_answer.status_code == 303
    assert "People log in by OAuth 2, which needs no key pair." in text_of(staff.open(setup_page(new)))
    assert not KeyPair.objects.exists()


def test_without_credentials_a_check_up_says_so(new, staff):
    page = press_oauth2(staff, new, "check-up")
    assert "failed</span>" in page
    assert newest_event().problem == "setting_missing"


def test_without_the_backend_the_form_offers_no_oauth_2_and_the_page_says_why(staff, acme):
    assert 'name="oauth"' not in text_of(staff.open(f"{ADMIN}add/"))
    page = text_of(staff.open(oauth2_page(acme)))
    assert "This application is not set up for OAuth 2." in page
    assert 'name="client_secret"' not in page
    staff.post(f"{ADMIN}{acme.pk}/keep-credentials/", form_at=setup_page(acme), client_id="a", client_secret="b")
    assert not ClientCredentials.objects.exists()
    staff.post(f"{ADMIN}add/", name="Other", slug="other", base_url=acme.base_url, oauth="2")
    assert Integration.objects.get(slug="other").oauth1_ended_at is None


def test_the_command_prints_the_worksheet_of_oauth_2_and_makes_no_key_pair(new, capsys, monkeypatch):
    monkeypatch.setattr(Command, "check", lambda *_: None)
    call_command("bitbucket_server", "worksheet", "acme")
    assert f"Redirect URL = {ORIGIN}/complete/bitbucket-server-oauth2/{new.pk}/" in capsys.readouterr().out
    with pytest.raises(CommandError, match="by OAuth 2, which needs no key pair"):
        call_command("bitbucket_server", "rotate", "acme")
    with pytest.raises(CommandError, match="whose link is made by hand"):
        call_command("bitbucket_server", "link", "acme")


# The form


@pytest.mark.parametrize(
    ("client_id", "client_secret", "says"),
    [
        ("", "c2VjcmV0", "Copy the Client ID from Bitbucket."),
        ("id", "", "Copy the Client secret from Bitbucket."),
        ("two words", "c2VjcmV0", "Copy it once more"),
        ("id", "s" * 256, "at most 255 characters"),
    ],
)
def test_what_is_no_credential_is_explained_and_nothing_is_kept(both, staff, acme, client_id, client_secret, says):
    answer = enter(staff, acme, client_id, client_secret)
    assert answer.status_code == 422
    assert says in text_of(answer)
    assert not ClientCredentials.objects.exists()
    assert not client_secret or client_secret not in text_of(answer)


def test_the_client_secret_rests_sealed_and_is_resealed(upgrading, bitbucket_sandbox, visitor):
    credentials = ClientCredentials.objects.get()
    assert credentials.sealed_client_secret.startswith("v1.1.")
    ring = f"{KeyRing.generate().replace('1:', '2:', 1)},1:{'A' * 42}E="
    with override_settings(**{f"{OWN}KEY_RING": ring}):
        call_command("bitbucket_server", "reseal-keys")
        assert ClientCredentials.objects.get().sealed_client_secret.startswith("v1.2.")
        visitor.log_in(upgrading, bitbucket_sandbox, oauth="2")
        assert visitor.name == "jane"


def test_renewed_credentials_take_the_place_of_the_first_and_the_logins_under_way_end_well(
    upgrading, staff, visitor, bitbucket_sandbox
):
    credentials = ClientCredentials.objects.get()
    callback = bitbucket_sandbox.authorize(visitor.begin(upgrading, oauth="2")["Location"])
    secret = integrations.find_oauth2(upgrading.pk).client_secret
    enter(staff, upgrading, credentials.client_id, secret)
    assert ClientCredentials.objects.get().pk != credentials.pk
    visitor.open(callback)
    assert visitor.name == "jane"


# The upgrade


def test_the_login_page_offers_both_versions_until_the_first_login_by_oauth_2(upgrading, visitor, bitbucket_sandbox):
    page = text_of(visitor.open(login_page(upgrading)))
    assert "Log in with Bitbucket by OAuth 2" in page
    first = Visitor()
    first.log_in(upgrading, bitbucket_sandbox, oauth="1")
    assert stored().oauth1_ended_at is None
    visitor.log_in(upgrading, bitbucket_sandbox, oauth="2")
    assert happenings()[-2:] == ["login.success", "upgrade.finished"]
    assert "by OAuth 2" not in text_of(Visitor().open(login_page(upgrading)))
    assert (first.name, visitor.name) == ("jane", "jane")
    assert len(people()) == 1


def test_a_login_by_oauth_1_that_was_under_way_can_be_finished_for_a_while(upgrading, bitbucket_sandbox):
    late = Visitor()
    callback = bitbucket_sandbox.authorize(late.begin(upgrading, oauth="1")["Location"])
    Visitor().log_in(upgrading, bitbucket_sandbox, user="admin", oauth="2")
    late.open(callback)
    assert late.name == "jane"
    Integration.objects.update(oauth1_ended_at=timezone.now() - timedelta(minutes=11))
    assert integrations.find(upgrading.pk) is None


def test_a_login_that_wants_a_version_that_is_not_there_begins_nothing(both, acme, visitor, bitbucket_sandbox):
    answer = visitor.begin(acme, oauth="2")
    assert (answer.status_code, answer["Location"]) == (302, login_page(acme))
    assert not bitbucket_sandbox.requests.to("/request-token")


def test_an_answer_for_one_version_is_refused_at_the_address_of_the_other(upgrading, visitor, bitbucket_sandbox):
    callback = bitbucket_sandbox.authorize(visitor.begin(upgrading, oauth="2")["Location"])
    assert visitor.open(callback.replace("-oauth2", "")).status_code == 400
    assert visitor.name == "nobody"
    visitor.open(callback)
    assert visitor.name == "jane"


def test_social_djangos_own_addresses_are_not_there_for_oauth_2(upgrading, visitor):
    with override_settings(ROOT_URLCONF="tests.frameworks.django.both_urls"):
        assert visitor.open("/social/login/bitbucket-server-oauth2/").status_code == 404
        assert visitor.open("/social/complete/bitbucket-server-oauth2/?state=x").status_code == 404


def test_whatever_comes_of_oauth_2_meanwhile_the_integration_does_not_fail(
    upgrading, staff, visitor, bitbucket_sandbox
):
    Visitor().log_in(upgrading, bitbucket_sandbox)
    callback = bitbucket_sandbox.authorize(visitor.begin(upgrading, oauth="2")["Location"])
    bitbucket_sandbox.faults.update({"server_error": True})
    failed = visitor.open(callback)
    press_oauth2(staff, upgrading, "check-up")
    bitbucket_sandbox.faults.server_error = False
    assert failed.status_code == 502
    condition = events.condition_of(stored())
    assert (condition.state, condition.is_upgrade_begun) == (State.WORKING, True)
    tests = list(Event.objects.filter(what="upgrade.tested").values_list("problem", flat=True))
    assert tests == ["server_error", "server_error"]
    reference = re.search(r"Reference ([0-9A-F]{8})", text_of(failed))[1]
    assert reference in text_of(staff.open(setup_page(upgrading)))


def test_a_trial_by_oauth_2_makes_no_account_and_switches_nothing_off(upgrading, staff, bitbucket_sandbox):
    begun = staff.post(f"{ADMIN}{upgrading.pk}/try/", form_at=oauth2_page(upgrading), oauth="2")
    back = staff.open(bitbucket_sandbox.authorize(begun["Location"]))
    page = text_of(staff.open(back["Location"]))
    assert "Bitbucket says that you are" in page
    assert 'name="oauth" value="2"' in page
    assert stored().oauth1_ended_at is None
    assert newest_event().what == "upgrade.tested"
    assert not people()


def test_who_is_connected_by_oauth_1_stays_the_same_person(upgrading, staff, bitbucket_sandbox):
    root = get_user_model().objects.get(username="root")
    begun = staff.post("/connect/acme/", form_at=login_page(upgrading))
    staff.open(bitbucket_sandbox.authorize(begun["Location"]))
    visitor = Visitor()
    visitor.log_in(upgrading, bitbucket_sandbox, oauth="2")
    assert visitor.name == "root"
    assert [user_id for _, user_id in people()] == [root.pk]


def test_an_account_of_another_person_is_not_connected_by_the_other_version(upgrading, staff, bitbucket_sandbox):
    Visitor().log_in(upgrading, bitbucket_sandbox, oauth="1")
    before = people()
    Integration.objects.update(oauth1_ended_at=timezone.now())
    begun = staff.post("/connect/acme/", form_at=login_page(upgrading))
    assert staff.open(bitbucket_sandbox.authorize(begun["Location"])).status_code == 409
    assert people() == before
    assert UserSocialAuth.objects.get().provider == "bitbucket-server"


def test_equal_numbers_of_two_servers_are_two_people_by_either_version(
    upgrading, staff, globex, bitbucket_sandbox, other_sandbox
):
    Visitor().log_in(globex, other_sandbox)
    Visitor().log_in(upgrading, bitbucket_sandbox, oauth="2")
    assert len({user_id for _, user_id in people()}) == 2


# The way back


def test_an_upgrade_that_is_called_off_erases_the_secret_and_asks_nothing(upgrading, staff, visitor, bitbucket_sandbox):
    assert go_back(staff, upgrading).status_code == 303
    assert not ClientCredentials.objects.exists()
    assert not bitbucket_sandbox.requests.to("/request-token")
    assert happenings()[-1] == "upgrade.abandoned"
    visitor.log_in(upgrading, bitbucket_sandbox)
    assert visitor.name == "jane"


@capability("upgrade")
def test_after_the_upgrade_bitbucket_is_asked_first_and_everybody_keeps_their_account(
    upgrading, staff, bitbucket_sandbox
):
    inside = Visitor()
    inside.log_in(upgrading, bitbucket_sandbox, oauth="2")
    before = people()
    assert go_back(staff, upgrading).status_code == 303
    assert len(bitbucket_sandbox.requests.to("/request-token")) == 1
    assert inside.name == "jane"
    again = Visitor()
    again.log_in(upgrading, bitbucket_sandbox)
    assert again.name == "jane"
    assert people() == before


def test_where_bitbucket_does_not_accept_oauth_1_any_more_nothing_changes(upgrading, staff, bitbucket_sandbox, keys):
    Visitor().log_in(upgrading, bitbucket_sandbox, oauth="2")
    paste_public_key(bitbucket_sandbox, upgrading, keys[3].public.pem)
    answer = go_back(staff, upgrading)
    assert answer.status_code == 422
    assert "Bitbucket does not accept OAuth 1." in text_of(answer)
    assert ClientCredentials.objects.exists()
    assert stored().oauth1_ended_at is not None
    assert (newest_event().what, newest_event().problem) == ("upgrade.not_abandoned", "signature_invalid")


def test_a_key_pair_that_waits_is_tried_on_the_way_back(upgrading, staff, visitor, bitbucket_sandbox, keys):
    press(staff, upgrading, "new-key-pair")
    Visitor().log_in(upgrading, bitbucket_sandbox, oauth="2")
    paste_public_key(bitbucket_sandbox, upgrading, keys[1].public.pem)
    assert go_back(staff, upgrading).status_code == 303
    assert KeyPair.objects.get(state="active").fingerprint == keys[1].public.fingerprint
    visitor.log_in(upgrading, bitbucket_sandbox)
    assert visitor.name == "jane"


def test_an_integration_that_began_with_oauth_2_has_nothing_to_go_back_to(new, staff, bitbucket_sandbox):
    prepare(staff, new, bitbucket_sandbox)
    go_back(staff, new)
    assert "There is no OAuth 1 to go back to." in text_of(staff.open(oauth2_page(new)))
    assert ClientCredentials.objects.exists()


def test_a_login_by_oauth_2_that_ends_after_the_upgrade_was_called_off_switches_nothing_off(
    upgrading, staff, visitor, bitbucket_sandbox
):
    callback = bitbucket_sandbox.authorize(visitor.begin(upgrading, oauth="2")["Location"])
    go_back(staff, upgrading)
    visitor.open(callback)
    upgrade.end_oauth1(upgrading.pk)
    assert visitor.name == "nobody"
    assert stored().oauth1_ended_at is None


# Other changes


def test_another_server_ends_the_old_ones_client_secret(upgrading, staff, other_sandbox):
    assert change(staff, upgrading, base_url=other_sandbox.url).status_code == 302
    assert not ClientCredentials.objects.exists()
    link(stored(), other_sandbox)
    visitor = Visitor()
    visitor.log_in(stored(), other_sandbox)
    assert visitor.name == "jane"


def test_deleting_counts_and_deletes_identities_of_either_version(upgrading, staff, bitbucket_sandbox):
    Visitor().log_in(upgrading, bitbucket_sandbox, oauth="1")
    Visitor().log_in(upgrading, bitbucket_sandbox, user="admin", oauth="2")
    assert "2 Bitbucket accounts log in through" in text_of(staff.open(f"{ADMIN}{upgrading.pk}/delete/"))
    integrations.delete(upgrading)
    assert not people()
    assert not ClientCredentials.objects.exists()


@pytest.mark.parametrize("action", ["keep-credentials", "go-back"])
def test_an_action_is_a_post_of_somebody_who_may(upgrading, staff, action):
    address = f"{ADMIN}{upgrading.pk}/{action}/"
    clerk = staff_who_may("view_integration")
    before = Event.objects.count()
    assert staff.open(address).status_code == 405
    assert staff.client.post(address).status_code == 403
    assert clerk.post(address, form_at=ADMIN, client_id="a", client_secret="b").status_code == 403
    page = text_of(clerk.open(oauth2_page(upgrading)))
    assert 'name="client_secret"' not in page
    assert Event.objects.count() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOW_GROUPS", ["developers"]),
        ("CALLBACK_ORIGIN", "http://127.0.0.1:1"),
        ("DISCONNECT_PIPELINE", []),
        ("GROUPS_MAP", {}),
        ("LOGIN_SECONDS", 60),
        ("PATIENCE", 3),
        ("REVOKE_AT_LOGOUT", True),
        ("SLOW_STEPS", 8),
        ("STORE_ACCESS_TOKEN", True),
    ],
)
def test_settings_that_an_upgrade_would_change_are_refused(both, name, value):
    with override_settings(**{f"{OWN}{name}": value}):
        assert f"Set {OWN}OAUTH2_{name} to the value of {OWN}{name}" in "\n".join(
            found.msg for found in check_settings()
        )


def test_integrations_for_oauth_2_alone_are_no_setting(both):
    with override_settings(**{f"{OWN}INTEGRATIONS": None}):
        assert any(found.id == "social_bitbucket_server.E037" for found in check_settings())


def test_settings_for_both_pass_the_checks(both):
    assert not check_settings()


RACE = """\
import json
import threading

from django.core.management import call_command

call_command("migrate", verbosity=0)

from django.contrib.auth import get_user_model
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import integrations, upgrade
from social_bitbucket_server.django.models import Integration

record = Integration(name="Acme", slug="acme", base_url="https://bitbucket.example.com")
integrations.create(record)
upgrade.keep_credentials(record, "id", "secret")
uid = f"{record.namespace}:1"


def log_in(provider):
    with integrations.all_or_nothing():
        upgrade.recognize_by_either_oauth(provider, uid, record.pk)
        if provider == "bitbucket-server":
            other.start()
            waits()
        if not UserSocialAuth.objects.filter(uid=uid, provider=provider).exists():
            user = get_user_model().objects.create_user(provider)
            UserSocialAuth.objects.create(user=user, uid=uid, provider=provider)
    connection.close()


other = threading.Thread(target=log_in, args=["bitbucket-server-oauth2"])
log_in("bitbucket-server")
other.join()
print(json.dumps([list(UserSocialAuth.objects.values_list("provider", flat=True)), get_user_model().objects.count()]))
"""


@pytest.mark.program
def test_two_first_logins_by_both_versions_at_once_make_one_account(tmp_path, must_be_there):
    folder = programs()
    must_be_there(folder is not None, "PostgreSQL")
    with PostgreSQL(folder) as server:
        settings = f"DATABASES = {{'default': {django_database(server)!r}}}"
        assert run_with(settings, WAITS + RACE, tmp_path) == [["bitbucket-server-oauth2"], 1]
