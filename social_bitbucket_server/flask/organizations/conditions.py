"""Who may log in, as rows of a form: a condition each, with its kind and its name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ...integration import Admission, Kind
from ...problems import BitbucketServerError

_LONGEST = 512
_MOST = 50


@dataclass(frozen=True)
class Row:
    """A condition as it was typed. *number* counts from 1. *error*: what is wrong with it; empty if nothing is known
    to be."""

    number: int
    kind: Kind
    name: str
    error: str = ""


def rows_of(admission: Admission) -> list[Row]:
    """Return the rows of *admission*."""
    return [Row(number, Kind(kind), name) for number, (kind, name) in enumerate(admission.conditions, start=1)]


def rows_sent(form: Any) -> list[Row]:
    """Return the rows of *form*, a multi-dict, without the one to ``remove``, and with an empty one to ``add``."""
    typed = list(zip(form.getlist("kind"), form.getlist("name"), strict=False))[:_MOST]
    removed = form.get("remove", "")
    kept = [pair for number, pair in enumerate(typed, start=1) if str(number) != removed]
    if "add" in form:
        kept.append((Kind.GROUP.value, ""))
    return [
        Row(number, Kind(kind) if kind in set(Kind) else Kind.GROUP, name.strip()[:_LONGEST])
        for number, (kind, name) in enumerate(kept, start=1)
    ]


def checked(rows: list[Row]) -> list[Row]:
    """Return *rows*, each with its error. An empty name is no error."""
    return [replace(row, error=_error_of(row) if row.name else "") for row in rows]


def admission_of(rows: list[Row]) -> Admission:
    """Return the admission that *rows* name; empty names are left out. Raises ``setting_invalid``."""
    named = [row for row in rows if row.name]
    names = {kind: dict.fromkeys(row.name for row in named if row.kind is kind) for kind in Kind}
    return Admission(*(tuple(names[kind]) for kind in (Kind.GROUP, Kind.PROJECT, Kind.REPOSITORY)))


def _error_of(row: Row) -> str:
    try:
        admission_of([row])
    except BitbucketServerError as error:
        return error.reason
    return ""
