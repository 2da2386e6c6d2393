"""Logins of people, over HTTP, with sandboxes as the organizations' Bitbucket Servers."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.sandbox import Sandbox
from tests.capabilities import capability
from tests.flask_app import database
from tests.flask_app.models import User, models
from tests.flow.site import Site, connect, log_in, on_every_database
from tests.visitor import Visitor


@on_every_database
def test_a_person_logs_in_with_the_login_link_and_sees_who_they_are(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane = site.visitor()
    answer = log_in(jane, acme, sandbox)
    assert (answer.status, answer.location) == (303, "/o/acme/account")
    account = jane.get("/o/acme/account")
    for shown in ("Jane Doe", "jane at", "Acme", sandbox.url):
        assert shown in account.words


@pytest.mark.parametrize("user", ["jo@example", "kim", "natasha"])
def test_people_with_unusual_records_log_in(site: Site, sandbox: Sandbox, acme: str, user: str) -> None:
    record, visitor = sandbox.users.by_name(user), site.visitor()
    assert record
    assert log_in(visitor, acme, sandbox, user).location == "/o/acme/account"
    words = visitor.get("/o/acme/account").words
    assert f"You are logged in to Acme as {record.display_name}." in words


def test_a_service_account_is_told_why_it_cannot_log_in(site: Site, sandbox: Sandbox, acme: str) -> None:
    page = log_in(site.visitor(), acme, sandbox, "build-bot")
    assert page.status == 403
    for words in ("Acme", "not a person's", "Reference", "Back to Acme's login"):
        assert words in page.words
    assert re.search(r"\b[0-9A-F]{8}\b", page.words)
    assert 'href="/o/acme/login"' in page.text


def test_logging_out_ends_the_session_for_every_copy_of_its_cookie(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane, copy = site.visitor(), site.visitor()
    log_in(jane, acme, sandbox)
    copy.transport.session_cookie = jane.transport.session_cookie
    assert copy.get("/o/acme/account").status == 200
    assert jane.post("/o/acme/logout", "/o/acme/account").location == "/o/acme/login"
    assert copy.get("/o/acme/account").location.startswith("/o/acme/login")


def test_a_person_with_a_new_name_comes_back_to_the_same_account(site: Site, sandbox: Sandbox, acme: str) -> None:
    log_in(site.visitor(), acme, sandbox)
    sandbox.users.rename("jane", "jane.doe")
    assert log_in(site.visitor(), acme, sandbox, user="jane.doe").status == 303
    assert site.rows(User.username) == [("jane.doe",), ("owner",)]


def test_a_login_begun_on_a_page_returns_to_it(site: Site, sandbox: Sandbox, acme: str) -> None:
    answer = log_in(site.visitor(), acme, sandbox, next="/o/acme/settings/people?x=1")
    assert answer.location == "/o/acme/settings/people?x=1"


@pytest.mark.parametrize(
    "next_page", ["//evil.example", "https://evil.example/", "/o/other/account", "/organizations/new"]
)
def test_a_login_returns_to_pages_of_the_organization_only(
    site: Site, sandbox: Sandbox, acme: str, next_page: str
) -> None:
    assert log_in(site.visitor(), acme, sandbox, next=next_page).location == "/o/acme/account"


def test_the_status_says_when_the_last_login_was(site: Site, sandbox: Sandbox, acme: str) -> None:
    owner = site.visitor()
    owner.log_owner_in("acme")
    assert "Draft" in owner.get("/o/acme/settings/integrations").words
    log_in(site.visitor(), acme, sandbox)
    assert "Working" in owner.get("/o/acme/settings/integrations").words


def test_two_organizations_on_one_server_stay_apart(site: Site, sandbox: Sandbox, acme: str) -> None:
    owner = site.visitor()
    owner.create_organization("globex")
    globex = connect(owner, "globex", sandbox)
    at_acme, at_globex = site.visitor(), site.visitor()
    log_in(at_acme, acme, sandbox)
    log_in(at_globex, globex, sandbox)
    assert len(site.rows(User.id)) == 4, "two owners, and one Jane in each organization"
    assert at_acme.get("/o/globex/account").status == 404
    assert at_globex.get("/o/acme/account").status == 404


def test_equal_user_ids_on_two_servers_are_two_people(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, acme: str
) -> None:
    owner = site.visitor()
    owner.create_organization("globex")
    globex = connect(owner, "globex", other_sandbox)
    log_in(site.visitor(), acme, sandbox)
    log_in(site.visitor(), globex, other_sandbox)
    identities = site.rows(models.storage.user.uid, models.storage.user.user_id)
    assert len({user_id for _uid, user_id in identities}) == 2
    assert {uid.rpartition(":")[2] for uid, _user_id in identities} == {"2"}


@on_every_database
def test_two_integrations_of_one_organization_work_on_one_server(site: Site, sandbox: Sandbox, acme: str) -> None:
    owner = site.visitor()
    owner.log_owner_in("acme")
    second = connect(owner, "acme", sandbox, name="Second")
    log_in(site.visitor(), acme, sandbox)
    assert log_in(site.visitor(), second, sandbox).status == 303
    assert site.rows(User.username) == [("jane",), ("jane-2",), ("owner",)]


def test_declining_leads_back_to_the_login_page_with_a_notice(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane = site.visitor()
    answer = jane.get(sandbox.authorize(jane.begin(acme).location, user="jane", allow=False))
    assert (answer.status, answer.location) == (303, "/o/acme/login?e=declined")
    assert "Nobody was logged in." in jane.get(answer.location).words


def test_asking_for_the_headers_of_a_callback_finishes_no_login(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane = site.visitor()
    callback = urlsplit(sandbox.authorize(jane.begin(acme).location, user="jane"))
    asked = len(sandbox.requests)
    assert jane.transport.send("HEAD", f"{callback.path}?{callback.query}", None, {}).status == 405
    assert len(sandbox.requests) == asked
    assert jane.get(callback.geturl()).status == 303


def test_a_callback_works_once(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane = site.visitor()
    callback = sandbox.authorize(jane.begin(acme).location, user="jane")
    assert jane.get(callback).status == 303
    asked = len(sandbox.requests)
    assert jane.get(callback).status == 400
    assert len(sandbox.requests) == asked


@on_every_database
def test_a_callback_works_once_when_it_comes_many_times_at_once(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane = site.visitor()
    callback = sandbox.authorize(jane.begin(acme).location, user="jane")
    copies = [site.visitor() for _ in range(6)]
    for copy in copies:
        copy.transport.session_cookie = jane.transport.session_cookie
    with ThreadPoolExecutor(6) as threads:
        statuses = sorted(threads.map(lambda copy: copy.get(callback).status, copies))
    assert statuses == [303, 400, 400, 400, 400, 400]


@on_every_database
def test_first_logins_at_once_make_one_person(site: Site, sandbox: Sandbox, acme: str) -> None:
    browsers = [site.visitor() for _ in range(4)]
    callbacks = [sandbox.authorize(browser.begin(acme).location, user="jane") for browser in browsers]
    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(lambda pair: pair[0].get(pair[1]).status, zip(browsers, callbacks, strict=True)))
    assert statuses == [303] * 4
    assert site.rows(User.username) == [("jane",), ("owner",)]


def test_a_callback_in_another_browser_logs_nobody_in(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane, other = site.visitor(), site.visitor()
    callback = sandbox.authorize(jane.begin(acme).location, user="jane")
    answer = other.get(callback)
    assert answer.status == 400
    assert "This login is not under way in this browser" in answer.words
    assert other.get("/o/acme/account").status == 303
    assert jane.get(callback).status == 303, "Jane's own login is not harmed"


def test_an_error_page_repeats_nothing_of_the_address(site: Site, sandbox: Sandbox, acme: str) -> None:
    callback = sandbox.authorize(site.visitor().begin(acme).location, user="jane")
    token, verifier = (part.partition("=")[2] for part in callback.partition("?")[2].split("&"))
    page = site.visitor().get(callback)
    assert token not in page.text
    assert verifier not in page.text


def test_a_login_attaches_nothing_to_whoever_was_logged_in(site: Site, sandbox: Sandbox, acme: str) -> None:
    browser = site.visitor()
    log_in(browser, acme, sandbox, user="jane")
    log_in(browser, acme, sandbox, user="kim")
    assert "Kim Without E-mail" in browser.get("/o/acme/account").words
    users = [user_id for (user_id,) in site.rows(models.storage.user.user_id)]
    assert len(set(users)) == len(users) == 2


def test_the_session_of_whoever_was_logged_in_ends(site: Site, sandbox: Sandbox, acme: str) -> None:
    browser, copy = site.visitor(), site.visitor()
    log_in(browser, acme, sandbox, user="jane")
    copy.transport.session_cookie = browser.transport.session_cookie
    log_in(browser, acme, sandbox, user="kim")
    assert copy.get("/o/acme/account").status == 303


def test_the_session_is_renewed_at_login(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane = site.visitor()
    callback = sandbox.authorize(jane.begin(acme).location, user="jane")
    before = jane.transport.session_cookie
    jane.get(callback)
    assert jane.transport.session_cookie != before


def test_a_login_that_ends_leaves_those_in_other_tabs_under_way(site: Site, sandbox: Sandbox, acme: str) -> None:
    browser = site.visitor()
    callbacks = [sandbox.authorize(browser.begin(acme).location, user=user) for user in ("jane", "kim")]
    assert browser.get(callbacks[0]).status == 303
    assert "Jane Doe" in browser.get("/o/acme/account").words
    browser.log_owner_in("acme")
    assert browser.get(callbacks[1]).status == 303
    assert "Kim" in browser.get("/o/acme/account").words


def test_logging_out_ends_the_logins_under_way(site: Site, sandbox: Sandbox, acme: str) -> None:
    browser = site.visitor()
    log_in(browser, acme, sandbox)
    callback = sandbox.authorize(browser.begin(acme).location, user="jane")
    browser.post("/o/acme/logout", "/o/acme/account")
    assert "This login is not under way in this browser" in browser.get(callback).words


@on_every_database
def test_a_disabled_person_is_logged_out_and_not_let_in(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane, owner = site.visitor(), site.visitor()
    log_in(jane, acme, sandbox)
    owner.log_owner_in("acme")
    ((user_id,),) = site.rows(models.storage.user.user_id)
    owner.post(f"/o/acme/settings/people/{user_id}/disable", "/o/acme/settings/people")
    assert jane.get("/o/acme/account").status == 303
    answer = log_in(jane, acme, sandbox)
    assert answer.status == 403
    assert "it is disabled in this organization" in answer.words


@capability("sessions")
@on_every_database
def test_disabling_an_integration_ends_logins_through_it(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane, late, owner = site.visitor(), site.visitor(), site.visitor()
    log_in(jane, acme, sandbox)
    callback = sandbox.authorize(late.begin(acme).location, user="jane")
    owner.log_owner_in("acme")
    owner.post(f"{acme}/disable")
    assert jane.get("/o/acme/account").status == 303
    assert late.get(callback).status == 404
    assert "No Bitbucket Server can be used here yet" in jane.get("/o/acme/login").words


@capability("integration")
@on_every_database
def test_deleting_an_integration_deletes_its_people(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane, owner = site.visitor(), site.visitor()
    log_in(jane, acme, sandbox)
    owner.log_owner_in("acme")
    question = owner.get(f"{acme}/delete").words
    assert "1 person of Acme loses their account" in question
    assert "Delete Bitbucket and 1 account" in question
    assert owner.post(f"{acme}/delete", name="Bitbucket").status == 303
    assert jane.get("/o/acme/account").status == 303
    assert site.rows(User.username) == [("owner",)]
    assert site.rows(models.storage.user.uid) == []


def test_nothing_but_the_identity_is_kept_of_a_login(site: Site, sandbox: Sandbox, acme: str) -> None:
    log_in(site.visitor(), acme, sandbox)
    assert site.rows(models.storage.user.extra_data) == [({},)]


@capability("key rotation")
def test_a_new_key_pair_replaces_the_old_one_once_bitbucket_has_it(site: Site, sandbox: Sandbox, acme: str) -> None:
    owner = site.visitor()
    owner.log_owner_in("acme")
    owner.post(f"{acme}/key-pair", f"{acme}/key-pair")
    page = owner.worksheet(acme)
    new, old = owner.key_pair(acme).value_of("Public Key"), page.value_of("Public Key")
    assert new != old
    assert log_in(site.visitor(), acme, sandbox).status == 303

    refused = owner.post(f"{acme}/key-pair/verify", f"{acme}/key-pair")
    assert refused.status == 422
    assert "Bitbucket does not have the new public key yet." in refused.words
    assert log_in(site.visitor(), acme, sandbox).status == 303

    for link in list(sandbox.links.all()):
        sandbox.links.remove(link.id)
    sandbox.link(consumer_key=page.value_of("Consumer Key"), public_key=new)
    assert owner.post(f"{acme}/key-pair/verify", f"{acme}/key-pair").status == 303
    assert owner.worksheet(acme).value_of("Public Key") == new
    assert log_in(site.visitor(), acme, sandbox).status == 303


@pytest.fixture
def rotating(site: Site, sandbox: Sandbox, acme: str) -> tuple[Visitor, Callable[[], None]]:
    """The owner of acme, whose integration has a key pair that waits, and what puts its public key into Bitbucket."""
    owner = site.visitor()
    owner.log_owner_in("acme")
    owner.post(f"{acme}/key-pair", f"{acme}/key-pair")
    public_key = owner.key_pair(acme).value_of("Public Key")
    return owner, lambda: put_into_bitbucket(sandbox, public_key)


def put_into_bitbucket(sandbox: Sandbox, public_key: str) -> None:
    """Replace the public key of the one application link."""
    (link,) = sandbox.links.all()
    assert link.consumer is not None
    sandbox.links.set_consumer(link.id, replace(link.consumer, public_key=public_key))


def nonces_of_request_tokens(sandbox: Sandbox, since: int) -> list[str]:
    asked = [record for record in list(sandbox.requests)[since:] if record.path.endswith("/request-token")]
    return [record.oauth_parameters["oauth_nonce"] for record in asked]


def test_a_login_that_is_refused_with_the_old_key_tries_the_new_one_once_and_puts_it_in_use(
    site: Site, sandbox: Sandbox, acme: str, rotating: tuple[Visitor, Callable[[], None]]
) -> None:
    owner, paste = rotating
    new = owner.key_pair(acme).value_of("Public Key")
    paste()
    since = len(sandbox.requests)
    assert log_in(site.visitor(), acme, sandbox).status == 303
    nonces = nonces_of_request_tokens(sandbox, since)
    assert len(nonces) == len(set(nonces)) == 2
    assert owner.worksheet(acme).value_of("Public Key") == new
    assert sorted(site.rows(models.key_pair.stored_state, models.key_pair.sealed_private_key.is_(None))) == [
        ("active", False),
        ("retired", True),
    ]
    since = len(sandbox.requests)
    assert log_in(site.visitor(), acme, sandbox).status == 303
    assert len(nonces_of_request_tokens(sandbox, since)) == 1
    assert site.rows(models.event.event).count(("key.promoted",)) == 1


def test_a_login_under_way_while_bitbucket_gets_the_new_key_is_finished_with_it(
    site: Site, sandbox: Sandbox, acme: str, rotating: tuple[Visitor, Callable[[], None]]
) -> None:
    _, paste = rotating
    first, second = site.visitor(), site.visitor()
    answers = [(visitor, sandbox.authorize(visitor.begin(acme).location)) for visitor in (first, second)]
    paste()
    assert [visitor.get(answer).status for visitor, answer in answers] == [303, 303]
    assert site.rows(models.event.event).count(("key.promoted",)) == 1


def test_a_login_that_is_refused_with_both_keys_fails_and_changes_nothing(
    site: Site, sandbox: Sandbox, acme: str, rotating: tuple[Visitor, Callable[[], None]]
) -> None:
    put_into_bitbucket(sandbox, PrivateKey.generate().public.pem)
    since = len(sandbox.requests)
    assert site.visitor().begin(acme).status == 503
    assert len(nonces_of_request_tokens(sandbox, since)) == 2
    assert sorted(site.rows(models.key_pair.stored_state)) == [("active",), ("pending",)]


def test_a_new_key_that_cannot_be_opened_keeps_nobody_out_and_is_written_down(
    site: Site, sandbox: Sandbox, acme: str, rotating: tuple[Visitor, Callable[[], None]]
) -> None:
    owner, _ = rotating
    with site.app.app_context():
        (pair,) = database.session.scalars(select(models.key_pair).where(models.key_pair.stored_state == "pending"))
        pair.sealed_private_key = "garbage"
        database.session.commit()
    assert log_in(site.visitor(), acme, sandbox).status == 303
    written_down = site.rows(models.event.event, models.event.integration_id, models.event.details)
    unopened = [(id_, details["code"]) for event, id_, details in written_down if event == "key.decrypt_failed"]
    assert set(unopened) == {(acme.rpartition("/")[2], "pending_key")}
    assert "people log in with the one in use" in owner.get("/o/acme/settings/events").words


def test_another_organizations_integration_cannot_begin_here(site: Site, sandbox: Sandbox, acme: str) -> None:
    owner = site.visitor()
    owner.create_organization("globex")
    integration = acme.rpartition("/")[2]
    asked = len(sandbox.requests)
    answer = site.visitor().post(f"/o/globex/login/{integration}/begin", "/o/acme/login")
    assert answer.status == 404
    assert len(sandbox.requests) == asked


def test_an_unreachable_server_is_explained_with_a_reference(site: Site, sandbox: Sandbox, acme: str) -> None:
    sandbox.stop()
    answer = site.visitor().begin(acme)
    assert answer.status == 502
    for words in ("Acme", "The Bitbucket Server could not be reached", "Reference", "Back to Acme's login"):
        assert words in answer.words


def test_people_who_are_not_the_owner_find_no_settings(site: Site, sandbox: Sandbox, acme: str) -> None:
    jane = site.visitor()
    log_in(jane, acme, sandbox)
    for path in (acme, f"{acme}/edit", "/o/acme/settings/people", "/o/acme/settings/integrations"):
        assert jane.get(path).status == 404
    assert "Settings" not in jane.get("/o/acme/account").words
