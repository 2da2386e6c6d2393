"""Things that take long to make: made once for the process, and handed to each test as if they were new."""

from __future__ import annotations

import atexit
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_der_private_key
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Dialect, Engine, create_engine, event, inspect
from werkzeug.routing import Rule
from werkzeug.security import generate_password_hash

from social_bitbucket_server.crypto import DEFAULT_BITS, PrivateKey
from tests.flask_app import database

BITS = 2048

_generate = PrivateKey.generate
_upgrade = database.upgrade
_compile_builder = Rule._compile_builder
_builders: dict[tuple[Any, ...], Callable[..., tuple[str, str]]] = {}
_statements: dict[Any, Any] = {}
_keys: list[PrivateKey] = []
_making = threading.Lock()


class Templates(BytecodeCache):
    """Cache of Jinja's code for each template, shared by all applications that have the same file."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.code


templates = Templates()


class KeyPool:
    """Private keys of 2048 bits. Each pool begins with the first of the process, so that one test never gets the same
    key twice, and the next test gets the keys that are there."""

    def __init__(self) -> None:
        self._position = 0

    def take(self) -> PrivateKey:
        """Return a key that this pool has not handed out yet."""
        with _making:
            if self._position == len(_keys):
                _keys.append(_generate(BITS))
            self._position += 1
            return _keys[self._position - 1]

    def generate(self, bits: int = DEFAULT_BITS) -> PrivateKey:
        """Stand in for :meth:`PrivateKey.generate`; the largest keys and wrong sizes are left to that."""
        return self.take() if bits in {BITS, DEFAULT_BITS} else _generate(bits)


load_private_key = lru_cache(maxsize=64)(load_der_private_key)
"""Stands in for the function that it calls: the same bytes are checked and parsed once."""


def compile_builder(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
    """Stand in for Werkzeug's method, which compiles a function for each route of each application: equal routes share
    one."""
    key = (tuple(rule._trace), repr(rule.defaults), append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


def cheap_password_hash(password: str) -> str:
    """Stand in for Werkzeug's function, which takes its time on purpose."""
    return generate_password_hash(password, method="pbkdf2:sha256:1")


def copy_tables(engine: Engine) -> None:
    """Stand in for :func:`tests.flask_app.database.upgrade`: copy the tables to an empty SQLite database."""
    if engine.dialect.name != "sqlite":
        _upgrade(engine)
        return
    hurry(engine)
    with engine.connect() as connection:
        if inspect(connection).get_table_names():
            connection.close()
            _upgrade(engine)
            return
        copy = connection.connection.dbapi_connection
        assert isinstance(copy, sqlite3.Connection)
        _tables().backup(copy)


def hurry(engine: Engine) -> None:
    """Let *engine* for SQLite wait for no disk, and use the statements that others of its kind have compiled: no test's
    database outlives its machine, and they all speak one dialect."""
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF").close())
    engine.dialect = _dialect()
    engine.update_execution_options(compiled_cache=_statements)


@cache
def _dialect() -> Dialect:
    """The dialect of SQLite, which has learnt from a connection what it speaks to."""
    engine = create_engine("sqlite://")
    engine.connect().close()
    engine.dispose()
    return engine.dialect


def make_tables(database_url: str) -> None:
    """Make the tables of the tests' application."""
    engine = database.make_engine(database_url)
    _upgrade(engine)
    engine.dispose()


@cache
def _tables() -> sqlite3.Connection:
    """A database with the tables of the tests' application."""
    tables = sqlite3.connect(":memory:", check_same_thread=False)
    atexit.register(tables.close)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tables.sqlite")
        make_tables(f"sqlite:///{file}")
        with closing(sqlite3.connect(file)) as source:
            source.backup(tables)
    return tables
