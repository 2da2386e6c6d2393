"""Logins under way while an admin changes their integration, and answers that come to another integration."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.scripted_server import Received, Reply
from tests.security.changes import changes_of
from tests.security.rows import row
from tests.security.world import (
    ACCESS_TOKEN,
    ALICE,
    MALLORY,
    Browser,
    Page,
    Place,
    Uncollected,
    World,
    everywhere,
    everywhere_and_on_every_database,
    on_every_database,
    with_integrations_in_a_database,
)

LONGEST = 60
"""Seconds until a test that waits for something gives up."""


class LateLogin:
    """A login at *place* that has come back, while its server keeps the answer to the exchange."""

    def __init__(self, world: World, place: Place, name: str, threads: ThreadPoolExecutor) -> None:
        self.browser = world.browser()
        begun = self.browser.begin(place)
        assert begun.status == 303, begun.text
        self._arrived, self._answer = threading.Event(), threading.Event()
        self._server = place.server
        place.server.scripts[ACCESS_TOKEN] = self._keep_waiting
        self._page: Future[Page] = threads.submit(self.browser.finish, place, begun, name)
        assert self._arrived.wait(LONGEST), "the login did not come back"

    def end(self) -> Page:
        """Let the server answer; returns the page that the person gets."""
        self.let_answer()
        return self._page.result(LONGEST)

    def let_answer(self) -> None:
        """Keep nobody waiting. Twice does no harm."""
        self._server.scripts.pop(ACCESS_TOKEN, None)
        self._answer.set()

    def _keep_waiting(self, received: Received) -> Reply:
        self._arrived.set()
        assert self._answer.wait(LONGEST), "nobody let the server answer"
        return self._server.honest[ACCESS_TOKEN](received)


@pytest.fixture
def late_login(world: World) -> Iterator[Callable[..., LateLogin]]:
    """Returns what begins a login of mallory's at organization B, as far as the exchange."""
    world.wait_for_servers(LONGEST)
    begun: list[LateLogin] = []

    def begin(place: Place | None = None, name: str = "mallory") -> LateLogin:
        begun.append(LateLogin(world, place or world.b, name, threads))
        return begun[-1]

    with ThreadPoolExecutor(1) as threads:
        yield begin
        for login in begun:
            login.let_answer()


@contextmanager
def nobody_comes_in(world: World) -> Iterator[None]:
    """No user, identity or session is new, and the reason is in the log."""
    before = world.identities()
    with world.nothing_new():
        yield
    assert world.identities() == before


def is_logged_in(browser: Browser, place: Place) -> bool:
    return browser.get(place.account_path).status == 200


# The base URL is corrected while the wrong server has a login


@row(109)
@everywhere_and_on_every_database
def test_a_login_at_the_wrong_server_does_not_end_at_the_right_one(world, late_login):
    login = late_login()
    right = changes_of(world).correct(world.b, world.fa.url)
    with nobody_comes_in(world):
        page = login.end()
    assert page.status == 400
    assert world.last_failure() == "AuthSessionError/state_mismatch"
    assert world.events("login.failure")[-1]["problem"] == "integration_changed"
    assert not is_logged_in(login.browser, world.b)
    assert_user_42_is_somebody_new(world, right)


@row(109)
@everywhere
def test_a_login_that_comes_back_late_does_not_end_either(world):
    browser = world.browser()
    begun = browser.begin(world.b)
    changes_of(world).correct(world.b, world.fa.url)
    with nobody_comes_in(world):
        assert browser.finish(world.b, begun, "mallory").status == 400
    assert world.fa.count(ACCESS_TOKEN) == world.fb.count(ACCESS_TOKEN) == 0


@row(109)
@everywhere
def test_who_logged_in_at_the_wrong_server_is_nobody_at_the_right_one(world, late_login):
    before = world.browser()
    assert before.log_in(world.b, "mallory").status == 303
    (mallory,) = world.users()
    login = late_login()
    right = changes_of(world).correct(world.b, world.fa.url)
    with nobody_comes_in(world):
        assert login.end().status == 400
    assert_user_42_is_somebody_new(world, right, mallory.id)


