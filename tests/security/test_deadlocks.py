"""Changes of an integration while a login through it is written, in both orders: one waits for the other, and both end.

PostgreSQL ends one of two transactions that wait for each other. Then a login or a change would be a server error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text

from tests.security.changes import changes_of
from tests.security.rows import row
from tests.security.world import Place, World

LONGEST = 60
WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")

CHANGES: dict[str, Callable[[World, Place], object]] = {
    "another server": lambda world, place: changes_of(world).correct(place, world.fa.url),
    "deleted": lambda world, place: world.take_away(place, delete=True),
    "disabled": lambda world, place: changes_of(world).disable_and_enable(place),
}


class Pause:
    """Stops the thread that uses :meth:`act`, after its first statement that contains *words*, until *go_on* is set."""

    def __init__(self, words: str) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._words = words
        self._thread = 0

    def act(self, act: Callable[[], Any]) -> Any:
        self._thread = threading.get_ident()
        try:
            return act()
        finally:
            self._thread = 0

    def after_statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.get_ident() == self._thread and self._words in statement and not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(LONGEST), "nobody let it go on"


def wait_until_it_waits_or_is_done(database_url: str, other: Future[Any]) -> None:
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        while not other.done() and not connection.execute(WAITING).scalar_one():
            pass
    engine.dispose()


@row(109)
@pytest.mark.postgresql
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("known", [False, True], ids=["a first login", "a later login"])
@pytest.mark.parametrize("is_login_first", [True, False], ids=["login first", "change first"])
def test_a_login_and_a_change_wait_for_each_other_once(world, database_url, change, known, is_login_first):
    if known:
        world.browser().log_in(world.b, "mallory")
    browser = world.browser()
    begun = browser.begin(world.b)

    def log_in() -> int:
        return browser.finish(world.b, begun, "mallory").status

    def make_change() -> None:
        CHANGES[change](world, world.b)

    pause = Pause("social_auth_identities" if is_login_first else "UPDATE")
    first, second = (log_in, make_change) if is_login_first else (make_change, log_in)
    event.listen(Engine, "after_cursor_execute", pause.after_statement)
    try:
        with ThreadPoolExecutor(2) as threads:
            one = threads.submit(pause.act, first)
            assert pause.reached.wait(LONGEST)
            other = threads.submit(second)
            wait_until_it_waits_or_is_done(database_url, other)
            pause.go_on.set()
            status = (one if is_login_first else other).result(LONGEST)
            (other if is_login_first else one).result(LONGEST)
    finally:
        event.remove(Engine, "after_cursor_execute", pause.after_statement)
    assert status in ({303, 404} if is_login_first else {303, 400, 404})
    assert browser.get(world.b.account_path).status != 200


@row(109)
def test_an_integration_may_be_deleted_at_the_very_end_of_a_login(world, monkeypatch):
    from social_bitbucket_server.sqlalchemy.organizations.integrations import Integrations

    note = Integrations.note_login

    def delete_and_note(integrations: Any, record: Any) -> None:
        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(world.take_away, world.b, delete=True).result(LONGEST)
        note(integrations, record)

    monkeypatch.setattr(Integrations, "note_login", delete_and_note)
    browser = world.browser()
    assert browser.log_in(world.b, "mallory").status == 303
    assert browser.get(world.b.account_path).status != 200
