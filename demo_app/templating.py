"""Filters and functions that the templates use besides Jinja's own."""

from __future__ import annotations

from flask import Flask
from wtforms import Field

from . import words
from .config import Settings
from .field_to_mend import field_to_mend
from .tasks import runs, tasks


def described(field: Field, hint: str | None, attributes: dict[str, str | bool | None]) -> dict[str, str | bool]:
    """The attributes of a field's element, with the ids of its *hint* and error, so that screen readers say them."""
    chosen: dict[str, str | bool] = {name: value for name, value in attributes.items() if value}
    ids = [f"{field.id}-hint"] if hint else []
    if field.errors:
        ids.append(f"{field.id}-error")
        chosen["aria-invalid"] = "true"
        chosen["autofocus"] = True
    if ids:
        chosen["aria-describedby"] = " ".join(ids)
    return chosen


def set_up(app: Flask, settings: Settings) -> None:
    """Give *app*'s templates their filters and functions."""
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(application_name=settings.application_name, described=described)
    app.jinja_env.filters.update(
        ago=words.ago,
        ahead=words.ahead,
        in_full=words.in_full,
        on=words.on,
        field_to_mend=field_to_mend,
        runs=runs,
        tasks=tasks,
    )