@row(109)
@with_integrations_in_a_database
def test_a_session_ends_with_the_server_that_it_came_from(world):
    browser = world.browser()
    browser.log_in(world.b, "mallory")
    assert is_logged_in(browser, world.b)
    changes_of(world).correct(world.b, world.fa.url)
    assert not is_logged_in(browser, world.b)
    assert not [uid for uid in world.identities() if uid.startswith(f"{world.b.namespace}:")]


@row(109)
@pytest.mark.parametrize("application", ["django", "flask", "plain"], indirect=True)
def test_the_same_server_at_a_new_address_keeps_its_accounts(world, late_login):
    world.fa.people.clear()
    world.fa.knows(MALLORY)
    world.browser().log_in(world.b, "mallory")
    known = world.identities()
    login = late_login()
    moved = changes_of(world).correct(world.b, world.fa.url, same_server=True)
    with nobody_comes_in(world):
        assert login.end().status == 400
    assert world.browser().log_in(moved, "mallory").status == 303
    assert world.identities() == known


@row(109)
@pytest.mark.parametrize("application", ["flask", "plain"], indirect=True)
def test_nothing_is_written_where_the_change_comes_while_the_account_is_made(world, monkeypatch):
    made = world.identity_class.create_social_auth

    def make_and_change(*arguments: Any, **options: Any) -> Any:
        identity = made(*arguments, **options)
        changes_of(world).correct(world.b, world.fa.url)
        return identity

    monkeypatch.setattr(world.identity_class, "create_social_auth", make_and_change)
    with nobody_comes_in(world):
        assert world.browser().log_in(world.b, "mallory").status == 400


@row(109)
@on_every_database
def test_a_change_waits_for_the_login_that_is_being_written(world, monkeypatch):
    from social_bitbucket_server.sqlalchemy.organizations.logins import Logins

    changed = threading.Event()

    def change() -> None:
        changes_of(world).correct(world.b, world.fa.url)
        changed.set()

    add, changing = Logins._add, threading.Thread(target=change)

    def add_while_somebody_changes(*arguments: Any, **options: Any) -> Any:
        identity = add(*arguments, **options)
        changing.start()
        return identity

    monkeypatch.setattr(Logins, "_add", add_while_somebody_changes)
    browser = world.browser()
    page = browser.log_in(world.b, "mallory")
    assert changed.wait(LONGEST)
    changing.join()
    assert page.status in {303, 400}
    assert not is_logged_in(browser, world.b)
    assert not world.identities()


@row(109)
@on_every_database
def test_a_change_after_a_step_that_commits_ends_the_login(world, monkeypatch):
    from social_bitbucket_server.sqlalchemy.organizations.logins import Logins

    add = Logins._add

    def add_and_commit(logins: Any, *arguments: Any, **options: Any) -> Any:
        identity = add(logins, *arguments, **options)
        logins._session.commit()
        changing = threading.Thread(target=changes_of(world).correct, args=(world.b, world.fa.url))
        changing.start()
        changing.join(LONGEST)
        assert not changing.is_alive()
        return identity

    monkeypatch.setattr(Logins, "_add", add_and_commit)
    browser = world.browser()
    assert browser.log_in(world.b, "mallory").status == 400
    assert not is_logged_in(browser, world.b)


