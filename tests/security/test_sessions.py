"""Sessions, connecting accounts, and logins that somebody else began."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.login import pending
from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.flask_app import database
from tests.flask_app.models import models
from tests.routes import address_of
from tests.security.rows import row
from tests.security.world import (
    ALICE,
    Browser,
    Page,
    Place,
    everywhere,
    on_every_database,
    person,
    with_integrations_in_a_database,
)


@pytest.fixture
def later(monkeypatch) -> Callable[..., None]:
    """Sets this application's clock ahead."""
    ahead = timedelta()

    def advance(**duration: float) -> None:
        nonlocal ahead
        ahead += timedelta(**duration)

    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + ahead)
    return advance


def copy(world, browser: Browser) -> Browser:
    """Another browser with the same cookies."""
    other = world.browser()
    other.cookies = dict(browser.cookies)
    return other


def is_logged_in(browser: Browser, place: Place) -> bool:
    return browser.get(place.account_path).status == 200


def begin_connecting(browser: Browser, place: Place) -> Page:
    page = f"{place.account_path}/connect"
    return browser.post(f"{page}/{place.integration_id}", token_from=page)


def connect(browser: Browser, place: Place, name: str) -> Page:
    return browser.finish(place, begin_connecting(browser, place), name)


def disconnect(browser: Browser, place: Place, uid: str) -> Page:
    return browser.post(disconnect_path(browser, place, uid), token_from=place.account_path)


def disconnect_path(browser: Browser, place: Place, uid: str) -> str:
    with browser._world.context():
        known = select(models.identity.id).where(models.identity.uid == uid)
        identity_id = database.session.scalar(known)
    return f"{place.account_path}/identities/{identity_id}/disconnect"


@row(19)
@everywhere
def test_a_login_does_not_begin_by_get(world, application):
    anonymous, alice = world.browser(), world.browser()
    anonymous.get(world.a.login_path)
    alice.log_in(world.a, "alice")
    world.fa.received.clear()
    # Where links of other sites may lead to this address, there is a page with the one button.
    before, has_page = world.everything_stored(), world.a.begin_path == world.a.login_path or application == "flask"
    for browser in (anonymous, alice):
        cookies = dict(browser.cookies)
        assert browser.get(world.a.begin_path).status == (200 if has_page else 405)
        # Flask-Login writes down that somebody was looked for, in a session that rests in the cookie.
        assert browser.cookies == cookies or application == "flask"
    assert world.everything_stored() == before
    assert world.fa.received == []


@row(20)
@everywhere
def test_a_login_begins_with_this_sessions_token_only(world):
    browser, other = world.browser(), world.browser()
    browser.get(world.a.login_path)
    ((field, foreign),) = other.get(world.a.login_path).csrf_field.items()
    with world.nothing_new():
        for form in ({}, {field: ""}, {field: "wrong"}, {field: foreign}):
            assert browser.post(world.a.begin_path, form).status in {400, 403}
    assert world.fa.received == []


@row(21)
@everywhere
def test_a_form_of_another_site_begins_nothing(world):
    """Whatever token it has: Django looks at the one header, the others at the other."""
    browser = world.browser()
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert browser.post(world.a.begin_path, token_from=world.a.login_path, headers=headers).status in {400, 403}
    assert world.fa.received == []
    headers = {"Sec-Fetch-Site": "same-origin"}
    assert browser.post(world.a.begin_path, token_from=world.a.login_path, headers=headers).status == 303


@row(21)
def test_a_form_of_a_neighbouring_site_begins_nothing(world):
    browser, headers = world.browser(), {"Sec-Fetch-Site": "same-site"}
    assert browser.post(world.a.begin_path, token_from=world.a.login_path, headers=headers).status == 400
    assert world.fa.received == []


@row(22)
@everywhere
def test_a_login_as_somebody_else_attaches_nothing(world):
    browser = world.browser()
    browser.log_in(world.a, "alice")
    assert browser.log_in(world.b, "mallory").status == 303
    alice, mallory = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": alice.id, f"{world.b.namespace}:42": mallory.id}


