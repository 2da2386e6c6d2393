"""Older identities by user name or number, carried over when their people log in, once."""

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from social_django.models import UserSocialAuth

from social_bitbucket_server.django.models import Event
from tests.frameworks.django.conftest import Visitor
from tests.frameworks.django.test_carrying_over import CORE, OAUTH1, add_identity, number_of, rows, swap_names
from tests.frameworks.django.test_single_server import Person

OLD = "my-bitbucket"
HAS_ID_KEY = any(field.name == "id_key" for field in UserSocialAuth._meta.get_fields())
SETTING = "SOCIAL_AUTH_BITBUCKET_SERVER_CARRY_OVER"
PIPELINE = list(DEFAULT_AUTH_PIPELINE)
PIPELINE.insert(
    PIPELINE.index("social_core.pipeline.social_auth.social_user") + 1,
    "social_bitbucket_server.pipeline.carry_over_identity",
)


@pytest.fixture(autouse=True)
def pipeline():
    with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_PIPELINE=PIPELINE):
        yield


@pytest.fixture
def run(capsys):
    def run(*arguments):
        capsys.readouterr()
        call_command("bitbucket_server", "carry-over", "logins", *arguments)
        return capsys.readouterr().out

    return run


def allowed(server, **fields):
    return {SETTING: {"provider": OLD, "key": "name", "url": server.url, **fields}}


def add(name, **data):
    identity = add_identity(name, name, "", OLD, url=None, **data)
    if HAS_ID_KEY:
        UserSocialAuth.objects.filter(pk=identity.pk).update(id_key="name")
    return identity


def log_in(server, name):
    person = Person()
    person.come_back(server, name)
    return person.name


def events():
    return list(Event.objects.filter(what__startswith="identity.").values_list("what", "user_id").order_by("id"))


def test_a_person_keeps_the_account_of_the_same_name_and_address(single):
    older = add("jane", email="Jane@example.com", access_token="t")
    with override_settings(**allowed(single)):
        assert [log_in(single, "jane") for _ in range(2)] == ["jane", "jane"]
    assert rows() == [("jane", OAUTH1, number_of(single, "jane"))]
    assert events() == [("identity.carried_over", str(older.user_id))]
    kept = UserSocialAuth.objects.get().extra_data
    assert kept["carried_over"] == {"provider": OLD, "uid": "jane", "id_key": "name" if HAS_ID_KEY else ""}
    assert "access_token" not in kept


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ({}, {"email": "other@example.com"}),
        ({}, {}),
        ({"url": "https://other.example.com"}, {"email": "jane@example.com"}),
        ({"without_email": True}, {"id": 4711}),
    ],
)
def test_a_person_of_whom_too_little_agrees_gets_an_account_of_their_own(single, fields, data):
    older = add("jane", **data)
    with override_settings(**allowed(single, **fields)):
        assert log_in(single, "jane") != "jane"
    assert ("jane", OLD, "jane") in rows()
    assert events() == [("identity.not_carried_over", str(older.user_id))]


@pytest.mark.parametrize("setting", [None, {}])
def test_nothing_is_carried_over_without_the_setting(single, setting):
    add("jane", email="jane@example.com")
    with override_settings(**{SETTING: setting}):
        assert log_in(single, "jane") != "jane"
    assert events() == []


def test_a_name_that_changed_hands_opens_no_account(single):
    add("jane", email="jane@example.com")
    add("natasha", email="natasha@example.com")
    swap_names(single, "jane", "natasha")
    with override_settings(**allowed(single)):
        names = [log_in(single, name) for name in ("jane", "natasha")]
    assert not {"jane", "natasha"} & set(names)
    assert get_user_model().objects.count() == 4
    assert [what for what, _ in events()] == ["identity.not_carried_over"] * 2


def test_people_who_swap_names_afterwards_keep_their_accounts(single):
    for name in ("jane", "natasha"):
        add(name, email=f"{name}@example.com")
    with override_settings(**allowed(single, without_email=True)):
        for name in ("jane", "natasha"):
            log_in(single, name)
        swap_names(single, "jane", "natasha")
        assert [log_in(single, name) for name in ("jane", "natasha")] == ["natasha", "jane"]


def test_a_name_that_another_person_had_before_opens_no_account(single):
    with override_settings(**allowed(single, without_email=True)):
        log_in(single, "jane")  # before the older identities were imported
        get_user_model().objects.update(username="first")
        single.users.rename("jane", "between")
        single.users.rename("kim", "jane")
        older = add("jane")
        assert log_in(single, "jane") != "jane"
    assert events() == [("identity.not_carried_over", str(older.user_id))]


def test_a_person_who_is_logged_in_connects_no_older_account(single):
    add("jane", email="jane@example.com")
    person = Person()
    person.come_back(single, "natasha")
    with override_settings(**allowed(single), SOCIAL_AUTH_BITBUCKET_SERVER_CONNECT_LOGGED_IN=True):
        person.come_back(single, "jane")
    assert ("jane", OLD, "jane") in rows()
    assert events() == []


