"""Who may log in, and who has which role, as rows of a form: a condition each, with its kind and its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

from ...integration import Admission, Kind, Roles, refuse_other_roles
from ...problems import BitbucketServerError
from .current import store

_LONGEST = 512
_MOST = 50


@dataclass(frozen=True)
class Row:
    """A condition as it was typed. *number* counts from 1. *role*: the one that it gives; empty if it lets people log
    in. *error*: what is wrong with it; empty if nothing is known to be."""

    number: int
    kind: Kind
    name: str
    role: str = ""
    error: str = ""


def rows_of(admission: Admission) -> list[Row]:
    """Return the rows of *admission*."""
    return _numbered(("", kind, name) for kind, name in admission.conditions)


def rows_of_roles(roles: Roles) -> list[Row]:
    """Return the rows of *roles*."""
    return _numbered(roles.each)


def rows_sent(form: Any, role: str = "") -> list[Row]:
    """Return the rows of *form*, a multi-dict, without the one to ``remove``, and with an empty one to ``add``, of
    *role*."""
    roles = form.getlist("role") if role else repeat("")
    typed = list(zip(roles, form.getlist("kind"), form.getlist("name"), strict=False))[:_MOST]
    removed = form.get("remove", "")
    kept = [row for number, row in enumerate(typed, start=1) if str(number) != removed]
    if "add" in form:
        kept.append((role, Kind.GROUP.value, ""))
    return _numbered(kept)


def checked(rows: list[Row]) -> list[Row]:
    """Return *rows*, each with its error. An empty name is no error."""
    return [replace(row, error=_error_of(row) if row.name else "") for row in rows]


def admission_of(rows: list[Row]) -> Admission:
    """Return the admission that *rows* name; empty names are left out. Raises ``setting_invalid``."""
    named = [row for row in rows if row.name]
    names = {kind: dict.fromkeys(row.name for row in named if row.kind is kind) for kind in Kind}
    return Admission(*(tuple(names[kind]) for kind in (Kind.GROUP, Kind.PROJECT, Kind.REPOSITORY)))


def roles_of(rows: list[Row]) -> Roles:
    """Return the roles that *rows* give; empty names are left out. Raises ``setting_invalid``."""
    roles = Roles.of((row.role, row.kind, row.name) for row in rows if row.name)
    refuse_other_roles(roles, store.role_names)
    return roles


def _numbered(typed: Iterable[tuple[str, str, str]]) -> list[Row]:
    return [
        Row(number, Kind(kind) if kind in set(Kind) else Kind.GROUP, name.strip()[:_LONGEST], role)
        for number, (role, kind, name) in enumerate(typed, start=1)
    ]


def _error_of(row: Row) -> str:
    try:
        if row.role:
            roles_of([row])
        else:
            admission_of([row])
    except BitbucketServerError as error:
        return error.reason
    return ""
