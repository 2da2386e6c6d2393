"""One Django for the process, and a database that is made once and empty again for each test."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
from collections.abc import Iterator


@functools.cache
def set_up() -> None:
    """Before anything of Django's is imported that wants settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django.settings")
    import django

    django.setup()


@functools.cache
def _empty() -> dict[str, sqlite3.Connection]:
    """The tables as the migrations make them, by database, kept beside the databases, whose files go when the process
    ends."""
    import atexit

    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    paths = [database["NAME"] for database in settings.DATABASES.values()]
    kept = {}
    for alias, path in zip(settings.DATABASES, paths, strict=True):
        path.unlink(missing_ok=True)
        call_command("migrate", database=alias, verbosity=0)
        kept[alias] = sqlite3.connect(":memory:", check_same_thread=False)
        connections[alias].connection.backup(kept[alias])

    def remove() -> None:
        connections.close_all()
        for connection in kept.values():
            connection.close()
        for path in paths:
            path.unlink(missing_ok=True)

    atexit.register(remove)
    return kept


@contextlib.contextmanager
def tables() -> Iterator[None]:
    """The tables, with nothing in them but what the migrations left there."""
    set_up()
    from django.db import connections

    for alias, empty in _empty().items():
        connections[alias].ensure_connection()
        empty.backup(connections[alias].connection)
    yield
