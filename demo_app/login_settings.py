"""How people come in, for the owner: the login link with its QR code, the only integration, and who may log in."""

from __future__ import annotations

import io

import segno
from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from social_bitbucket_server.problems import BitbucketServerError

from . import access, integrations, login_ways, trials
from .conditions import Kind, Row, admission_of, checked, rows_of, rows_sent
from .models import IntegrationRecord, Organization

blueprint = Blueprint("login_settings", __name__, url_prefix="/o/<slug>/settings")


@blueprint.get("/login")
@access.for_owner
def page(organization: Organization) -> ResponseReturnValue:
    """The login link, and which integration is the only way in."""
    return _page(organization)


@blueprint.get("/login/qr.svg")
@access.for_owner
def qr_code(organization: Organization) -> ResponseReturnValue:
    """The login link to be scanned; black on white, so that every camera reads it."""
    picture = io.BytesIO()
    segno.make(login_ways.login_link(organization), error="m").save(
        picture, kind="svg", scale=6, border=4, light="#fff", dark="#000"
    )
    return picture.getvalue(), {"Content-Type": "image/svg+xml"}


@blueprint.post("/login/link")
@access.for_owner
def change_link(organization: Organization) -> ResponseReturnValue:
    """Replace the login link, or close or open it."""
    actions = {
        "replace": (login_ways.replace_link, "The login link is replaced. The old one lets nobody in."),
        "close": (login_ways.close_link, "The login link is closed. Nobody can log in until you open it again."),
        "open": (login_ways.open_link, "The login link is open again."),
    }
    action = request.form.get("action", "")
    if action not in actions:
        abort(400)
    if action == "replace" and not request.form.get("confirmed"):
        flash("Confirm that the present login link ends. It still counts.", "refusal")
        return _to_page(organization)
    change, words = actions[action]
    change(organization)
    flash(words)
    return _to_page(organization)


@blueprint.post("/login/only")
@access.for_owner
def choose_only_way(organization: Organization) -> ResponseReturnValue:
    """Make one integration the only way in for everybody but the owner, or open all ways."""
    wanted = request.form.get("integration")
    if wanted is None:
        flash("Nothing was chosen, and nothing has changed.", "refusal")
        return _to_page(organization)
    if not wanted:
        login_ways.lift(organization)
        flash("All integrations are open.")
        return _to_page(organization)
    record = access.integration_or_404(organization, wanted)
    if record.disabled_at is not None or record.last_login_at is None:
        flash("Choose an integration through which somebody has logged in already, and which is enabled.", "refusal")
        return _to_page(organization)
    login_ways.enforce(record)
    flash(f"{record.name} is the only way in. You still log in with your password.")
    return _to_page(organization)


@blueprint.get("/integrations/<integration>/who")
@access.for_owner
def who(organization: Organization, integration: str) -> ResponseReturnValue:
    """Who of the server's people may log in."""
    record = access.integration_or_404(organization, integration)
    return _who_page(record, rows_of(record.admission))


@blueprint.post("/integrations/<integration>/who")
@access.for_owner
def change_who(organization: Organization, integration: str) -> ResponseReturnValue:
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
    integrations.change_admission(record, admission)
    flash("It is saved, and counts from the next login on. Try it: the trial login says what holds for you.")
    return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)


def _who_page(record: IntegrationRecord, rows: list[Row], error: str = "") -> str:
    """*error*: what is wrong with all *rows* together."""
    trial = trials.result_of(record)
    return render_template(
        "bitbucket_server/who.html",
        organization=record.organization,
        record=record,
        rows=rows,
        kinds=list(Kind),
        error=error,
        findings=trial.get("findings") if trial is not None else None,
    )


def _page(organization: Organization) -> str:
    return render_template(
        "bitbucket_server/login_link.html",
        organization=organization,
        login_link=login_ways.login_link(organization),
        records=integrations.enabled_of(organization),
        only=login_ways.enforced(organization),
    )


def _to_page(organization: Organization) -> Response:
    return redirect(url_for("login_settings.page", slug=organization.slug), 303)
