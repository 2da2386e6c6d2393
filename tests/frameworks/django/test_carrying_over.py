"""Accounts that a project has already, carried over by ``manage.py bitbucket_server carry-over``, and back."""

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.test import override_settings
from social_django.models import UserSocialAuth

from social_bitbucket_server.django.models import Event
from tests.frameworks.django.conftest import Visitor, happenings, make_integration
from tests.frameworks.django.test_single_server import Person

CORE, OAUTH1, OAUTH2 = "bitbucket-datacenter-oauth2", "bitbucket-server", "bitbucket-server-oauth2"
CORES_URL = "SOCIAL_AUTH_BITBUCKET_DATACENTER_OAUTH2_URL"
SINGLE_URL = "SOCIAL_AUTH_BITBUCKET_SERVER_URL"


@pytest.fixture
def run(capsys):
    def run(*arguments):
        capsys.readouterr()
        call_command("bitbucket_server", "carry-over", *arguments)
        return capsys.readouterr().out

    return run


def add_identity(name, uid, server, provider=CORE, **data):
    user, _ = get_user_model().objects.get_or_create(username=name)
    kept = {"url": f"{server}/users/{name}", **data}
    return UserSocialAuth.objects.create(user=user, provider=provider, uid=uid, extra_data=kept)


def swap_names(sandbox, one, other):
    sandbox.users.rename(one, "between")
    sandbox.users.rename(other, one)
    sandbox.users.rename("between", other)


def rows():
    return sorted(UserSocialAuth.objects.values_list("user__username", "provider", "uid"))


def number_of(sandbox, name):
    return str(sandbox.users.by_name(name).id)


def test_people_of_cores_backend_keep_their_accounts(run, visitor, acme, bitbucket_sandbox):
    jane = add_identity("jane", number_of(bitbucket_sandbox, "jane"), acme.base_url, access_token="t", email="j@e.org")
    assert run("core", "acme", "--apply") == "Carried over: 1. Stay as they are: 0.\n"
    visitor.log_in(acme, bitbucket_sandbox, "jane")
    assert visitor.name == "jane"
    assert get_user_model().objects.count() == 1
    jane.refresh_from_db()
    assert (jane.provider, jane.uid) == (OAUTH1, f"{acme.namespace}:{number_of(bitbucket_sandbox, 'jane')}")
    assert "access_token" not in jane.extra_data


def test_without_apply_the_command_only_counts(run, acme):
    add_identity("jane", "1", acme.base_url, access_token="t")
    other = add_identity("natasha", "2", "https://other.example.com")
    before = list(UserSocialAuth.objects.order_by("pk").values())
    assert run("core", "acme") == (
        f"identity {other.pk} of user {other.user_id} stays: kept an address of another server\n"
        "Would be carried over: 1. Stay as they are: 1.\n"
    )
    assert list(UserSocialAuth.objects.order_by("pk").values()) == before
    assert "identity.carried_over" not in happenings()


def test_each_identity_that_is_carried_over_is_an_event(run, acme):
    jane = add_identity("jane", "1", acme.base_url)
    run("core", "acme", "--apply")
    run("core", "acme", "--back", "--apply")
    user_id = str(jane.user_id)
    assert events_of(acme) == [("identity.carried_over", user_id), ("identity.carried_back", user_id)]


def events_of(record):
    found = Event.objects.filter(integration_id=record.pk, what__startswith="identity.").order_by("id")
    return list(found.values_list("what", "user_id"))


def test_the_way_back_takes_new_people_along(run, visitor, acme, bitbucket_sandbox):
    add_identity("jane", number_of(bitbucket_sandbox, "jane"), acme.base_url)
    run("core", "acme", "--apply")
    visitor.log_in(acme, bitbucket_sandbox, "natasha")
    assert run("core", "acme", "--back", "--apply") == "Carried over: 2. Stay as they are: 0.\n"
    assert rows() == [(name, CORE, number_of(bitbucket_sandbox, name)) for name in ("jane", "natasha")]


def test_an_account_that_has_the_identity_already_is_not_merged(run, acme):
    add_identity("jane", "1", acme.base_url)
    other = add_identity("other", f"{acme.namespace}:1", acme.base_url, OAUTH2)
    assert "stays: the new identity belongs to another account" in run("core", "acme", "--apply")
    assert rows() == [("jane", CORE, "1"), ("other", OAUTH2, other.uid)]


def test_doing_it_twice_changes_nothing(run, acme):
    add_identity("jane", "1", acme.base_url)
    run("core", "acme", "--apply")
    before = rows()
    assert run("core", "acme", "--apply") == "Carried over: 0. Stay as they are: 0.\n"
    assert rows() == before


