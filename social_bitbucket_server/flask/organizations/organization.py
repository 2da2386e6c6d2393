"""An organization's own pages: its address, its login link, and the way out."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from ...sqlalchemy.organizations import server_url
from . import access, browser_session, permission, ways_in
from .current import extension, session, store
from .navigation import after_login
from .requests import allow_forms_to_reach
from .templating import render

blueprint = Blueprint("organization", __name__)


@blueprint.get("/")
@access.for_everybody
def page(organization: Any) -> ResponseReturnValue:
    """Show the organization's page. Its address is an Application URL in Bitbucket."""
    return _page(organization)


@blueprint.get("/i/<bitbucket_row:number>/")
@blueprint.get("/i/<bitbucket_row:number>/<bitbucket_row:link>/")
@access.for_everybody
def page_of_integration(organization: Any, number: int, link: int = 1) -> ResponseReturnValue:
    """Show the organization's page at the Application URLs of further integrations and application links."""
    integration: Any = store.models.integration
    known = select(integration.id).where(integration.organization == organization, integration.number == number)
    if link > 1:
        known = known.join(integration.application_links).where(store.models.application_link.number == link)
    if session.scalar(known) is None:
        abort(404)
    return _page(organization)


@blueprint.get("/login")
@access.for_everybody
def login(organization: Any) -> ResponseReturnValue:
    """Show a button for each integration that is open, or say who is logged in, or why nobody can log in."""
    ways, records = store.ways_in.with_integrations(organization)
    is_current = ways_in.came_by_link(organization, ways, request.args.get("key", ""))
    declined = request.args.get("e") == "declined"
    logged_in = _is_logged_in_here(organization) and not declined
    enabled = [
        (record, server_url(record), oauth)
        for record in records
        if is_current and not logged_in and record.disabled_at is None and ways.closed_by(record.id) is None
        for oauth in record.ways
    ]
    allow_forms_to_reach({server.origin for _record, server, _oauth in enabled})
    admin_login, wanted = extension().admin_login, request.args.get("next", "")
    query = f"?{urlencode({'next': wanted})}" if wanted else ""
    return render(
        "login.html",
        logged_in=logged_in,
        person=store.name_of(access.person()) if logged_in else "",
        continue_to=after_login(organization, None),
        enabled=enabled,
        permissions=list(dict.fromkeys(permission.asked_for(oauth, record) for record, _server, oauth in enabled)),
        permission_of_oauth1=permission.ACCOUNT,
        is_closed=ways.is_closed,
        is_current=is_current,
        only=next((record for record in records if record.id == ways.enforced), None),
        declined=declined,
        next=wanted,
        admin_login=admin_login(organization) + query if admin_login is not None else "",
    )


@blueprint.post("/logout")
@access.for_everybody
def logout(organization: Any) -> ResponseReturnValue:
    """End this browser's session, for every copy of its cookie."""
    was_here = _is_logged_in_here(organization)
    if current_user.is_authenticated and not was_here:
        abort(404)
    browser_session.log_out()
    if was_here:
        ways_in.remember(organization, store.ways_in.of(organization))
        flash("You are logged out.")
    return redirect(url_for("bitbucket.organization.login", slug=organization.slug), 303)


def _page(organization: Any) -> str:
    is_here = _is_logged_in_here(organization)
    return render(
        "organization.html",
        person=store.name_of(access.person()) if is_here else "",
        continue_to=after_login(organization, None) if is_here else "",
    )


def _is_logged_in_here(organization: Any) -> bool:
    return bool(current_user.is_authenticated and store.belongs_to(access.person(), organization))
