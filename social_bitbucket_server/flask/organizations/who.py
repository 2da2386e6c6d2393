"""Who of a server's people may log in, for the admin: groups, projects and repositories, a row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, flash, redirect, request
from flask.typing import ResponseReturnValue

from ...integration import Kind
from ...problems import BitbucketServerError
from . import access, trials
from .conditions import Row, admission_of, checked, rows_of, rows_sent
from .current import store
from .navigation import address_of
from .templating import render

if TYPE_CHECKING:
    from ...sqlalchemy.organizations import IntegrationMixin

blueprint = Blueprint("who", __name__)


@blueprint.get("")
@access.for_admins
def who(organization: Any, integration: str) -> ResponseReturnValue:
    """Show who of the server's people may log in."""
    record = access.integration_or_404(organization, integration)
    return _who_page(record, rows_of(record.admission))


@blueprint.post("")
@access.for_admins
def change_who(organization: Any, integration: str) -> ResponseReturnValue:
    """Keep the conditions, which count from the next login on; or show them with one more or one fewer."""
    record = access.integration_or_404(organization, integration)
    rows = rows_sent(request.form)
    if "add" in request.form or "remove" in request.form:
        return _who_page(record, rows)
    rows = checked(rows)
    try:
        admission = admission_of(rows)
    except BitbucketServerError as error:
        is_of_one = any(row.error for row in rows)
        return _who_page(record, rows, "" if is_of_one else error.reason), 422
    store.integrations.change_admission(record, admission)
    flash("It is saved, and counts from the next login on. Try it: the trial login says what holds for you.")
    return redirect(address_of("integrations.integration", record), 303)


def _who_page(record: IntegrationMixin, rows: list[Row], error: str = "") -> str:
    """*error*: what is wrong with all *rows* together."""
    trial = trials.result_of(record)
    return render(
        "who.html",
        organization=record.organization,
        record=record,
        rows=rows,
        kinds=list(Kind),
        error=error,
        findings=trial.get("findings") if trial is not None else None,
    )
