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
def _empty() -> sqlite3.Connection:
    """The tables as the migrations make them, kept beside the database, whose file goes when the process ends."""
    import atexit

    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection, connections

    path = settings.DATABASES["default"]["NAME"]
    path.unlink(missing_ok=True)
    call_command("migrate", verbosity=0)
    kept = sqlite3.connect(":memory:", check_same_thread=False)
    connection.connection.backup(kept)

    def remove() -> None:
        connections.close_all()
        kept.close()
        path.unlink(missing_ok=True)

    atexit.register(remove)
    return kept


@contextlib.contextmanager
def tables() -> Iterator[None]:
    """The tables, with nothing in them but what the migrations left there."""
    set_up()
    from django.db import connection

    empty = _empty()
    connection.ensure_connection()
    empty.backup(connection.connection)
    yield
