"""How a person logs in: their Bitbucket accounts, of which further ones can be connected."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from ...sqlalchemy.organizations import server_url
from .. import logins
from . import access, browser_session, login
from .current import store
from .requests import allow_forms_to_reach
from .templating import render

blueprint = Blueprint("account", __name__)


@blueprint.get("")
@access.for_members
def account(organization: Any) -> ResponseReturnValue:
    """Show who is logged in, and how else they can log in."""
    user = access.person()
    return render(
        "account.html",
        person=store.name_of(user),
        identities=store.identities.of(organization, user),
        server_url=server_url,
        can_connect=bool(_to_connect(organization)),
        can_be_disconnected=store.identities.can_be_disconnected(user),
        came_through=browser_session.identity_id(),
    )


@blueprint.get("/connect")
@access.for_members
def connect_page(organization: Any) -> ResponseReturnValue:
    """Show what connecting means, and a button for each integration that is not connected yet."""
    choices = [(record, server_url(record)) for record in _to_connect(organization)]
    allow_forms_to_reach({server.origin for _record, server in choices})
    return render("connect.html", choices=choices, declined=request.args.get("e") == "declined")


@blueprint.post("/connect/<integration>")
@access.for_members
def connect(organization: Any, integration: str) -> ResponseReturnValue:
    """Send the browser to another Bitbucket Server of the organization, to connect the account there to this one."""
    record = next((record for record in _to_connect(organization) if record.id == integration), None)
    if record is None or store.ways_in.of(organization).is_shut_out(record.id):
        abort(404)
    return login.begin_with(record, None, logins.connect, purpose="connect")


@blueprint.post("/identities/<bitbucket_row:identity_id>/disconnect")
@access.for_members
def disconnect(organization: Any, identity_id: int) -> ResponseReturnValue:
    """Take a way to log in away, and end the sessions in other browsers. The last way in stays."""
    user = access.person()
    identity = store.identities.find(user, identity_id) or abort(404)
    name, is_of_this_session = identity.integration.name, identity_id == browser_session.identity_id()
    if not store.identities.disconnect(user, identity):
        flash(f"{name} stays connected: it is your only way to log in.", "refusal")
    elif is_of_this_session:
        browser_session.log_out()
        flash(f"Your account at {name} is disconnected. Log in with the one that you kept.")
        return redirect(url_for("bitbucket.organization.login", slug=organization.slug), 303)
    else:
        kept = store.identities.find(user, browser_session.identity_id() or 0)
        if kept is not None:
            browser_session.go_on_with(kept)
        flash(f"Your account at {name} is disconnected. You are logged out in your other browsers.")
    return redirect(url_for("bitbucket.account.account", slug=organization.slug), 303)


def _to_connect(organization: Any) -> Any:
    user = access.person()
    return store.identities.to_connect(organization, user) if store.may_connect(user, organization) else ()