@row(22)
def test_a_login_as_somebody_else_switches_and_ends_the_old_session(world):
    browser = world.browser()
    browser.log_in(world.a, "alice")
    old = copy(world, browser)
    assert browser.log_in(world.b, "mallory").status == 303
    assert not is_logged_in(old, world.a)
    assert "Organization B" in browser.get(world.b.account_path).text
    assert browser.get(world.a.account_path).status == 404


PUBLIC = {
    "bitbucket.organization.page",
    "bitbucket.organization.page_of_integration",
    "bitbucket.organization.login",
    "bitbucket.login.begin",
    "owner.login",
    "owner.check_password",
}


@row(23)
@pytest.mark.parametrize("role", ["member", "owner"])
def test_another_organizations_pages_are_not_there(world, role):
    alice, browser = world.browser(), world.browser()
    alice.log_in(world.a, "alice")
    (user,) = world.users()
    if role == "owner":
        browser.log_owner_in(world.b)
    else:
        browser.log_in(world.b, "mallory")
    values = {"slug": "a", "integration": world.a.integration_id, "person": user.id, "identity_id": 1, "event_id": 1}
    values["number"] = 1
    token = browser.get(world.b.account_path).csrf_token
    tried = 0
    for rule in world.app.url_map.iter_rules():
        if "slug" not in rule.arguments or rule.endpoint in PUBLIC:
            continue
        path = address_of(rule, values)
        for method in sorted(rule.methods & {"GET", "POST"}):
            seen = len(world.events("admin.denied"))
            answer = browser.get(path) if method == "GET" else browser.post(path, {"csrf_token": token})
            assert answer.status == 404, (method, path)
            is_admin_page = "/settings" in path
            assert len(world.events("admin.denied")) - seen == is_admin_page, path
            tried += 1
    assert tried > 20
    assert is_logged_in(alice, world.a)


@row(24)
@everywhere
def test_no_address_of_social_cores_own_connects_anything(world):
    browser = world.browser()
    browser.log_in(world.a, "alice")
    before, token = world.identities(), browser.get(world.b.login_path).csrf_field
    integration_id = world.b.integration_id
    for path in (
        world.b.callback(),
        "/complete/bitbucket-server/",
        "/disconnect/bitbucket-server/",
        "/disconnect/bitbucket-server/1/",
        f"/associate/bitbucket-server/{integration_id}/",
        f"/link/bitbucket-server/{integration_id}/",
        "/social/login/bitbucket-server/",
    ):
        assert browser.post(path, token).status in {404, 405}, path
    assert world.fb.received == []
    assert world.identities() == before


@row(24)
def test_nothing_connects_without_the_forms_purpose(world):
    browser = world.browser()
    browser.log_in(world.a, "alice")
    before = world.identities()
    other = world.another_integration(world.a, world.fb)
    token = browser.get(world.a.account_path).csrf_token
    integration_id = other.integration_id
    for path in (
        "/login/bitbucket-server/",
        f"/login/bitbucket-server/{integration_id}/",
        "/connect/bitbucket-server/",
        # Connecting is for the organization's own integrations.
        f"/o/a/account/connect/{world.b.integration_id}",
        f"/o/b/account/connect/{world.b.integration_id}",
        # This one is connected already.
        f"/o/a/account/connect/{world.a.integration_id}",
    ):
        assert browser.post(path, {"csrf_token": token}).status in {404, 405}, path
    assert browser.post(f"/o/a/account/connect/{integration_id}", {}).status == 400
    assert browser.get(f"/o/a/account/connect/{integration_id}").status == 405
    assert world.fb.received == []
    assert world.identities() == before
    assert not [rule.endpoint for rule in world.app.url_map.iter_rules() if rule.endpoint.startswith("social")]


@row(25)
@everywhere
def test_the_session_is_renewed_at_login(world):
    browser = world.browser()
    begun = browser.begin(world.a)
    old = copy(world, browser)
    browser.finish(world.a, begun, "alice")
    assert browser.session_cookie != old.session_cookie
    assert not is_logged_in(old, world.a)
    assert is_logged_in(browser, world.a)


@row(25)
def test_an_owners_session_is_renewed_at_login(world):
    browser = world.browser()
    browser.get(f"{world.a.login_path}/owner")
    old = copy(world, browser)
    browser.log_owner_in(world.a)
    assert browser.session_cookie != old.session_cookie
    assert not is_logged_in(old, world.a)


