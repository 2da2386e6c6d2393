"""Asking in Django, between two logins, whether people still may log in."""

import re
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import integrations, key_rotation
from social_bitbucket_server.django.models import Event
from social_bitbucket_server.django.rechecks import person_rechecked
from tests.capabilities import capability
from tests.frameworks.django.conftest import Visitor, happenings
from tests.frameworks.django.test_new_link import make_new_link

PAGE = Path(__file__).parents[3] / "docs/calling-bitbucket.md"
KEEP = {"SOCIAL_AUTH_BITBUCKET_SERVER_STORE_ACCESS_TOKEN": True}


@pytest.fixture
def run(capsys):
    def run(*arguments):
        capsys.readouterr()
        call_command("bitbucket_server", "recheck-people", *arguments)
        return capsys.readouterr().out

    return run


@pytest.fixture
def kept():
    """Access tokens are kept."""
    with override_settings(**KEEP):
        yield


@pytest.fixture
def told():
    """Yield what the application is told of each recheck: standing and problem, by user name."""
    told = {}

    def hear(sender, identity, recheck, **_more):
        told[identity.user.username] = (str(recheck.standing), recheck.problem)

    person_rechecked.connect(hear)
    yield told
    person_rechecked.disconnect(hear)


def logged_in(record, sandbox, *names):
    visitors = [Visitor() for _ in names]
    for visitor, name in zip(visitors, names, strict=True):
        visitor.log_in(record, sandbox, name)
    return visitors


@capability("rechecks")
def test_who_is_disabled_in_bitbucket_is_logged_out_and_nobody_else(acme, bitbucket_sandbox, kept, run, told):
    jane, kim, jo = logged_in(acme, bitbucket_sandbox, "jane", "kim", "jo@example")
    assert "3 may log in, 0 may not" in run("--log-out")
    bitbucket_sandbox.users.disable("jane")
    bitbucket_sandbox.revoke("kim")
    user = get_user_model().objects.get(username="jane")
    printed = run("--log-out")
    assert f"jane ({user.pk}): logged out" in printed
    assert (
        "1 may log in, 1 may not, 1 cannot be checked before their next login, 0 could not be checked now." in printed
    )
    assert (jane.name, kim.name, jo.name) == ("nobody", "kim", "jo_example")
    assert told == {
        "jane": ("refused", "account_not_admitted"),
        "kim": ("unproven", "token_revoked"),
        "jo_example": ("admitted", ""),
    }
    event = Event.objects.get(what="recheck.refused")
    assert (event.integration_id, event.user_id, event.problem) == (acme.pk, str(user.pk), "account_not_admitted")
    user.refresh_from_db()
    assert user.is_active
    assert not user.has_usable_password()


def test_without_the_option_nobody_is_logged_out(acme, bitbucket_sandbox, kept, run):
    (jane,) = logged_in(acme, bitbucket_sandbox, "jane")
    bitbucket_sandbox.users.disable("jane")
    assert ": account_not_admitted" in run()
    assert jane.name == "jane"


def test_who_is_there_again_logs_in_again(acme, bitbucket_sandbox, kept, run):
    (jane,) = logged_in(acme, bitbucket_sandbox, "jane")
    user = bitbucket_sandbox.users.by_name("jane")
    bitbucket_sandbox.users.disable("jane")
    run("--log-out")
    assert jane.name == "nobody"
    bitbucket_sandbox.users.enable("jane")
    jane.log_in(acme, bitbucket_sandbox, user.name)
    assert jane.name == "jane"


@pytest.mark.parametrize("way", ["password", "identity"])
def test_no_server_decides_on_somebody_who_has_another_way_in(acme, bitbucket_sandbox, kept, run, way):
    (jane,) = logged_in(acme, bitbucket_sandbox, "jane")
    user = get_user_model().objects.get(username="jane")
    if way == "password":
        user.set_password("correct horse")
        user.save()
        jane.client.force_login(user, "social_bitbucket_server.backends.BitbucketServerOAuth1")
    else:
        UserSocialAuth.objects.create(user=user, provider="github", uid="1")
    bitbucket_sandbox.users.disable("jane")
    assert f"jane ({user.pk}): has another way in, and stays" in run("--log-out")
    assert jane.name == "jane"


