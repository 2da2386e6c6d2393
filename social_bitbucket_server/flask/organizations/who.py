"""Who of a server's people may log in, and who has which role, for the admin: groups, projects and repositories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, flash, redirect, request
from flask.typing import ResponseReturnValue

from ...integration import Kind
from ...problems import BitbucketServerError
from ...sqlalchemy.organizations import IntegrationMixin
from . import access, trials
from .conditions import Row, admission_of, checked, roles_of, rows_of, rows_of_roles, rows_sent
from .current import store
from .navigation import address_of
from .templating import render

blueprint = Blueprint("who", __name__)


@blueprint.get("/who")
@access.for_admins
def who(organization: Any, integration: str) -> ResponseReturnValue:
    """Show who of the server's people may log in."""
    record = access.integration_or_404(organization, integration)
    return _page("who.html", record, rows_of(record.admission))


@blueprint.post("/who")
@access.for_admins
def change_who(organization: Any, integration: str) -> ResponseReturnValue:
    """Keep the conditions, which count from the next login on; or show them with one more or one fewer."""
    record = access.integration_or_404(organization, integration)
    return _change("who.html", record, rows_sent(request.form), _keep_admission)


@blueprint.get("/roles")
@access.for_admins
def roles(organization: Any, integration: str) -> ResponseReturnValue:
    """Show which roles the server's people have. Only an application that offers roles has this page."""
    record = _with_roles(organization, integration)
    return _page("roles.html", record, rows_of_roles(store.integrations.roles_of(record)))


@blueprint.post("/roles")
@access.for_admins
def change_roles(organization: Any, integration: str) -> ResponseReturnValue:
    """Keep the roles, which count from the next login on; or show them with one more or one fewer condition."""
    record = _with_roles(organization, integration)
    return _change("roles.html", record, rows_sent(request.form, store.role_names[0]), _keep_roles)


def _with_roles(organization: Any, integration: str) -> IntegrationMixin:
    record = access.integration_or_404(organization, integration)
    return record if store.role_names else abort(404)


def _keep_admission(record: IntegrationMixin, rows: list[Row]) -> None:
    store.integrations.change_admission(record, admission_of(rows), store.integrations.roles_of(record))


def _keep_roles(record: IntegrationMixin, rows: list[Row]) -> None:
    store.integrations.change_admission(record, record.admission, roles_of(rows))


def _change(
    template: str, record: IntegrationMixin, rows: list[Row], keep: Callable[[IntegrationMixin, list[Row]], None]
) -> ResponseReturnValue:
    if "add" in request.form or "remove" in request.form:
        return _page(template, record, rows)
    rows = checked(rows)
    store.integrations.lock(record)  # the other half may have been changed meanwhile, and both have five names together
    try:
        keep(record, rows)
    except BitbucketServerError as error:
        is_of_one = any(row.error for row in rows)
        return _page(template, record, rows, "" if is_of_one else error.reason), 422
    flash("It is saved, and counts from the next login on. Try it: the trial login says what holds for you.")
    return redirect(address_of("integrations.integration", record), 303)


def _page(template: str, record: IntegrationMixin, rows: list[Row], error: str = "") -> str:
    """*error*: what is wrong with all *rows* together."""
    return render(
        template,
        organization=record.organization,
        record=record,
        rows=rows,
        kinds=list(Kind),
        role_names=store.role_names,
        error=error,
        trial=trials.result_of(record) or {},
    )
