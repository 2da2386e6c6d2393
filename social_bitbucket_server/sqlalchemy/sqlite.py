"""SQLite as a database of several threads and processes, with transactions that hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def set_up_sqlite(engine: Engine) -> None:
    """Let *engine*, which has made no connection yet, keep what the rest of this room relies on. Do nothing for another
    database.

    Rows go with those that they belong to. A write lock is taken when the first writing statement begins, never in the
    middle of a transaction that has read already: that one could not wait for others. Python's driver begins a
    transaction before INSERT, UPDATE and DELETE, but not before SAVEPOINT, so this does.
    """
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()

    @event.listens_for(engine, "savepoint")
    def begin_before_the_first_savepoint(connection: Connection, _name: str) -> None:
        driver = connection.connection.dbapi_connection
        if driver is not None and not driver.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
