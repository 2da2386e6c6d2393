"""A person's own account: their name, their Bitbucket accounts, and an owner's password."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.wrappers import Response

from social_bitbucket_server.organizations import EventCode

from . import (
    access,
    audit,
    browser_session,
    identities,
    integrations,
    people,
    rate_limits,
    security_headers,
)
from .forms import LEAST_PASSWORD_LENGTH, PasswordForm
from .models import Organization

blueprint = Blueprint("account", __name__, url_prefix="/o/<slug>/account")


@blueprint.get("")
@access.for_members
def account(organization: Organization) -> ResponseReturnValue:
    """Show who is logged in, and how else they can log in."""
    return render_template(
        "account/account.html",
        organization=organization,
        server_url=integrations.server_url,
        can_connect=bool(identities.to_connect(current_user)),
        can_be_disconnected=identities.can_be_disconnected(current_user),
        came_through=browser_session.integration_id(),
    )


@blueprint.get("/password")
@access.for_owner
def password(organization: Organization) -> ResponseReturnValue:
    """The form for a new password."""
    return _password_page(organization, PasswordForm())


@blueprint.post("/password")
@access.for_owner
def change_password(organization: Organization) -> ResponseReturnValue:
    """Let the owner log in with the new password, if they know the present one."""
    form = PasswordForm()
    if form.validate():
        rate_limits.count(rate_limits.OWNER_PASSWORDS, rate_limits.visitor(), str(organization.id))
        if people.has_password(current_user, form.present.data):
            people.change_password(current_user, form.new.data)
            flash("The password is changed. You are logged out in all other browsers.")
            return _to_account(organization)
        audit.record(EventCode.OWNER_PASSWORD_NOT_CHANGED, outcome="failure", user_id=current_user.id)
        form.present.errors = ["This is not your present password."]
    return _password_page(organization, form), 422


@blueprint.get("/connect")
@access.for_members
def connect_page(organization: Organization) -> ResponseReturnValue:
    """Show what connecting means, and a button for each integration that is not connected yet."""
    choices = [(record, integrations.server_url(record)) for record in identities.to_connect(current_user)]
    security_headers.allow_forms_to_reach({server_url.origin for _record, server_url in choices})
    return render_template(
        "account/connect.html",
        organization=organization,
        choices=choices,
        declined=request.args.get("e") == "declined",
    )


@blueprint.post("/identities/<int:identity_id>/disconnect")
@access.for_members
def disconnect(organization: Organization, identity_id: int) -> ResponseReturnValue:
    """Take a way to log in away, and end the sessions in other browsers. The last way in stays."""
    identity = identities.find(current_user, identity_id)
    if identity is None:
        abort(404)
    name, is_of_this_session = identity.integration.name, identity.integration_id == browser_session.integration_id()
    if not identities.disconnect(current_user, identity):
        flash(f"{name} stays connected: it is your only way to log in.", "refusal")
        return _to_account(organization)
    if is_of_this_session:
        browser_session.log_out()
        flash(f"Your account at {name} is disconnected. Log in with the one that you kept.")
        return redirect(url_for("organization.login", slug=organization.slug), 303)
    flash(f"Your account at {name} is disconnected. You are logged out in your other browsers.")
    return _to_account(organization)


def _password_page(organization: Organization, form: PasswordForm) -> str:
    return render_template(
        "account/password.html", organization=organization, form=form, least_length=LEAST_PASSWORD_LENGTH
    )


def _to_account(organization: Organization) -> Response:
    return redirect(url_for("account.account", slug=organization.slug), 303)
