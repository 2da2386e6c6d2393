"""How an integration fares: its state, what the owner does first, and what people read when a login fails."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import event

from social_bitbucket_server.flask.organizations import recording
from social_bitbucket_server.organizations import EventCode
from social_bitbucket_server.sandbox import Sandbox
from tests.capabilities import capability
from tests.flow.site import Site, connect, log_in, on_every_database
from tests.flow.test_oauth2 import enter, link_oauth2
from tests.visitor import Page, Visitor


def integration_of(path: str) -> str:
    return path.rpartition("/")[2]


def state_of(page: Page) -> str:
    found = re.search(r'<span class="condition[^"]*"><svg.*?</svg>(.*?)</span>', page.text, re.DOTALL)
    assert found, page.text
    return found[1]


def test_connection(owner: Visitor, path: str) -> Page:
    return owner.post(f"{path}/test", path)


test_connection.__test__ = False  # type: ignore[attr-defined]


@capability("condition")
@on_every_database
def test_the_state_goes_from_draft_to_working_to_failing_and_back(
    site: Site,
    sandbox: Sandbox,
    acme: str,
    owner: Visitor,
) -> None:
    seen = [state_of(owner.get(acme))]
    test_connection(owner, acme)
    seen.append(state_of(owner.get(acme)))
    log_in(site.visitor(), acme, sandbox)
    seen.append(state_of(owner.get(acme)))
    sandbox.faults.server_error = True
    site.visitor().begin(acme)
    seen.append(state_of(owner.get(acme)))
    sandbox.faults.server_error = False
    log_in(site.visitor(), acme, sandbox)
    seen.append(state_of(owner.get(acme)))
    assert [state.partition(" since ")[0] for state in seen] == ["Draft", "Never used", "Working", "Failing", "Working"]
    assert seen[3].endswith("UTC")


def test_the_login_link_of_an_organization_is_shown_once_when_an_integration_has_worked(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor
) -> None:
    for name in ("Second", "Third"):
        connect(owner, "acme", sandbox, name)
    pages = ("/o/acme/settings/integrations", acme)

    def links_shown() -> list[int]:
        return [owner.get(page).text.count(f"{site.origin}/o/acme/login") for page in pages]

    assert links_shown() == [0, 0]
    test_connection(owner, acme)
    assert links_shown() == [1, 1]
    assert owner.post(f"{acme}/disable").status == 303
    assert links_shown() == [0, 0]


@pytest.mark.parametrize("somebody_logged_in", [True, False])
def test_what_was_tested_at_the_old_server_says_nothing_about_another_one(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, acme: str, owner: Visitor, somebody_logged_in: bool
) -> None:
    test_connection(owner, acme)
    if somebody_logged_in:
        log_in(site.visitor(), acme, sandbox)
    fields = {"name": "Bitbucket", "base_url": other_sandbox.url}
    assert owner.post(f"{acme}/edit", server="another", **fields).status == 303
    assert state_of(owner.get(acme)) == "Draft"
    assert state_of(owner.get("/o/acme/settings/integrations")) == "Draft"
    site.visitor().begin(acme)
    assert state_of(owner.get(acme)) == "Draft", "it never worked there"
    page = owner.worksheet(acme)
    other_sandbox.link(consumer_key=page.value_of("Consumer Key"), public_key=page.value_of("Public Key"))
    test_connection(owner, acme)
    assert state_of(owner.get(acme)) == "Never used"


def test_a_login_by_oauth_2_that_fails_during_the_upgrade_does_not_make_the_integration_fail(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor
) -> None:
    log_in(site.visitor(), acme, sandbox)
    sandbox.faults.version = "8.19.0"
    link = link_oauth2(owner, acme, sandbox)
    enter(owner, acme, link.client_id, "another-secret")
    assert log_in(site.visitor(), acme, sandbox, oauth="2").status == 503
    assert state_of(owner.get(acme)) == "Working"
    assert "Login failed" in owner.get(acme).words
    trial = owner.post(f"{acme}/try", acme, oauth="2")
    owner.get(sandbox.authorize(trial.location, user="jane"))
    assert state_of(owner.get(acme)) == "Working"
    sandbox.links.remove(sandbox.links.all()[0].id)
    site.visitor().begin(acme)
    assert state_of(owner.get(acme)).startswith("Failing"), "OAuth 1 is what people use"
    owner.post(f"{acme}/oauth2/go-back", f"{acme}/oauth2")
    assert state_of(owner.get(acme)).startswith("Failing")


@pytest.mark.parametrize(("user", "allow"), [("jane", False), ("build-bot", True)])
def test_a_trial_that_ends_by_one_persons_own_problem_does_not_make_the_integration_fail(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor, user: str, allow: bool
) -> None:
    log_in(site.visitor(), acme, sandbox)
    begun = owner.post(f"{acme}/try", acme)
    assert owner.get(sandbox.authorize(begun.location, user=user, allow=allow)).status == 303
    assert state_of(owner.get(acme)) == "Working"


@capability("notices")
def test_a_failing_integration_says_what_to_do_first(
    site: Site,
    sandbox: Sandbox,
    acme: str,
    owner: Visitor,
) -> None:
    log_in(site.visitor(), acme, sandbox)
    sandbox.faults.server_error = True
    site.visitor().begin(acme)
    words = owner.get(acme).words
    assert "People cannot log in through it." in words
    assert "The Bitbucket Server reported an error of its own" in words
    for label in ("Since", "Who can mend it", "What to do", "Last success", "First failure", "1 failed login"):
        assert label in words
    assert "Failing since today" in owner.get("/o/acme/settings/integrations").words


def test_an_invalid_signature_sends_the_owner_to_the_test_that_explains_it_part_by_part(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor
) -> None:
    log_in(site.visitor(), acme, sandbox)
    sandbox.faults.seen_host = "internal.example"
    site.visitor().begin(acme)
    words = owner.get(acme).words
    assert "The test of the connection compares part by part" in words
    assert "internal.example" in test_connection(owner, acme).words


def test_what_one_person_did_or_is_does_not_make_an_integration_fail(
    site: Site,
    sandbox: Sandbox,
    acme: str,
    owner: Visitor,
) -> None:
    log_in(site.visitor(), acme, sandbox)
    declining = site.visitor()
    begun = declining.begin(acme)
    declining.get(sandbox.authorize(begun.location, user="jane", allow=False))
    stranger = site.visitor()
    callback = f"/complete/bitbucket-server/{integration_of(acme)}/?oauth_token=x&oauth_verifier=y"
    assert stranger.get(callback).status == 400
    assert state_of(owner.get(acme)) == "Working"


def test_what_a_bitbucket_admin_mends_comes_with_a_message_to_pass_on(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor
) -> None:
    log_in(site.visitor(), acme, sandbox)
    sandbox.links.remove(sandbox.links.all()[0].id)
    failed = re.search(r"\b[0-9A-F]{8}\b", site.visitor().begin(acme).words)
    page = owner.get(acme)
    message = page.text.partition('id="message"')[2].partition("</div>")[0]
    assert failed
    assert failed[0] in message
    assert "people cannot log in to Demo App" in message
    assert "Make a set-up link for the admin" in page.words
    assert page.text.count('class="button primary') == 1


def test_a_person_reads_that_it_is_nothing_they_did_and_what_to_pass_on(
    site: Site,
    sandbox: Sandbox,
    acme: str,
    owner: Visitor,
) -> None:
    sandbox.faults.seen_host = "internal.example"
    page = site.visitor().begin(acme)
    assert "<h1>You cannot log in at the moment</h1>" in page.text
    assert "It is nothing that you did" in page.words
    number = re.search(r"Reference number ([0-9A-F]{8})", page.words)
    assert number
    found = owner.get(f"/o/acme/settings/events?reference={number[1]}")
    assert "Bitbucket could not verify the signature" in found.words


def test_an_account_that_is_disabled_is_named_to_its_person(
    site: Site,
    sandbox: Sandbox,
    acme: str,
) -> None:
    jane = site.visitor()
    back = sandbox.authorize(jane.begin(acme).location, user="jane")
    sandbox.users.disable("jane")
    page = jane.get(back)
    assert page.status == 403
    assert "<h1>This Bitbucket account cannot be used to log in</h1>" in page.text


def test_recent_events_are_few_and_take_the_same_number_of_queries(
    site: Site,
    sandbox: Sandbox,
    acme: str,
    owner: Visitor,
) -> None:
    asked: list[str] = []
    event.listen(site.app.extensions["engine"], "before_cursor_execute", lambda *given: asked.append(given[2]))

    def queries() -> int:
        asked.clear()
        owner.get(acme)
        return len(asked)

    def fail(times: int) -> None:
        with site.app.app_context():
            for _ in range(times):
                recording.record(
                    EventCode.LOGIN_FAILURE,
                    outcome="failure",
                    organization_id=1,
                    integration_id=integration_of(acme),
                    problem="timeout",
                )

    log_in(site.visitor(), acme, sandbox)
    fail(2)
    few = queries()
    fail(120)
    assert queries() <= few
    page = owner.get(acme)
    assert page.text.count('class="event bad"') == 5
    assert "122 failed logins" in page.words


def test_the_worksheet_follows_the_version_that_the_test_found(site: Site, owner: Visitor) -> None:
    for version, dialog, advice in (
        ("7.6.0", "Bitbucket up to 7.19", ""),
        ("8.19.0", "Bitbucket 7.20 to 10.0", "OAuth 2 is the better way"),
        ("10.2.0", "Bitbucket 10.1 and later", "It still takes OAuth 1"),
    ):
        server = Sandbox(version=version)
        server.start()
        try:
            path = owner.add_integration("acme", server.url, version)
            assert "Bitbucket 10.1 and later" in _chosen(owner.worksheet(path))
            test_connection(owner, path)
            page = owner.worksheet(path)
        finally:
            server.stop()
        assert dialog in _chosen(page)
        assert advice in page.words
        assert f"Bitbucket {version}" in page.words
        if not advice:
            assert "OAuth 2 is the better way" not in page.words


def _chosen(page: Page) -> str:
    found = re.search(r'aria-current="true">(Bitbucket [^<]+)</a>', page.text)
    assert found, page.text
    return found[1]


@on_every_database
def test_the_application_is_told_when_an_integration_begins_to_fail_and_when_it_works_again(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor
) -> None:
    def tell(sender: object, event: EventCode, details: dict[str, str]) -> None:
        told.append((event, details))

    def turns() -> list[EventCode]:
        return [event for event, _ in told if event in {EventCode.INTEGRATION_FAILING, EventCode.INTEGRATION_WORKING}]

    told: list[tuple[EventCode, dict[str, str]]] = []
    with recording.event_recorded.connected_to(tell, site.app):
        sandbox.faults.server_error = True
        test_connection(owner, acme)
        sandbox.faults.server_error = False
        log_in(site.visitor(), acme, sandbox)
        assert turns() == [], "it was a draft"
        sandbox.faults.server_error = True
        for _ in range(2):
            site.visitor().begin(acme)
        assert turns() == [EventCode.INTEGRATION_FAILING]
        failing = next(details for event, details in told if event is EventCode.INTEGRATION_FAILING)
        failed = next(details for event, details in told if event is EventCode.LOGIN_FAILURE)
        names = ("organization_id", "integration_id", "problem", "reference")
        assert [failing[name] for name in names] == [failed[name] for name in names]
        sandbox.faults.server_error = False
        for _ in range(2):
            log_in(site.visitor(), acme, sandbox)
    assert turns() == [EventCode.INTEGRATION_FAILING, EventCode.INTEGRATION_WORKING]
    assert state_of(owner.get(acme)) == "Working"
    assert "An integration that failed works again" in owner.get("/o/acme/settings/events").words