@row(26)
def test_logging_out_is_for_every_copy_of_the_cookie(world):
    browser = world.browser()
    browser.log_in(world.a, "alice")
    replayed = copy(world, browser)
    assert browser.get("/o/a/logout").status == 405
    assert is_logged_in(browser, world.a)
    assert browser.post("/o/a/logout", token_from=world.a.account_path).status == 303
    answer = replayed.get(world.a.account_path)
    assert answer.status == 303
    assert answer.location.startswith(world.a.login_path)
    assert "_user_id" not in world.session_of(browser.session_cookie)


@row(27)
@with_integrations_in_a_database
def test_a_disabled_person_is_logged_in_nowhere(world):
    browsers = [world.browser(), world.browser()]
    for browser in browsers:
        browser.log_in(world.a, "alice")
    (alice,) = world.users()
    world.disable(alice)
    assert not any(is_logged_in(browser, world.a) for browser in browsers)
    assert world.browser().log_in(world.a, "alice").status == 403


@row(27)
@with_integrations_in_a_database
def test_nobody_is_logged_in_through_an_integration_that_is_disabled(world):
    alice, mallory = world.browser(), world.browser()
    alice.log_in(world.a, "alice")
    mallory.log_in(world.b, "mallory")
    world.take_away(world.b, delete=False)
    assert is_logged_in(alice, world.a)
    assert not is_logged_in(mallory, world.b)


@row(27)
def test_disabling_a_person_ends_all_their_sessions(world):
    browsers = [world.browser(), world.browser()]
    for browser in browsers:
        browser.log_in(world.a, "alice")
    (alice,) = world.users()
    owner = world.browser()
    owner.log_owner_in(world.a)
    people = "/o/a/settings/people"
    assert owner.post(f"{people}/{alice.id}/disable", token_from=people).status == 303
    assert [browser.get(world.a.account_path).status for browser in browsers] == [303, 303]
    assert [line["user_id"] for line in world.events("session.revoked")] == [alice.id]


@row(27)
def test_disabling_an_integration_ends_the_sessions_that_came_through_it(world):
    second = world.another_integration(world.a, world.fb)
    through_first, through_second = world.browser(), world.browser()
    through_first.log_in(world.a, "alice")
    assert connect(through_first, second, "mallory").status == 303
    through_second.log_in(second, "mallory")
    owner = world.browser()
    owner.log_owner_in(world.a)
    disable = f"/o/a/settings/integrations/{second.integration_id}/disable"
    assert owner.post(disable, token_from=disable).status == 303
    assert is_logged_in(through_first, world.a)
    assert not is_logged_in(through_second, world.a)
    assert through_second.log_in(world.a, "alice").status == 303


@row(27)
def test_sessions_stay_ended_when_an_integration_or_an_organization_is_enabled_again(world):
    def log_in_both() -> list[Browser]:
        browsers = [world.browser(), world.browser()]
        browsers[0].log_in(world.a, "alice")
        browsers[1].log_owner_in(world.a)
        assert all(is_logged_in(browser, world.a) for browser in browsers)
        return browsers

    (alice, owner), integration = log_in_both(), world.a.integration_id
    for verb in ("disable", "enable"):
        assert world.command("bitbucket-server", verb, integration).exit_code == 0
    assert [is_logged_in(alice, world.a), is_logged_in(owner, world.a)] == [False, True]
    alice, owner = log_in_both()
    for verb in ("disable", "enable"):
        assert world.command("organizations", verb, world.a.slug).exit_code == 0
    assert [is_logged_in(alice, world.a), is_logged_in(owner, world.a)] == [False, False]


@row(28)
@everywhere
def test_nothing_is_remembered_beyond_the_session(world):
    browser = world.browser()
    begun = browser.begin(world.a)
    browser.cookies |= {"keep": "1", "remember": "1", "remember_token": "1|x"}
    token, verifier = world.fa.authorize(begun.location, "alice")
    query = {"oauth_token": token, "oauth_verifier": verifier, "keep": "1", "remember": "1"}
    answer = browser.get(world.a.callback(**query))
    assert answer.status == 303
    # Flask-Login takes away what it does not know.
    assert not [line for line in answer.cookies if line.startswith("remember") and "Max-Age=0" not in line]
    forged = world.browser()
    (alice,) = world.users()
    forged.cookies["remember_token"] = f"{alice.id}|" + "0" * 128
    assert not is_logged_in(forged, world.a)


