"""The database: one engine for each application, one session for each request.

A view commits what it wants to keep; whatever is left at the end of a request is rolled back.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from flask.globals import app_ctx
from sqlalchemy import (
    Engine,
    MetaData,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Session, scoped_session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from social_bitbucket_server.sqlalchemy import set_up_sqlite

from .instance_files import UnsafeSettingError, make_private_file, refuse_if_others_can_read

_SECONDS_TO_WAIT_FOR_A_LOCK = 10
_CONNECTIONS = 16  # one for each of gunicorn's threads; SQLAlchemy opens others anew for each use
_SECONDS_IDLE = 1  # a server that is restarted is gone for longer
_TABLES_LOCK = 0x6269745F  # any number that nothing else on the same PostgreSQL database locks


class Base(DeclarativeBase):
    """Base of all tables. It names their constraints, so that later migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class _SessionOfTheApplication(Session):
    """Finds the engine of the application that handles the request."""

    def get_bind(self, *_arguments: Any, **_options: Any) -> Engine:
        engine: Engine = current_app.extensions["engine"]
        return engine


def _application_context() -> object:
    return app_ctx._get_current_object()  # type: ignore[attr-defined]  # a proxy's method


session: scoped_session[Session] = scoped_session(
    # What a request has read stays read: after each commit, everything would be asked for again.
    sessionmaker(class_=_SessionOfTheApplication, expire_on_commit=False),
    scopefunc=_application_context,
)


def connect(app: Flask, url: str) -> None:
    """Give *app* an engine for the database at *url*."""
    app.extensions["engine"] = make_engine(url)

    @app.teardown_appcontext
    def end_session(_error: BaseException | None) -> None:
        session.remove()


def make_engine(url: str) -> Engine:
    """Return an engine with the driver and the connection settings that the application relies on.

    Raises UnsafeSettingError if PostgreSQL's driver is not installed.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return _make_sqlite_engine(url)
    try:
        engine = create_engine(address.set(drivername="postgresql+psycopg"), pool_size=_CONNECTIONS, max_overflow=0)
    except ModuleNotFoundError as error:
        raise UnsafeSettingError(
            "DATABASE_URL names a PostgreSQL database, but its driver is missing; "
            "install it with: pip install 'psycopg[binary]'"
        ) from error
    _try_idle_connections(engine)
    return engine


def _try_idle_connections(engine: Engine) -> None:
    """Before a connection is used that was idle for a while, see whether the server is still there. SQLAlchemy's own
    ``pool_pre_ping`` asks before every transaction, ten times for a login."""

    @event.listens_for(engine, "checkin")
    def note_when(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def try_it(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used_at", 0) < _SECONDS_IDLE:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error


def _make_sqlite_engine(url: str) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:":
        make_private_file(Path(path))
        for companion in (Path(f"{path}-wal"), Path(f"{path}-shm")):
            with suppress(FileNotFoundError):  # the last one to close the database removes them
                refuse_if_others_can_read(companion)
    engine = create_engine(url, connect_args={"timeout": _SECONDS_TO_WAIT_FOR_A_LOCK})
    set_up_sqlite(engine)
    return engine


def upgrade(engine: Engine) -> None:
    """Make the tables that are missing; processes that start together wait for one another."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _TABLES_LOCK})
        Base.metadata.create_all(connection)
        connection.commit()
