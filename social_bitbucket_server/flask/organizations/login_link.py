"""How people come in, for the admin: the login link with its QR code, and the only integration."""

from __future__ import annotations

import io
from typing import Any

import segno
from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from . import access, ways_in
from .access import AdminPages
from .current import store
from .templating import render

blueprint = AdminPages("login_link", __name__)


@blueprint.get("")
def page(organization: Any) -> ResponseReturnValue:
    integrations = store.integrations.of(organization)
    return render(
        "login_link.html",
        login_link=ways_in.login_link(organization),
        has_integrations=bool(integrations),
        records=[record for record in integrations if record.disabled_at is None],
        only=store.ways_in.enforced(organization),
        closed_since=store.ways_in.closed_since(organization),
    )


@blueprint.get("/qr.svg")
def qr_code(organization: Any) -> ResponseReturnValue:
    """The login link to be scanned; black on white, so that every camera reads it."""
    picture = io.BytesIO()
    segno.make(ways_in.login_link(organization), error="m").save(
        picture, kind="svg", scale=6, border=4, light="#fff", dark="#000"
    )
    return picture.getvalue(), {"Content-Type": "image/svg+xml"}


@blueprint.post("/link")
def change_link(organization: Any) -> ResponseReturnValue:
    actions = {
        "replace": (store.ways_in.replace_link, "The login link is replaced. The old one lets nobody in."),
        "close": (store.ways_in.close_link, "The login link is closed. Nobody can log in until you open it again."),
        "open": (store.ways_in.open_link, "The login link is open again."),
    }
    action = request.form.get("action", "")
    if action not in actions:
        abort(400)
    if action == "replace" and not request.form.get("confirmed"):
        flash("Confirm that the present login link ends. It still counts.", "refusal")
    else:
        change, words = actions[action]
        change(organization)
        flash(words)
    return redirect(url_for("bitbucket.login_link.page", slug=organization.slug), 303)


@blueprint.post("/only")
def choose_only_way(organization: Any) -> ResponseReturnValue:
    """Make one integration the only way in for everybody but the owner, or open all ways."""
    wanted = request.form.get("integration")
    record = access.integration_or_404(organization, wanted) if wanted else None
    if wanted is None:
        flash("Nothing was chosen, and nothing has changed.", "refusal")
    elif record is None:
        store.ways_in.lift(organization)
        flash("All integrations are open.")
    elif record.disabled_at is not None or record.last_login_at is None:
        flash("Choose an integration through which somebody has logged in already, and which is enabled.", "refusal")
    else:
        store.ways_in.enforce(record)
        flash(f"{record.name} is the only way in. You still log in with your password.")
    return redirect(url_for("bitbucket.login_link.page", slug=organization.slug), 303)
