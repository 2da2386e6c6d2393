"""Who of a server's people may log in, and who has which role, for the admin: groups, projects and repositories.

The form has a row for each condition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import repeat

from flask import abort, flash, redirect, request
from flask.typing import ResponseReturnValue

from ...integration import Admission, Kind, Roles, refuse_other_roles
from ...problems import BitbucketServerError
from ...sqlalchemy.organizations import IntegrationMixin
from . import trials
from .access import AdminPages
from .current import store
from .navigation import address_of
from .templating import render

blueprint = AdminPages("who", __name__)

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


@blueprint.get("/who")
def who(record: IntegrationMixin) -> ResponseReturnValue:
    return _page("who.html", record, _numbered(("", kind, name) for kind, name in record.admission.conditions))


@blueprint.post("/who")
def change_who(record: IntegrationMixin) -> ResponseReturnValue:
    """Keep the conditions, which count from the next login on; or show them with one more or one fewer."""
    return _change("who.html", record)


@blueprint.get("/roles")
def roles(record: IntegrationMixin) -> ResponseReturnValue:
    """Show which roles the server's people have. Only an application that offers roles has this page."""
    if not store.role_names:
        abort(404)
    return _page("roles.html", record, _numbered(store.integrations.roles_of(record).each))


@blueprint.post("/roles")
def change_roles(record: IntegrationMixin) -> ResponseReturnValue:
    """Keep the roles, which count from the next login on; or show them with one more or one fewer condition."""
    if not store.role_names:
        abort(404)
    return _change("roles.html", record, store.role_names[0])


def _change(template: str, record: IntegrationMixin, role: str = "") -> ResponseReturnValue:
    """*role*: that of an added row; empty if the form's conditions let people log in."""
    form = request.form
    roles_sent = form.getlist("role") if role else repeat("")
    typed = list(zip(roles_sent, form.getlist("kind"), form.getlist("name"), strict=False))[:_MOST]
    kept = [row for number, row in enumerate(typed, start=1) if str(number) != form.get("remove", "")]
    if "add" in form:
        kept.append((role, Kind.GROUP.value, ""))
    rows = _numbered(kept)
    if "add" in form or "remove" in form:
        return _page(template, record, rows)
    rows = [replace(row, error=_error_of(row) if row.name else "") for row in rows]
    store.integrations.lock(record)  # the other half may have been changed meanwhile, and both have five names together
    try:
        if role:
            admission, roles = record.admission, _roles_of(rows)
        else:
            admission, roles = _admission_of(rows), store.integrations.roles_of(record)
        store.integrations.change_admission(record, admission, roles)
    except BitbucketServerError as error:
        is_of_one = any(row.error for row in rows)
        return _page(template, record, rows, "" if is_of_one else error.reason), 422
    flash("It is saved, and counts from the next login on. Try it: the trial login says what holds for you.")
    return redirect(address_of("integrations.integration", record), 303)


def _page(template: str, record: IntegrationMixin, rows: list[Row], error: str = "") -> str:
    """*error*: what is wrong with all *rows* together."""
    return render(
        template,
        record=record,
        rows=rows,
        kinds=list(Kind),
        role_names=store.role_names,
        error=error,
        trial=trials.result_of(record) or {},
    )


def _numbered(typed: Iterable[tuple[str, str, str]]) -> list[Row]:
    return [
        Row(number, Kind(kind) if kind in set(Kind) else Kind.GROUP, name.strip()[:_LONGEST], role)
        for number, (role, kind, name) in enumerate(typed, start=1)
    ]


def _admission_of(rows: list[Row]) -> Admission:
    """Return the admission that *rows* name; empty names are left out. Raises ``setting_invalid``."""
    names = {kind: tuple(dict.fromkeys(row.name for row in rows if row.name and row.kind is kind)) for kind in Kind}
    return Admission(names[Kind.GROUP], names[Kind.PROJECT], names[Kind.REPOSITORY])


def _roles_of(rows: list[Row]) -> Roles:
    """Return the roles that *rows* give; empty names are left out. Raises ``setting_invalid``."""
    roles = Roles.of((row.role, row.kind, row.name) for row in rows if row.name)
    refuse_other_roles(roles, store.role_names)
    return roles


def _error_of(row: Row) -> str:
    try:
        if row.role:
            _roles_of([row])
        else:
            _admission_of([row])
    except BitbucketServerError as error:
        return error.reason
    return ""
