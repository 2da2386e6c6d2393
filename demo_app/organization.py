"""An organization's own pages: its address, its login link, its owner's password, and the way out."""

from __future__ import annotations

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from social_bitbucket_server.organizations import EventCode, OAuth

from . import (
    access,
    audit,
    browser_session,
    database,
    integrations,
    login_ways,
    navigation,
    people,
    rate_limits,
    security_headers,
)
from .forms import OwnerLoginForm
from .models import ApplicationLink, IntegrationRecord, Organization

blueprint = Blueprint("organization", __name__, url_prefix="/o/<slug>")


@blueprint.get("/")
@access.for_everybody
def page(organization: Organization) -> ResponseReturnValue:
    """The organization's page; its address is an Application URL in Bitbucket."""
    return render_template("organization/page.html", organization=organization)


@blueprint.get("/i/<int:number>/")
@blueprint.get("/i/<int:number>/<int:link>/")
@access.for_everybody
def page_of_integration(organization: Organization, number: int, link: int = 1) -> ResponseReturnValue:
    """Show the organization's page at the Application URLs of further integrations and application links."""
    known = select(IntegrationRecord.id).where(
        IntegrationRecord.organization_id == organization.id, IntegrationRecord.number == number
    )
    if link > 1:
        known = known.join(IntegrationRecord.application_links).where(ApplicationLink.number == link)
    if database.session.scalar(known) is None:
        abort(404)
    return render_template("organization/page.html", organization=organization)


@blueprint.get("/login")
@access.for_everybody
def login(organization: Organization) -> ResponseReturnValue:
    """Show a button for each integration that is open, or say who is logged in, or why nobody can log in."""
    is_current = login_ways.came_by_link(organization, request.args.get("key", ""))
    declined = request.args.get("e") == "declined"
    logged_in = _is_logged_in_here(organization) and not declined
    ways = login_ways.ways_into(organization)
    enabled = [
        (record, integrations.server_url(record), oauth)
        for record in integrations.enabled_of(organization)
        if is_current and not logged_in and ways.closed_by(record.id) is None
        for oauth in record.ways
    ]
    security_headers.allow_forms_to_reach({server_url.origin for _record, server_url, _oauth in enabled})
    return render_template(
        "bitbucket_server/login.html",
        organization=organization,
        logged_in=logged_in,
        enabled=enabled,
        asks_for_account=any(oauth is OAuth.ONE for _record, _server_url, oauth in enabled),
        is_current=is_current,
        only=database.session.get(IntegrationRecord, ways.enforced) if ways.enforced is not None else None,
        declined=declined,
        keeps_tokens=current_app.extensions["settings"].store_access_tokens,
        next=request.args.get("next", ""),
    )


@blueprint.get("/login/owner")
@access.for_everybody
def owner_login(organization: Organization) -> ResponseReturnValue:
    """The owner's way in, which works without any Bitbucket."""
    form = OwnerLoginForm(next=request.args.get("next", ""))
    return _owner_login_page(organization, form)


@blueprint.post("/login/owner")
@access.for_everybody
def log_owner_in(organization: Organization) -> ResponseReturnValue:
    """Log the owner in by password."""
    form = OwnerLoginForm()
    if form.validate():
        rate_limits.count(rate_limits.OWNER_PASSWORDS, rate_limits.visitor(), str(organization.id))
        owner = people.owner_by_password(organization, form.email.data, form.password.data)
        if owner is not None:
            browser_session.log_in(owner)
            audit.record(EventCode.LOGIN_SUCCESS, user_id=owner.id)
            wanted = form.next.data or url_for("settings.integrations_list", slug=organization.slug)
            return redirect(navigation.after_login(organization, wanted), 303)
        audit.record(EventCode.LOGIN_FAILURE, outcome="failure", code="password_wrong")
        form.password.errors = ["E-mail address and password do not belong together."]
    return _owner_login_page(organization, form), 422


@blueprint.post("/logout")
@access.for_everybody
def logout(organization: Organization) -> ResponseReturnValue:
    """End this browser's session, for every copy of its cookie."""
    if current_user.is_authenticated and current_user.organization_id != organization.id:
        abort(404)
    was_here = current_user.is_authenticated
    browser_session.log_out()
    if was_here:
        login_ways.remember(organization)
        flash("You are logged out.")
    return redirect(url_for("organization.login", slug=organization.slug), 303)


def _is_logged_in_here(organization: Organization) -> bool:
    return bool(current_user.is_authenticated and current_user.organization_id == organization.id)


def _owner_login_page(organization: Organization, form: OwnerLoginForm) -> str:
    return render_template("organization/owner_login.html", organization=organization, form=form)