def test_the_settings_must_give_cores_backend_the_same_server(run, acme):
    add_identity("jane", "1", "https://old.example.com")
    with override_settings(**{CORES_URL: "https://old.example.com/"}):
        with pytest.raises(CommandError, match=f"(?s){CORES_URL}.*https://old.example.com"):
            run("core", "acme", "--apply")
        assert rows() == [("jane", CORE, "1")]
        assert run("core", "acme", "--apply", "--known-as", "https://old.example.com").startswith("Carried over: 1.")


def test_identities_without_an_address_need_the_operators_word(run, acme):
    add_identity("jane", "1", acme.base_url, url=None)
    assert "kept no address that shows the server" in run("core", "acme", "--apply")
    assert run("core", "acme", "--apply", "--without-address").startswith("Carried over: 1.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("single",), "Name the integration"),
        (("core", "globex"), "There is no integration globex"),
        (("core",), SINGLE_URL),
        (("core", "acme", "--known-as", "bitbucket"), "base URL"),
    ],
)
def test_what_is_missing_or_wrong_is_said(run, acme, arguments, words):
    add_identity("jane", "1", acme.base_url)
    with pytest.raises(CommandError, match=words):
        run(*arguments, "--apply")
    assert rows() == [("jane", CORE, "1")]


def test_from_one_server_to_many_and_back(run, single, bitbucket_sandbox):
    person = Person()
    person.come_back(single)
    before = rows()
    with override_settings(
        ROOT_URLCONF="tests.frameworks.django.urls",
        SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS="social_bitbucket_server.django.integrations.find",
        SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN="http://127.0.0.1:8000",
        SOCIAL_AUTH_BITBUCKET_SERVER_TEST_ADDRESSES=["127.0.0.1"],
    ):
        acme = make_integration("acme", bitbucket_sandbox)
        assert run("single", "acme").startswith("Would be carried over: 1.")
        assert run("single", "acme", "--apply").startswith("Carried over: 1.")
        jane, natasha = Visitor(), Visitor()
        jane.log_in(acme, bitbucket_sandbox, "jane")
        natasha.log_in(acme, bitbucket_sandbox, "natasha")
        assert jane.name == "jane"
        assert [name for name, _, _ in rows()] == ["jane", "natasha"]
        assert run("single", "acme", "--back", "--apply").startswith("Carried over: 2.")
    person = Person()
    person.come_back(single)
    assert person.name == "jane"
    assert rows() == [*before, ("natasha", OAUTH1, number_of(bitbucket_sandbox, "natasha"))]


def test_identities_by_both_oauths_are_carried_over_together(run, acme):
    for provider in (OAUTH1, OAUTH2):
        add_identity("jane", "1", acme.base_url, provider)
    assert run("single", "acme", "--apply").startswith("Carried over: 2.")
    assert rows() == [("jane", provider, f"{acme.namespace}:1") for provider in (OAUTH1, OAUTH2)]
    assert run("single", "acme", "--back", "--apply").startswith("Carried over: 2.")


def test_nothing_is_carried_over_if_one_identity_by_the_other_oauth_cannot_be(run, acme, monkeypatch):
    for provider in (OAUTH1, OAUTH2):
        add_identity("jane", "1", acme.base_url, provider)
    add_identity("other", f"{acme.namespace}:1", acme.base_url, OAUTH2)
    before = rows()
    monkeypatch.setattr("social_bitbucket_server.account.carrying_over.backends_of", lambda _: ["none"])
    with pytest.raises(IntegrityError):
        run("single", "acme", "--apply")
    assert rows() == before


def test_people_who_swapped_names_keep_their_accounts(run, acme, bitbucket_sandbox):
    numbers = {name: number_of(bitbucket_sandbox, name) for name in ("jane", "natasha")}
    for name, number in numbers.items():
        add_identity(name, number, acme.base_url)
    swap_names(bitbucket_sandbox, "jane", "natasha")
    run("core", "acme", "--apply")
    visitor = Visitor()
    visitor.log_in(acme, bitbucket_sandbox, "jane")
    assert visitor.name == "natasha"
    assert get_user_model().objects.count() == 2


def test_identities_of_other_backends_stay(run, acme):
    add_identity("jane", "1", acme.base_url, "github")
    run("core", "acme", "--apply", "--without-address")
    run("single", "acme", "--apply", "--without-address")
    assert rows() == [("jane", "github", "1")]