def test_cores_identities_are_carried_over_by_their_number(single):
    add_identity("jane", number_of(single, "jane"), single.url, CORE)
    swap_names(single, "jane", "natasha")
    with override_settings(**allowed(single, provider=CORE, key="id")):
        assert log_in(single, "natasha") == "jane"
    assert rows() == [("jane", OAUTH1, number_of(single, "natasha"))]


def test_each_integration_has_a_setting_of_its_own(acme, globex, bitbucket_sandbox, other_sandbox):
    add("jane", email="jane@example.com")
    of_acme = allowed(bitbucket_sandbox)[SETTING]
    with override_settings(**{SETTING: {acme.pk: of_acme}}):
        stranger, jane = Visitor(), Visitor()
        stranger.log_in(globex, other_sandbox, "jane")
        jane.log_in(acme, bitbucket_sandbox, "jane")
    assert stranger.name != "jane"
    assert jane.name == "jane"
    assert Event.objects.get(what="identity.carried_over").integration_id == acme.pk


def test_an_integration_that_gets_another_server_carries_nothing_over(acme, bitbucket_sandbox):
    add("jane", email="jane@example.com")
    with override_settings(**{SETTING: {acme.pk: {**allowed(bitbucket_sandbox)[SETTING], "url": "https://b.example"}}}):
        visitor = Visitor()
        visitor.log_in(acme, bitbucket_sandbox, "jane")
    assert visitor.name != "jane"


def test_the_command_counts_what_logins_may_carry_over_and_gives_it_back(run, single):
    add("jane", email="jane@example.com")
    kim = add("kim")
    with override_settings(**allowed(single)):
        assert run() == (
            f"identity {kim.pk} of user {kim.user_id} stays: no e-mail address to compare\n"
            "Would be carried over when more agrees at a login: 1. Stay as they are: 1.\n"
        )
        log_in(single, "jane")
        assert run("--back").startswith("Would be given back: 1.")
        assert ("jane", OLD, "jane") not in rows()
        assert run("--back", "--apply").startswith("Given back: 1.")
    assert rows() == [("jane", OLD, "jane"), ("kim", OLD, "kim")]
    given_back = UserSocialAuth.objects.get(uid="jane")
    assert "carried_over" not in given_back.extra_data
    assert not HAS_ID_KEY or given_back.id_key == "name"


def test_an_identity_is_not_given_back_over_another_one(run, single):
    add("jane", email="jane@example.com")
    with override_settings(**allowed(single)):
        log_in(single, "jane")
        add_identity("other", "jane", "", OLD)
        assert "stays: the new identity belongs to another account" in run("--back", "--apply")
    assert ("other", OLD, "jane") in rows()


def test_the_command_says_what_it_does_not_do(run, single):
    with pytest.raises(CommandError, match=SETTING):
        run()
    with override_settings(**allowed(single)), pytest.raises(CommandError, match="when its person logs in"):
        run("--apply")
    with override_settings(**allowed(single)), pytest.raises(CommandError, match="--known-as"):
        run("--known-as", "https://b.example")


def test_a_wrong_setting_is_found_by_the_checks(single):
    with override_settings(**{SETTING: {"provider": OLD, "key": "email", "url": single.url}}):
        (error,) = [message for message in run_checks() if SETTING in message.msg]
    assert error.msg == f"Correct {SETTING}: The field key is id, name or slug."


def test_the_setting_without_the_step_is_found_by_the_checks(single):
    with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_PIPELINE=DEFAULT_AUTH_PIPELINE, **allowed(single)):
        (error,) = [message for message in run_checks() if SETTING in message.msg]
    assert error.msg.startswith(
        "Add social_bitbucket_server.pipeline.carry_over_identity to SOCIAL_AUTH_BITBUCKET_SERVER_"
    )


def test_a_project_made_three_ways_loses_and_merges_no_account(acme, bitbucket_sandbox):
    """One person by core's backend, one by this package with one server, one by a backend with user names."""
    add_identity("jane", number_of(bitbucket_sandbox, "jane"), acme.base_url, CORE)
    add_identity("natasha", number_of(bitbucket_sandbox, "natasha"), acme.base_url, OAUTH1)
    add("jo@example", email="jo@example.com")
    swap_names(bitbucket_sandbox, "jane", "natasha")
    for source in ("core", "single"):
        call_command("bitbucket_server", "carry-over", source, "acme", "--apply")
    names = {}
    with override_settings(**{SETTING: {acme.pk: allowed(bitbucket_sandbox)[SETTING]}}):
        for name in ("jane", "natasha", "jo@example", "kim"):
            visitor = Visitor()
            visitor.log_in(acme, bitbucket_sandbox, name)
            names[name] = visitor.name
    assert names == {"jane": "natasha", "natasha": "jane", "jo@example": "jo@example", "kim": "kim"}
    numbers = {"jane": "natasha", "natasha": "jane"}
    uids = {(name, f"{acme.namespace}:{number_of(bitbucket_sandbox, numbers.get(name, name))}") for name in names}
    assert {(name, uid) for name, _, uid in rows()} == uids
    assert get_user_model().objects.count() == 4
