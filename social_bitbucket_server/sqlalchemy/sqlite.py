"""SQLite as a database of several threads and processes, with transactions that hold."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event


def set_up_sqlite(engine: Engine) -> None:
    """Make *engine* enforce foreign keys and lock before it writes. Call this before its first connection. It does
    nothing for another database.

    SQLite cannot wait for the write lock in a transaction that has read already. So a transaction begins with its first
    writing statement, and takes the lock at once. Python's driver begins it before INSERT, UPDATE and DELETE, and this
    function also before SAVEPOINT.
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
