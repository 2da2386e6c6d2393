"""Pages from templates, with the filters and functions that these use besides Jinja's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from flask import Flask, g, render_template
from flask_wtf.csrf import generate_csrf
from wtforms import Field

from ...onboarding import Action, Entry, Step
from . import words
from .current import extension
from .field_to_mend import field_to_mend


@dataclass(frozen=True)
class Run:
    """Entries of a worksheet that follow one another and ask for the same *action*; *position* counts runs."""

    position: int
    action: Action
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Task:
    """One step of a worksheet: the pages to open, what to press *before* a dialog asks for a *choice*, and the *rows*
    after it.

    *choice* is ``None`` if no dialog with known choices is shown.
    """

    title: str
    note: str
    opened: tuple[Entry, ...]
    before: tuple[Entry, ...]
    choice: Entry | None
    rows: tuple[Run, ...]


def render(template: str, **context: Any) -> str:
    """Return the page of *template*, one of the templates in ``bitbucket_server/``."""
    settings = extension().settings
    shared = {
        "application_name": settings.application_name,
        "keeps_tokens": settings.keeps_tokens,
        "start_page": extension().start_page,
        "organization": g.get("bitbucket_organization"),
    }
    return render_template(f"bitbucket_server/{template}", **(shared | context))


def described(field: Field, hint: str | None, attributes: dict[str, str | bool | None]) -> dict[str, str | bool]:
    """Return the attributes of a field's element, with the ids of its *hint* and error, so that screen readers say
    them."""
    chosen: dict[str, str | bool] = {name: value for name, value in attributes.items() if value}
    ids = [f"{field.id}-hint"] if hint else []
    if field.errors:
        ids.append(f"{field.id}-error")
        chosen["aria-invalid"] = "true"
        chosen["autofocus"] = True
    if ids:
        chosen["aria-describedby"] = " ".join(ids)
    return chosen


def tasks(steps: Iterable[Step]) -> Iterator[Task]:
    """Yield the task of each of *steps*."""
    for step in steps:
        opened = tuple(entry for entry in step.entries if entry.action is Action.OPEN)
        others = [entry for entry in step.entries if entry.action is not Action.OPEN]
        place = next((place for place, entry in enumerate(others) if entry.choices), None)
        before, choice = ((), None) if place is None else (tuple(others[:place]), others[place])
        rows = others if place is None else others[place + 1 :]
        yield Task(step.title, step.note, opened, before, choice, tuple(runs(rows)))


def runs(entries: Iterable[Entry]) -> Iterator[Run]:
    """Yield *entries* in runs of the same action."""
    for position, (action, run) in enumerate(groupby(entries, key=lambda entry: entry.action)):
        yield Run(position, action, tuple(run))


def set_up(app: Flask) -> None:
    """Give *app*'s templates the filters and functions. Their names begin like ours, so that they replace none."""
    app.jinja_env.globals.setdefault("csrf_token", generate_csrf)
    app.jinja_env.globals["bitbucket_described"] = described
    filters = {
        "ago": words.ago,
        "ahead": words.ahead,
        "day": words.day,
        "in_full": words.in_full,
        "on": words.on,
        "field_to_mend": field_to_mend,
        "runs": runs,
        "tasks": tasks,
    }
    app.jinja_env.filters.update({f"bitbucket_{name}": filter_ for name, filter_ in filters.items()})