@row(109)
def test_identity_and_session_are_written_together(world, monkeypatch):
    from tests.flask_app.models import models

    def fail(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError

    browser = Uncollected(world)
    begun = browser.begin(world.b)
    monkeypatch.setattr(models.integration, "session_revision", property(fail))
    with nobody_comes_in(world):
        assert browser.finish(world.b, begun, "mallory").status == 500


# Everything else that changes while a login is under way

_EVERYWHERE: dict[str, Callable[[World, Place], object]] = {
    "CA certificates": lambda world, place: changes_of(world).trust(place, Path(_bundle(world)).read_text()),
    "where connections go": lambda world, place: world.change_integration(
        place, connect_to=f"{place.server.host}:8443"
    ),
    "consumer key": lambda world, place: world.change_integration(place, consumer_key="another-consumer"),
    "disabled": lambda world, place: world.take_away(place, delete=False),
    "disabled and enabled": lambda world, place: changes_of(world).disable_and_enable(place),
    "deleted": lambda world, place: world.take_away(place, delete=True),
    "who may log in": lambda world, place: changes_of(world).admit(place, "OTHERS"),
}
_WAYS_IN = ("close_link", "close_and_open_link", "replace_link", "enforce_another", "enforce_another_and_lift")


@row(110)
@everywhere
@pytest.mark.parametrize("change", _EVERYWHERE)
def test_a_login_ends_by_the_configuration_of_now(world, late_login, change):
    assert_no_login_ends_well(world, late_login, lambda: _EVERYWHERE[change](world, world.b))


@row(110)
@pytest.mark.parametrize("application", ["organizations", "django"], indirect=True)
@pytest.mark.parametrize("change", _WAYS_IN)
def test_a_login_ends_by_the_ways_in_that_are_open_now(world, late_login, change):
    assert_no_login_ends_well(world, late_login, lambda: getattr(changes_of(world), change)(world.b))


@row(110)
def test_a_login_does_not_outlive_disabling_and_enabling_the_organization(world, late_login):
    change = changes_of(world).disable_and_enable_organization
    assert_no_login_ends_well(world, late_login, lambda: change(world.b))


@row(110)
@everywhere
def test_a_login_goes_on_through_a_key_rotation(world, late_login):
    under_way = world.browser()
    begun = under_way.begin(world.b)
    login = late_login()
    changes_of(world).rotate(world.b)
    assert login.end().status == 303
    assert under_way.finish(world.b, begun, "mallory").status == 303
    assert list(world.identities()) == [f"{world.b.namespace}:42"]


@row(110)
@pytest.mark.parametrize("application", ["django"], indirect=True)
def test_a_session_does_not_outlive_disabling_and_enabling(world):
    browser = world.browser()
    browser.log_in(world.b, "mallory")
    changes_of(world).disable_and_enable(world.b)
    assert not is_logged_in(browser, world.b)
    browser.log_in(world.b, "mallory")
    assert is_logged_in(browser, world.b)


# An answer at another integration's address


@row(120)
@everywhere
def test_an_answer_at_another_address_leaves_the_login_under_way(world):
    browser = world.browser()
    token, verifier = world.fa.authorize(browser.begin(world.a).location, "alice")
    answer = {"oauth_token": token, "oauth_verifier": verifier}
    asked = len(world.fa.received), len(world.fb.received)
    with nobody_comes_in(world):
        for _ in range(2):
            assert browser.get(world.b.callback(**answer)).status == 400
            assert world.last_failure() == "AuthSessionError/state_mismatch"
    assert (len(world.fa.received), len(world.fb.received)) == asked
    assert len(world.events("login.mixup")) == 2
    assert browser.get(world.a.callback(**answer)).status == 303
    assert is_logged_in(browser, world.a)
    with nobody_comes_in(world):
        assert browser.get(world.a.callback(**answer)).status == 400


@row(120)
@everywhere
def test_a_denial_at_another_address_cancels_nothing(world):
    browser = world.browser()
    token, verifier = world.fa.authorize(browser.begin(world.a).location, "alice")
    assert browser.get(world.b.callback(oauth_token=token, oauth_verifier="denied")).status == 400
    assert browser.get(world.b.callback(oauth_token=token, oauth_problem="user_refused")).status == 400
    assert browser.get(world.a.callback(oauth_token=token, oauth_verifier=verifier)).status == 303


def assert_user_42_is_somebody_new(world: World, right: Place, *known: int) -> None:
    """The right server has a namespace of its own, and alice's account is none of those that are *known*."""
    assert right.namespace != world.b.namespace
    assert world.browser().log_in(right, "alice").status == 303
    assert world.identities()[f"{right.namespace}:{ALICE['id']}"] not in known
    assert len(world.users()) == len(known) + 1


def assert_no_login_ends_well(world: World, late_login: Callable[..., LateLogin], change: Callable[[], object]) -> None:
    """Neither one that has not come back yet, nor one whose server has not answered yet."""
    under_way = world.browser()
    begun = under_way.begin(world.b)
    login = late_login()
    change()
    with nobody_comes_in(world):
        page = login.end()
        asked = world.fb.count(ACCESS_TOKEN)
        early = under_way.finish(world.b, begun, "mallory")
    assert page.status in {400, 403, 404}
    assert early.status in {400, 403, 404}
    assert world.fb.count(ACCESS_TOKEN) == asked
    assert not is_logged_in(login.browser, world.b)
    assert not is_logged_in(under_way, world.b)


def _bundle(world: World) -> str:
    verify = world.find(world.b).server.verify
    assert isinstance(verify, str)
    return verify
