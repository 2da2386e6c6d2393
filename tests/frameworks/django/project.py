"""One Django for the process, and a database that is made once and emptied after each test."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator


@functools.cache
def set_up() -> None:
    """Before anything of Django's is imported that wants settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django.settings")
    import django

    django.setup()


@functools.cache
def _made() -> None:
    """The tables, until the process ends."""
    import atexit

    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    path = settings.DATABASES["default"]["NAME"]
    path.unlink(missing_ok=True)
    call_command("migrate", verbosity=0)

    def remove() -> None:
        connections.close_all()
        path.unlink(missing_ok=True)

    atexit.register(remove)


@contextlib.contextmanager
def tables() -> Iterator[None]:
    """The tables, empty, and empty again afterwards."""
    from django.apps import apps

    set_up()
    _made()
    yield
    for model in reversed(apps.get_models()):
        if model._meta.app_label not in {"contenttypes"} and model._meta.model_name != "permission":
            model._default_manager.all().delete()
