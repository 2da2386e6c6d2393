"""Connections to PostgreSQL that are kept, and what becomes of them when the server goes away meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from bench.load.place import Place
from demo_app import database

pytestmark = pytest.mark.postgresql


@pytest.fixture
def engine(here: Place) -> Iterator[Engine]:
    engine = database.make_engine(here.postgresql.new_database())
    yield engine
    engine.dispose()


def use(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(text("SELECT pg_backend_pid()")).scalar_one()


def test_a_connection_that_was_idle_is_tried_before_it_is_used(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine.connect() as other:
        closed = use(engine)
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": closed})
        monkeypatch.setattr(database, "_SECONDS_IDLE", 0)
        assert use(engine) != closed


def test_a_connection_in_use_is_not_tried_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_SECONDS_IDLE", 600)
    use(engine)
    monkeypatch.setattr(engine.dialect, "do_ping", lambda _connection: pytest.fail("It was tried."))
    use(engine)
