"""The database: its tables, its file, and how connections behave."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from tests.flask_app import database
from tests.flask_app.instance_files import UnsafeSettingError
from tests.flask_app.models import Organization, models
from tests.postgresql import PostgreSQL, programs
from tests.unit.flask.organizations.conftest import AppMaker
from tests.visitor import InProcess, Visitor


def test_upgrading_twice_changes_nothing(app: Flask) -> None:
    database.upgrade(app.extensions["engine"])


@pytest.mark.program
def test_processes_that_start_at_once_wait_for_one_another(tmp_path: Path) -> None:
    environment = {**os.environ, "INSTANCE_PATH": str(tmp_path / "instance")}
    start = [sys.executable, "-c", "from tests.flask_app import create_app; create_app()"]
    processes = [subprocess.Popen(start, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=300)[1] for process in processes] == ["", "", ""]


def test_only_their_owner_can_read_the_database_files(app: Flask, visitor: Visitor) -> None:
    visitor.get("/")
    folder = app.extensions["settings"].instance.path
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.glob("application.sqlite*")}
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3, "the file, its write-ahead log and its index"


def test_a_database_file_that_others_can_read_is_refused(make_app: AppMaker, tmp_path: Path) -> None:
    make_app()
    (tmp_path / "instance" / "application.sqlite").chmod(0o644)
    with pytest.raises(UnsafeSettingError, match="chmod 600"):
        make_app()


def test_sqlite_keeps_foreign_keys_and_a_write_ahead_log(app: Flask) -> None:
    with app.extensions["engine"].connect() as connection:
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"


def test_the_address_of_a_postgresql_database_gets_its_driver() -> None:
    assert database.make_engine("postgresql://localhost/demo").url.drivername == "postgresql+psycopg"


def test_a_missing_driver_of_postgresql_gets_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UnsafeSettingError, match=r"pip install 'psycopg\[binary\]'"):
        database.make_engine("postgresql://localhost/demo")


def test_a_moment_keeps_its_time_zone(app: Flask) -> None:
    noon_elsewhere = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    with app.app_context():
        database.session.add(Organization(slug="acme", name="Acme", created_at=noon_elsewhere))
        database.session.commit()
    with app.app_context():
        moment = database.session.query(Organization).one().created_at
    assert moment == noon_elsewhere
    assert moment.tzinfo is UTC


def test_what_a_savepoint_undoes_leaves_the_rest(app: Flask) -> None:
    with app.app_context():
        database.session.add(Organization(slug="acme", name="Acme"))
        database.session.flush()
        with pytest.raises(IntegrityError), database.session.begin_nested():
            database.session.add(Organization(slug="acme", name="Again"))
        database.session.commit()
        assert database.session.query(Organization).count() == 1


def test_a_savepoint_alone_is_undone_with_its_transaction(app: Flask) -> None:
    with app.app_context():
        with database.session.begin_nested():
            database.session.add(Organization(slug="acme", name="Acme"))
        database.session.rollback()
        assert database.session.query(Organization).count() == 0


def test_an_integration_has_one_active_key_pair(app: Flask, owner: Visitor) -> None:
    path = owner.add_integration("acme", "https://bitbucket.acme.example")
    with app.app_context():
        integration_id = path.rpartition("/")[2]
        consumer_key = database.session.query(models.application_link).one().consumer_key
        database.session.add(
            models.key_pair(
                id="x", integration_id=integration_id, stored_state="active", public_key="", consumer_key=consumer_key
            )
        )
        with pytest.raises(IntegrityError):
            database.session.commit()


def test_two_applications_in_one_process_have_their_own_databases(make_app: AppMaker, tmp_path: Path) -> None:
    one, other = make_app(INSTANCE_PATH=tmp_path / "one"), make_app(INSTANCE_PATH=tmp_path / "other")
    Visitor(InProcess(one)).create_organization("acme")
    assert Visitor(InProcess(one)).get("/o/acme/login").status == 200
    assert Visitor(InProcess(other)).get("/o/acme/login").status == 404


@pytest.fixture
def postgresql_engine(request: pytest.FixtureRequest, must_be_there: Callable[[bool, str], None]) -> Iterator[Engine]:
    """An engine as the application makes it, for an empty database."""
    must_be_there(programs() is not None, "PostgreSQL")
    server: PostgreSQL = request.getfixturevalue("postgresql")
    engine = database.make_engine(server.new_database())
    yield engine
    engine.dispose()


def use(engine: Engine) -> int:
    """Use a connection of the pool, and return the number of the process that serves it."""
    with engine.connect() as connection:
        return connection.execute(text("SELECT pg_backend_pid()")).scalar_one()


@pytest.mark.postgresql
def test_a_connection_that_was_idle_is_tried_before_it_is_used(
    postgresql_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgresql_engine.connect() as other:
        closed = use(postgresql_engine)
        other.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": closed})
        monkeypatch.setattr(database, "_SECONDS_IDLE", 0)
        assert use(postgresql_engine) != closed


@pytest.mark.postgresql
def test_a_connection_in_use_is_not_tried_again(postgresql_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_SECONDS_IDLE", 600)
    use(postgresql_engine)
    monkeypatch.setattr(postgresql_engine.dialect, "do_ping", lambda _connection: pytest.fail("It was tried."))
    use(postgresql_engine)
