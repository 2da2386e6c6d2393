"""Access tokens that an application keeps, and asking with them whether people who are logged in still may be."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from social_bitbucket_server.account import Recheck
from social_bitbucket_server.account.rest import LONGEST_WAIT
from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.flask import logins
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.organizations import SealedKeys
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sandbox.state.grants import ACCESS_TOKEN_LIFETIME
from tests.capabilities import capability
from tests.flask_app import database
from tests.flask_app.models import User, models
from tests.flow.site import Site, connect, log_in, on_every_database
from tests.flow.test_configuration import run
from tests.flow.test_moves import edit, link_as_before, try_the_move
from tests.flow.test_oauth2 import BEGIN_BY_OAUTH2, prepare_upgrade
from tests.visitor import Visitor

ACCOUNT = "/o/acme/account"
RING = "SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING"


@pytest.fixture
def site_settings() -> dict[str, object]:
    return {"STORE_ACCESS_TOKENS": "1"}


@pytest.fixture
def jane(site: Site, acme: str, sandbox: Sandbox) -> Visitor:
    return person(site, acme, sandbox, "jane")


@pytest.fixture
def kim(site: Site, acme: str, sandbox: Sandbox) -> Visitor:
    return person(site, acme, sandbox, "kim")


def person(site: Site, integration: str, sandbox: Sandbox, name: str, **fields: str) -> Visitor:
    visitor = site.visitor()
    assert log_in(visitor, integration, sandbox, name, **fields).location == ACCOUNT
    return visitor


def is_logged_in(visitor: Visitor) -> bool:
    return visitor.get(ACCOUNT).status == 200


def recheck(site: Site, *arguments: str) -> tuple[int, list[str]]:
    status, output = run(site, "bitbucket-server", "recheck-people", *arguments)
    return status, output.splitlines()


def summary(may: int = 0, may_not: int = 0, unproven: int = 0, unanswered: int = 0, left: int = 0) -> str:
    return (
        f"{may} may log in, {may_not} may not, {unproven} cannot be checked before their next login, "
        f"{unanswered} could not be checked now, {left} are left for the next time."
    )


def use_ring(site: Site, ring: str) -> None:
    """As if the application were started with this one."""
    site.app.config[RING] = ring
    with site.app.app_context():
        store.keys = SealedKeys(KeyRing.parse(ring))


def kept(site: Site) -> list[dict[str, str]]:
    """Return the token data that is kept, for each identity that has any."""
    with site.app.app_context():
        return [data for (data,) in database.session.query(models.storage.user.extra_data) if data]


def number_of(site: Site, name: str) -> int:
    ((number, _),) = [row for row in site.rows(User.id, User.username) if row[1] == name]
    return int(number)


def line(site: Site, name: str, integration: str, problem: str, *, is_ended: bool = True) -> str:
    ended = ", all sessions ended" if is_ended else ""
    return f"person {number_of(site, name)} at integration {integration.rpartition('/')[2]}: {problem}{ended}"


def events(site: Site, name: str) -> list[object]:
    rows = site.rows(models.event.event, models.event.problem, models.event.id)
    return [problem for event, problem, _ in rows if event == name]


# What is kept


@on_every_database
def test_a_token_is_kept_sealed_and_of_the_profile_nothing(site: Site, jane: Visitor) -> None:
    (data,) = kept(site)
    assert set(data) == {"sealed_access_token", "integration"}
    assert data["sealed_access_token"].startswith("v1.1.")


def test_tokens_are_on_no_page_in_no_export_in_no_log_and_in_no_event(
    site: Site, owner: Visitor, acme: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        jane = person(site, acme, sandbox, "jane")
        assert recheck(site) == (0, [summary(may=1)])
        pages = ("settings/people", "settings/events", "settings/configuration/integrations.toml", "account")
        shown = [visitor.get(f"/o/acme/{page}").text for visitor in (owner, jane) for page in pages]
        sandbox.users.disable("jane")
        assert recheck(site)[0] == 0
    (token,) = sandbox._state.tokens.granted()
    shown += [
        owner.get(acme).text,
        caplog.text,
        str(site.rows(models.event.id, models.event.problem, models.event.event)),
    ]
    with site.app.app_context():
        shown += [str(details) for (details,) in database.session.query(models.event.details)]
    secrets = (token.value, token.session_handle, kept(site)[0]["sealed_access_token"])
    assert [secret for secret in secrets for text in shown if secret in text] == []
    file = site.app.extensions["engine"].url.database
    parts = [part for part in (Path(file), Path(f"{file}-wal")) if part.exists()]
    assert parts
    assert [secret for secret in secrets[:2] for part in parts if secret.encode() in part.read_bytes()] == []


def test_people_are_told_before_they_allow_it(site: Site, acme: str) -> None:
    assert "keeps this permission, encrypted" in site.visitor().get("/o/acme/login").words


def test_who_disconnects_an_account_leaves_no_token_of_it(
    site: Site, owner: Visitor, jane: Visitor, other_sandbox: Sandbox
) -> None:
    other = connect(owner, "acme", other_sandbox, name="Other").rpartition("/")[2]
    begun = jane.post(f"{ACCOUNT}/connect/{other}", ACCOUNT)
    assert jane.get(other_sandbox.authorize(begun.location, user="jane")).status == 303
    assert len(kept(site)) == 2
    assert recheck(site) == (0, [summary(may=1)])  # by the account that she is logged in with
    page = jane.get(ACCOUNT).text
    assert page.count("You came in with it: disconnecting logs you out everywhere.") == 1
    disconnect = re.findall(r'action="([^"]+/disconnect)"', page)[-1]
    assert jane.post(disconnect, ACCOUNT).status == 303
    assert len(kept(site)) == 1


def test_another_server_and_a_deleted_integration_leave_no_token(
    site: Site, owner: Visitor, acme: str, jane: Visitor, sandbox: Sandbox, other_sandbox: Sandbox
) -> None:
    other = connect(owner, "acme", other_sandbox, name="Other")
    person(site, other, other_sandbox, "kim")
    assert len(kept(site)) == 2
    assert edit(owner, other, sandbox.url, name="Other", server="another").status == 303
    assert len(kept(site)) == 1
    assert owner.post(f"{acme}/delete", name="Bitbucket").status == 303
    assert kept(site) == []


def test_a_server_that_moved_gets_no_token_of_before(
    site: Site, owner: Visitor, acme: str, jane: Visitor, sandbox: Sandbox, other_sandbox: Sandbox
) -> None:
    link_as_before(sandbox, other_sandbox)
    edit(owner, acme, other_sandbox.url, server="moved")
    try_the_move(owner, acme, other_sandbox)
    before = len(list(other_sandbox.requests))
    assert recheck(site) == (0, [summary(unproven=1)])
    assert len(list(other_sandbox.requests)) == before
    assert is_logged_in(jane)


def test_where_tokens_are_not_wanted_any_more_none_is_kept(
    site: Site, acme: str, jane: Visitor, kim: Visitor, sandbox: Sandbox
) -> None:
    site.app.config["SOCIAL_AUTH_BITBUCKET_SERVER_STORE_ACCESS_TOKEN"] = False
    person(site, acme, sandbox, "jane")
    assert len(kept(site)) == 1
    assert run(site, "bitbucket-server", "forget-access-tokens") == (0, "1 access tokens are erased.\n")
    assert kept(site) == []


@on_every_database
def test_the_ring_is_changed_for_tokens_too_also_where_nobody_can_log_in(
    site: Site, acme: str, jane: Visitor, kim: Visitor
) -> None:
    old, new = site.app.config[RING], KeyRing.generate().replace("1:", "2:", 1)
    assert run(site, "bitbucket-server", "disable", acme.rpartition("/")[2])[0] == 0
    use_ring(site, f"{new},{old}")
    for _ in range(2):
        status, output = run(site, "bitbucket-server", "reseal")
        assert (status, output.splitlines()[1]) == (0, "2 access tokens are sealed with the newest key of the ring.")
        assert {data["sealed_access_token"][:5] for data in kept(site)} == {"v1.2."}
    use_ring(site, new)
    assert run(site, "bitbucket-server", "reseal")[0] == 0


def test_a_lost_ring_keeps_nobody_from_logging_in_and_ends_no_session(
    site: Site, acme: str, jane: Visitor, sandbox: Sandbox
) -> None:
    before = kept(site)
    site.app.config[RING] = KeyRing.generate()  # the private keys have been made anew with it
    assert recheck(site) == (0, [summary(unproven=1)])
    assert is_logged_in(jane)
    assert run(site, "bitbucket-server", "reseal")[0] == 1
    assert kept(site) == before
    person(site, acme, sandbox, "jane")
    assert recheck(site) == (0, [summary(may=1)])


# Asking


@capability("rechecks")
@on_every_database
def test_who_is_disabled_loses_the_sessions_and_everybody_else_stays(
    site: Site, owner: Visitor, acme: str, jane: Visitor, kim: Visitor, sandbox: Sandbox
) -> None:
    second = person(site, acme, sandbox, "jane")
    assert recheck(site) == (0, [summary(may=2)])
    sandbox.users.disable("jane")
    ended = line(site, "jane", acme, "account_not_admitted")
    assert recheck(site, "acme") == (0, [ended, summary(may=1, may_not=1)])
    assert [is_logged_in(visitor) for visitor in (jane, second, kim)] == [False, False, True]
    assert events(site, "recheck.refused") == ["account_not_admitted"]
    assert "Bitbucket no longer lets a person log in" in owner.get("/o/acme/settings/events").words
    assert recheck(site) == (0, [summary(may=1)])

    sandbox.users.enable("jane")
    person(site, acme, sandbox, "jane")
    assert recheck(site) == (0, [summary(may=2)])


def test_sessions_by_another_account_of_the_person_end_too(
    site: Site, owner: Visitor, acme: str, jane: Visitor, sandbox: Sandbox, other_sandbox: Sandbox
) -> None:
    other = connect(owner, "acme", other_sandbox, name="Other")
    begun = jane.post(f"{ACCOUNT}/connect/{other.rpartition('/')[2]}", ACCOUNT)
    jane.get(other_sandbox.authorize(begun.location, user="jane"))
    elsewhere = person(site, other, other_sandbox, "jane")
    sandbox.users.remove("jane")
    assert recheck(site) == (0, [line(site, "jane", acme, "account_not_admitted"), summary(may=1, may_not=1)])
    assert [is_logged_in(jane), is_logged_in(elsewhere)] == [False, False]
    assert log_in(elsewhere, other, other_sandbox).location == ACCOUNT


def test_a_person_who_is_deleted_while_bitbucket_is_asked_is_left_alone(
    site: Site, jane: Visitor, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = logins.recheck

    def delete_meanwhile(identity: Any) -> Recheck:
        found = ask(identity)
        with site.app.extensions["engine"].begin() as connection:
            connection.execute(delete(User).where(User.id == number))
        return found

    number = number_of(site, "jane")
    sandbox.users.disable("jane")
    monkeypatch.setattr(logins, "recheck", delete_meanwhile)
    assert recheck(site)[1][-1] == summary(may_not=1)


def test_who_left_the_group_loses_the_session(
    site: Site, owner: Visitor, acme: str, jane: Visitor, sandbox: Sandbox
) -> None:
    owner.let_in(acme, ("group", "developers"))
    assert recheck(site) == (0, [summary(may=1)])
    sandbox.projects.take_from_group("developers", "jane")
    assert recheck(site) == (0, [line(site, "jane", acme, "person_not_allowed"), summary(may_not=1)])
    assert not is_logged_in(jane)
    assert log_in(jane, acme, sandbox).status == 403


def test_a_permission_that_was_taken_back_ends_no_session(
    site: Site, acme: str, jane: Visitor, sandbox: Sandbox
) -> None:
    sandbox.revoke("jane")
    assert recheck(site) == (0, [summary(unproven=1)])
    assert is_logged_in(jane)
    assert events(site, "session.revoked") == []
    person(site, acme, sandbox, "jane")
    assert recheck(site) == (0, [summary(may=1)])


def test_a_server_that_is_down_is_asked_once_and_ends_no_session(
    site: Site, acme: str, jane: Visitor, kim: Visitor, sandbox: Sandbox
) -> None:
    sandbox.stop()
    assert recheck(site) == (1, [line(site, "jane", acme, "connection_failed", is_ended=False), summary(unanswered=2)])
    sandbox.start()
    assert is_logged_in(jane)
    assert is_logged_in(kim)
    assert events(site, "recheck.unanswered") == ["connection_failed"]


def test_a_page_in_front_of_the_server_is_met_once(
    site: Site, acme: str, jane: Visitor, kim: Visitor, sandbox: Sandbox
) -> None:
    sandbox.faults.interception = "page"
    assert recheck(site) == (1, [line(site, "jane", acme, "login_in_front", is_ended=False), summary(unanswered=2)])
    assert is_logged_in(jane)


def test_a_limit_of_the_server_is_respected_and_others_come_first_the_next_time(
    site: Site, acme: str, jane: Visitor, kim: Visitor, sandbox: Sandbox
) -> None:
    before = len(list(sandbox.requests))
    sandbox.faults.rate_limited, sandbox.faults.retry_after = True, LONGEST_WAIT + 1
    assert recheck(site) == (1, [line(site, "jane", acme, "rate_limited", is_ended=False), summary(unanswered=2)])
    assert len(list(sandbox.requests)) == before + 1
    assert recheck(site) == (1, [line(site, "kim", acme, "rate_limited", is_ended=False), summary(unanswered=2)])
    sandbox.faults.reset()
    assert recheck(site, "--at-most", "1") == (0, [summary(may=1, left=1)])


def test_who_cannot_be_logged_in_any_more_is_not_asked_for(
    site: Site, owner: Visitor, acme: str, jane: Visitor, kim: Visitor, sandbox: Sandbox
) -> None:
    ended = f"/o/acme/settings/people/{number_of(site, 'jane')}/logout"
    assert owner.post(ended, "/o/acme/settings/people").status == 303
    assert recheck(site) == (0, [summary(may=1)])
    assert run(site, "bitbucket-server", "disable", acme.rpartition("/")[2])[0] == 0
    assert recheck(site) == (0, [summary()])


def test_another_organization_is_left_alone(site: Site, jane: Visitor) -> None:
    site.visitor().create_organization("globex")
    assert recheck(site, "globex") == (0, [summary()])
    assert recheck(site, "none") == (1, ["Error: There is no organization none."])


def test_people_who_came_by_oauth_2_are_asked_for_too(
    site: Site, owner: Visitor, acme: str, jane: Visitor, sandbox: Sandbox
) -> None:
    sandbox.faults.version = "8.19.0"
    prepare_upgrade(owner, acme, sandbox)
    new = person(site, acme, sandbox, "kim", **BEGIN_BY_OAUTH2)
    assert recheck(site) == (0, [summary(may=2)])
    sandbox.clock.advance(ACCESS_TOKEN_LIFETIME + 1)
    assert recheck(site) == (0, [summary(may=2)])
    assert recheck(site) == (0, [summary(may=2)])
    sandbox.users.disable("kim")
    assert recheck(site) == (0, [line(site, "kim", acme, "account_not_admitted"), summary(may=1, may_not=1)])
    assert [is_logged_in(jane), is_logged_in(new)] == [True, False]


def test_after_the_way_back_to_oauth_1_nobody_loses_a_session(
    site: Site, owner: Visitor, acme: str, sandbox: Sandbox
) -> None:
    sandbox.faults.version = "8.19.0"
    prepare_upgrade(owner, acme, sandbox)
    jane = person(site, acme, sandbox, "jane", **BEGIN_BY_OAUTH2)
    assert owner.post(f"{acme}/oauth2/go-back", f"{acme}/oauth2").status == 303
    assert recheck(site) == (0, [summary(unproven=1)])
    assert is_logged_in(jane)


class TestLogOut:
    """With the setting that ends the permission at a log-out."""

    @pytest.fixture(autouse=True)
    def wanted(self, site: Site) -> None:
        for name in ("", "_OAUTH2"):
            site.app.config[f"SOCIAL_AUTH_BITBUCKET_SERVER{name}_REVOKE_AT_LOGOUT"] = True

    def test_the_token_of_who_logs_out_is_erased_and_nobody_elses(
        self, site: Site, jane: Visitor, kim: Visitor
    ) -> None:
        assert len(kept(site)) == 2
        assert jane.post("/o/acme/logout", ACCOUNT).status == 303
        assert len(kept(site)) == 1
        assert [is_logged_in(jane), is_logged_in(kim)] == [False, True]

    @pytest.mark.parametrize("is_down", [False, True])
    def test_a_token_of_oauth_2_is_revoked_unless_the_server_is_down(
        self, site: Site, owner: Visitor, acme: str, sandbox: Sandbox, *, is_down: bool
    ) -> None:
        sandbox.faults.version = "8.19.0"
        prepare_upgrade(owner, acme, sandbox)
        kim = person(site, acme, sandbox, "kim", **BEGIN_BY_OAUTH2)
        sandbox.faults.server_error = is_down
        assert kim.post("/o/acme/logout", ACCOUNT).status == 303
        assert (kept(site), len(sandbox._state.grants.granted())) == ([], int(is_down))
        assert not is_logged_in(kim)

    def test_an_owner_without_an_account_logs_out(self, owner: Visitor) -> None:
        assert owner.post("/o/acme/logout", "/o/acme/login").status == 303


def test_a_log_out_leaves_tokens_alone_by_default(site: Site, jane: Visitor) -> None:
    jane.post("/o/acme/logout", ACCOUNT)
    assert len(kept(site)) == 1


def test_the_account_page_leads_to_bitbuckets_own_list(jane: Visitor, sandbox: Sandbox) -> None:
    page = jane.get(ACCOUNT)
    assert f'href="{sandbox.url}/plugins/servlet/oauth/users/access-tokens"' in page.text
    assert "See or end in Bitbucket what Demo App may do as you" in page.words


class TestWithoutTokens:
    """The default."""

    @pytest.fixture
    def site_settings(self) -> dict[str, object]:
        return {}

    def test_nothing_is_kept_and_nobody_can_be_asked_for(self, site: Site, jane: Visitor) -> None:
        assert kept(site) == []
        words = site.visitor().get("/o/acme/login").words
        assert "keeps this permission" not in words
        assert "read and write access" in words
        assert "keeps no token" in words
        sentence = "Error: Without STORE_ACCESS_TOKEN there are no access tokens to ask with."
        assert recheck(site) == (1, [sentence])