@row(28)
def test_the_only_cookie_ends_with_the_browser(world):
    answer = world.browser().log_in(world.a, "alice")
    assert {line.partition("=")[0] for line in answer.cookies} == {"__Host-application_session"}
    assert not [line for line in answer.cookies if "expires" in line.lower() or "max-age" in line.lower()]


@row(29)
def test_an_idle_session_ends(world, later):
    browser = world.browser()
    browser.log_in(world.a, "alice")
    later(minutes=59)
    assert is_logged_in(browser, world.a)
    later(minutes=61)
    assert not is_logged_in(browser, world.a)


@row(29)
def test_a_session_in_use_ends_too(world, later):
    browser = world.browser()
    browser.log_in(world.a, "alice")
    for _ in range(14):
        later(minutes=50)
        assert is_logged_in(browser, world.a)
    later(minutes=21)
    assert not is_logged_in(browser, world.a)


@row(30)
@everywhere
def test_many_logins_begun_in_one_session_take_little_room(world):
    """Each login that is one too many takes the place of the oldest, and no more room than that."""
    browser = world.browser()
    form = browser.get(world.a.login_path).csrf_field
    begun, room = [], []
    for _ in range(2 * pending.MOST):
        begun.append(browser.post(world.a.begin_path, form))
        room.append(sum(len(f"{name}={value}") for name, value in browser.cookies.items()))
    assert {page.status for page in begun} == {303}
    assert max(room) < world.cookie_bytes
    # How well a cookie is compressed differs a little.
    assert room[-1] < room[pending.MOST - 1] * 1.1
    assert world.transactions() == pending.MOST
    first = copy(world, browser)
    assert first.finish(world.a, begun[0], "alice").status == 400
    assert world.last_failure() == "AuthSessionError/session_context_missing"
    assert browser.finish(world.a, begun[-1], "alice").status == 303
    assert browser.finish(world.a, begun[0], "alice").status == 400
    assert world.last_failure() == "AuthSessionError/session_context_missing"


# Connecting another account


def test_a_second_account_is_connected_and_logs_in_as_the_same_person(world):
    second = world.another_integration(world.a, world.fb)
    alice = world.browser()
    alice.log_in(world.a, "alice")
    answer = connect(alice, second, "mallory")
    assert (answer.status, answer.location) == (303, world.a.account_path)
    (user,) = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": user.id, f"{second.namespace}:42": user.id}
    assert (user.username, user.display_name, user.email) == ("alice", "Alice", ALICE["emailAddress"])
    (line,) = world.events("identity.connected")
    assert (line["user_id"], line["integration_id"]) == (user.id, second.integration_id)
    assert is_logged_in(alice, world.a)
    with_the_other = world.browser()
    assert with_the_other.log_in(second, "mallory").status == 303
    assert is_logged_in(with_the_other, world.a)
    assert len(world.users()) == 1


def test_a_login_that_merely_comes_back_connects_nothing(world):
    second = world.another_integration(world.a, world.fb)
    browser = world.browser()
    begun = browser.begin(second)
    browser.log_in(world.a, "alice")
    # The login in the other tab is still under way.
    assert browser.finish(second, begun, "mallory").status == 303
    alice, mallory = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": alice.id, f"{second.namespace}:42": mallory.id}
    assert not world.events("identity.connected")


def test_connecting_ends_where_somebody_else_logged_in_meanwhile(world):
    second = world.another_integration(world.a, world.fb)
    world.fa.knows(person(43, "bob"))
    browser = world.browser()
    browser.log_in(world.a, "alice")
    begun = begin_connecting(browser, second)
    browser.log_in(world.a, "bob")
    assert browser.finish(second, begun, "mallory").status == 400
    assert len(world.identities()) == 2
    assert not world.events("identity.connected")