def test_somebody_whom_all_their_servers_refuse_is_logged_out(
    acme, globex, bitbucket_sandbox, other_sandbox, kept, run
):
    (jane,) = logged_in(acme, bitbucket_sandbox, "jane")
    logged_in(globex, other_sandbox, "kim")
    user = get_user_model().objects.get(username="jane")
    UserSocialAuth.objects.filter(uid__startswith=globex.namespace).update(user=user)
    bitbucket_sandbox.users.disable("jane")
    run("--log-out")
    assert jane.name == "jane"
    other_sandbox.users.disable("kim")
    run("--log-out")
    assert jane.name == "nobody"


def test_a_server_that_cannot_be_asked_for_one_is_not_asked_for_others(
    acme, globex, bitbucket_sandbox, other_sandbox, kept, run, capsys
):
    logged_in(acme, bitbucket_sandbox, "jane", "kim")
    logged_in(globex, other_sandbox, "jo@example")
    bitbucket_sandbox.stop()
    with pytest.raises(SystemExit) as ended:
        run("--log-out")
    assert ended.value.code == 1
    assert "1 may log in, 0 may not, 0 cannot be checked before their next login, 2 could not be checked now." in (
        capsys.readouterr().out
    )
    assert happenings().count("recheck.unanswered") == 1


def test_the_people_of_one_integration(acme, globex, bitbucket_sandbox, other_sandbox, kept, run):
    logged_in(acme, bitbucket_sandbox, "jane", "kim")
    logged_in(globex, other_sandbox, "jo@example")
    assert "2 may log in" in run("acme")
    assert "1 may log in" in run("globex")
    with pytest.raises(CommandError, match="There is no integration none"):
        run("none")


def test_nobody_is_asked_for_who_is_not_active_or_not_there_any_more(acme, bitbucket_sandbox, kept, run, told):
    logged_in(acme, bitbucket_sandbox, "jane")
    get_user_model().objects.update(is_active=False)
    assert "0 may log in, 0 may not, 0 cannot be checked" in run()
    assert not told


def test_people_of_a_disabled_integration_are_unknown(acme, bitbucket_sandbox, kept, run, told):
    logged_in(acme, bitbucket_sandbox, "jane")
    integrations.enable(acme, enabled=False)
    run("--log-out")
    assert told == {"jane": ("unproven", "integration_unknown")}


def test_tokens_belong_to_the_link_through_which_they_were_granted(acme, bitbucket_sandbox, kept, run, told):
    (jane,) = logged_in(acme, bitbucket_sandbox, "jane")
    key_rotation.begin(acme, with_new_link=True)
    make_new_link(bitbucket_sandbox, acme)
    run()
    assert told == {"jane": ("admitted", "")}
    assert key_rotation.verify(acme)
    run("--log-out")
    assert told == {"jane": ("unproven", "token_revoked")}
    assert jane.name == "jane"
    jane.log_in(acme, bitbucket_sandbox)
    run()
    assert told == {"jane": ("admitted", "")}


def test_without_kept_tokens_the_command_says_so(acme, run):
    with pytest.raises(CommandError, match="STORE_ACCESS_TOKEN there are no tokens"):
        run()


def test_with_one_server_people_are_asked_for_too(single, kept, run):
    jane = Visitor()
    jane.client = Client()
    begun = jane.client.post("/login/bitbucket-server/")
    jane.open(single.authorize(begun["Location"], user="jane"))
    assert jane.name == "jane"
    single.users.disable("jane")
    assert "0 may log in, 1 may not" in run("--log-out")
    assert jane.name == "nobody"


def test_an_application_decides_what_else_happens_as_the_page_says(acme, bitbucket_sandbox, kept, run):
    (code,) = re.findall(r"```python\n(from django.dispatch[^`]*)```", PAGE.read_text())
    (jane,) = logged_in(acme, bitbucket_sandbox, "jane")
    bitbucket_sandbox.users.disable("jane")
    names = {}
    exec(code, names)
    try:
        run()
    finally:
        person_rechecked.disconnect(names["deactivate"])
    assert jane.name == "nobody"
    assert not get_user_model().objects.get(username="jane").is_active


def test_an_application_that_fails_keeps_nobody_from_being_asked_for(acme, bitbucket_sandbox, kept, run, caplog):
    def fail(sender, **_more):
        raise ValueError("no")

    logged_in(acme, bitbucket_sandbox, "jane", "kim")
    person_rechecked.connect(fail)
    try:
        assert "2 may log in" in run()
    finally:
        person_rechecked.disconnect(fail)
    assert "Error calling" in caplog.text