def test_connecting_belongs_to_the_person_and_not_to_the_session_alone(world):
    """Whatever became of the session: what was begun for one person never comes to another."""
    second = world.another_integration(world.a, world.fb)
    world.fa.knows(person(43, "bob"))
    alice, bob = world.browser(), world.browser()
    alice.log_in(world.a, "alice")
    bob.log_in(world.a, "bob")
    begun = begin_connecting(alice, second)
    key = pending.session_key(BitbucketServerOAuth1.name)
    under_way = world.session_of(alice.session_cookie)[key]
    bob.session_cookie = world.cookie_with(bob.session_cookie, **{key: under_way})
    world.fb.received.clear()
    with world.nothing_new():
        answer = bob.finish(second, begun, "mallory")
    assert answer.status == 400
    assert world.last_failure() == "AuthSessionError/user_mismatch"
    assert world.fb.received == []


def test_an_account_that_is_somebody_elses_is_not_connected(world):
    second = world.another_integration(world.a, world.fb)
    owner_of_it, alice = world.browser(), world.browser()
    owner_of_it.log_in(second, "mallory")
    alice.log_in(world.a, "alice")
    before = world.identities()
    with world.nothing_new():
        answer = connect(alice, second, "mallory")
    assert answer.status == 409
    assert "belongs to somebody else" in answer.text
    assert world.last_failure() == "AuthAssociationError/identity_in_use"
    assert world.identities() == before
    assert is_logged_in(alice, world.a)


def test_connecting_is_for_the_organizations_own_integrations(world):
    alice = world.browser()
    alice.log_in(world.a, "alice")
    token = alice.get(world.a.account_path).csrf_token
    for slug in ("a", "b"):
        path = f"/o/{slug}/account/connect/{world.b.integration_id}"
        assert alice.post(path, {"csrf_token": token}).status == 404
    assert world.fb.received == []


def test_everybody_has_one_account_for_each_integration(world):
    second = world.another_integration(world.a, world.fb)
    world.fb.knows(person(43, "second-self"))
    browser, slow = world.browser(), world.browser()
    browser.log_in(world.a, "alice")
    slow.log_in(world.a, "alice")
    begun = begin_connecting(slow, second)
    assert connect(browser, second, "mallory").status == 303
    with world.nothing_new():
        answer = slow.finish(second, begun, "second-self")
    assert answer.status == 409
    assert "You log in through this integration already" in answer.text


def test_the_owner_keeps_the_password_alone(world):
    owner = world.browser()
    owner.log_owner_in(world.a)
    token = owner.get(world.a.account_path).csrf_token
    path = f"{world.a.account_path}/connect/{world.a.integration_id}"
    assert owner.post(path, {"csrf_token": token}).status == 404
    assert "Connect" not in owner.get(world.a.account_path).text


def test_declining_to_connect_goes_back_to_the_page_that_offered_it(world):
    second = world.another_integration(world.a, world.fb)
    alice = world.browser()
    alice.log_in(world.a, "alice")
    token, _ = world.fb.authorize(begin_connecting(alice, second).location, "mallory")
    answer = alice.get(second.callback(oauth_token=token, oauth_verifier="denied"))
    assert (answer.status, answer.location) == (303, f"{world.a.account_path}/connect?e=declined")
    assert "Nothing was connected." in alice.get(answer.location).text
    assert len(world.identities()) == 1


def test_a_page_lets_forms_reach_servers_only_where_it_offers_them(world):
    second = world.another_integration(world.a, world.fb)
    alice = world.browser()
    alice.log_in(world.a, "alice")
    policy = alice.get(f"{world.a.account_path}/connect").header("Content-Security-Policy")
    assert f"form-action 'self' {second.server.url};" in policy
    assert "form-action 'self';" in alice.get(world.a.account_path).header("Content-Security-Policy")


def test_the_last_way_in_is_not_disconnected(world):
    alice = world.browser()
    alice.log_in(world.a, "alice")
    answer = disconnect(alice, world.a, f"{world.a.namespace}:42")
    assert answer.status == 303
    assert "it is your only way to log in" in alice.get(answer.location).text
    assert len(world.identities()) == 1
    assert not world.events("identity.disconnected")


def test_a_way_in_that_is_disabled_is_none(world):
    second = world.another_integration(world.a, world.fb)
    alice = world.browser()
    alice.log_in(world.a, "alice")
    connect(alice, second, "mallory")
    world.change_integration(second, disabled_at=clock.now())
    disconnect(alice, world.a, f"{world.a.namespace}:42")
    assert len(world.identities()) == 2
    disconnect(alice, world.a, f"{second.namespace}:42")
    assert list(world.identities()) == [f"{world.a.namespace}:42"]


def test_disconnecting_ends_the_sessions_in_other_browsers(world):
    second = world.another_integration(world.a, world.fb)
    here, there, elsewhere = world.browser(), world.browser(), world.browser()
    here.log_in(world.a, "alice")
    connect(here, second, "mallory")
    there.log_in(second, "mallory")
    elsewhere.log_in(world.a, "alice")
    assert "Disconnecting logs you out in your other browsers." in here.get(world.a.account_path).text
    assert disconnect(here, world.a, f"{second.namespace}:42").location == world.a.account_path
    assert not is_logged_in(there, world.a)
    assert not is_logged_in(elsewhere, world.a)
    assert is_logged_in(here, world.a)
    (line,) = world.events("identity.disconnected")
    assert line["integration_id"] == second.integration_id
    # Whoever logs in with it now is somebody new.
    there.log_in(second, "mallory")
    assert len(world.users()) == 2


def test_disconnecting_the_account_of_this_session_logs_out(world):
    second = world.another_integration(world.a, world.fb)
    alice = world.browser()
    alice.log_in(world.a, "alice")
    connect(alice, second, "mallory")
    old = copy(world, alice)
    answer = disconnect(alice, world.a, f"{world.a.namespace}:42")
    assert answer.location == world.a.login_path
    assert not is_logged_in(old, world.a)
    assert alice.log_in(second, "mallory").status == 303


def test_nobody_disconnects_somebody_elses_account(world):
    second = world.another_integration(world.a, world.fb)
    world.fa.knows(person(43, "bob"))
    alice, bob = world.browser(), world.browser()
    alice.log_in(world.a, "alice")
    connect(alice, second, "mallory")
    bob.log_in(world.a, "bob")
    assert disconnect(bob, world.a, f"{second.namespace}:42").status == 404
    assert len(world.identities()) == 3


@on_every_database
def test_two_at_once_do_not_take_the_last_two_ways_in(world):
    second = world.another_integration(world.a, world.fb)
    first_browser, second_browser = world.browser(), world.browser()
    first_browser.log_in(world.a, "alice")
    connect(first_browser, second, "mallory")
    second_browser.log_in(second, "mallory")
    barrier = threading.Barrier(2)

    def take(browser: Browser, uid: str) -> int:
        path, token = disconnect_path(browser, world.a, uid), browser.get(world.a.account_path).csrf_token
        barrier.wait(timeout=60)
        return browser.post(path, {"csrf_token": token}).status

    with ThreadPoolExecutor(2) as threads:
        # Each takes away the account that the other one logged in with.
        one = threads.submit(take, first_browser, f"{second.namespace}:42")
        other = threads.submit(take, second_browser, f"{world.a.namespace}:42")
    assert {one.result(), other.result()} <= {303, 400}
    assert len(world.identities()) == 1


def test_deleting_an_integration_spares_those_who_have_another_way_in(world):
    second = world.another_integration(world.a, world.fb)
    world.fb.knows(person(43, "eve"))
    alice, eve, owner = world.browser(), world.browser(), world.browser()
    alice.log_in(world.a, "alice")
    connect(alice, second, "mallory")
    eve.log_in(second, "eve")
    owner.log_owner_in(world.a)
    path = f"/o/a/settings/integrations/{second.integration_id}/delete"
    question = owner.get(path).text
    assert "<b>1</b> who log in only here" in question
    assert "<b>1</b> who also log in another way" in question
    assert owner.post(path, {"name": f"Another {world.fb.host}"}, token_from=path).status == 303
    (user,) = world.users()
    assert world.identities() == {f"{world.a.namespace}:42": user.id}
    assert is_logged_in(alice, world.a)
    assert not is_logged_in(eve, world.a)


def test_the_people_page_says_through_what_everybody_logs_in(world):
    second = world.another_integration(world.a, world.fb)
    alice, owner = world.browser(), world.browser()
    alice.log_in(world.a, "alice")
    connect(alice, second, "mallory")
    owner.log_owner_in(world.a)
    page = owner.get("/o/a/settings/people").text
    assert f"Bitbucket A and Another {world.fb.host}" in page
