"""An owner's own pages: the login by password, which needs no Bitbucket, and another password."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from social_bitbucket_server.flask.organizations import log_in, record, visitor
from social_bitbucket_server.organizations import EventCode

from . import database, navigation, people, rate_limits
from .forms import LEAST_PASSWORD_LENGTH, OwnerLoginForm, PasswordForm
from .models import Organization

blueprint = Blueprint("owner", __name__, url_prefix="/o/<slug>")


@blueprint.get("/login/owner")
def login(slug: str) -> ResponseReturnValue:
    """Show the form."""
    return _login_page(_organization(slug), OwnerLoginForm(next=request.args.get("next", "")))


@blueprint.post("/login/owner")
def check_password(slug: str) -> ResponseReturnValue:
    """Log the owner in by password."""
    organization, form = _organization(slug), OwnerLoginForm()
    if form.validate():
        rate_limits.count(rate_limits.OWNER_PASSWORDS, visitor(), str(organization.id))
        owner = people.owner_by_password(organization, form.email.data, form.password.data)
        if owner is not None:
            log_in(owner)
            record(EventCode.LOGIN_SUCCESS, user_id=owner.id, organization_id=organization.id)
            wanted = form.next.data or url_for("bitbucket.integrations.integrations_list", slug=slug)
            return redirect(navigation.after_login(organization, wanted), 303)
        about = {"code": "password_wrong", "organization_id": organization.id}
        record(EventCode.LOGIN_FAILURE, outcome="failure", **about)
        form.password.errors = ["E-mail address and password do not belong together."]
    return _login_page(organization, form), 422


@blueprint.get("/account/password")
def password(slug: str) -> ResponseReturnValue:
    """Show the form for a new password."""
    return _password_page(_own_organization(slug), PasswordForm())


@blueprint.post("/account/password")
def change_password(slug: str) -> ResponseReturnValue:
    """Let the owner log in with the new password, if they know the present one."""
    organization, form = _own_organization(slug), PasswordForm()
    if form.validate():
        rate_limits.count(rate_limits.OWNER_PASSWORDS, visitor(), str(organization.id))
        about = {"user_id": current_user.id, "organization_id": organization.id}
        if people.has_password(current_user, form.present.data):
            people.replace_password(current_user, form.new.data)
            session["_user_id"] = current_user.get_id()  # Flask-Login keeps it there; this browser stays logged in
            record(EventCode.OWNER_PASSWORD_CHANGED, **about)
            flash("The password is changed. You are logged out in all other browsers.")
            return redirect(navigation.after_login(organization, None), 303)
        record(EventCode.OWNER_PASSWORD_NOT_CHANGED, outcome="failure", **about)
        form.present.errors = ["This is not your present password."]
    return _password_page(organization, form), 422


def _organization(slug: str) -> Organization:
    open_one = select(Organization).where(Organization.slug == slug, Organization.disabled_at.is_(None))
    return database.session.scalar(open_one) or abort(404)


def _own_organization(slug: str) -> Organization:
    organization = _organization(slug)
    if not current_user.is_authenticated or not people.may_administer(organization):
        abort(404)
    return organization


def _login_page(organization: Organization, form: OwnerLoginForm) -> str:
    return render_template("organization/owner_login.html", organization=organization, form=form)


def _password_page(organization: Organization, form: PasswordForm) -> str:
    return render_template(
        "account/password.html", organization=organization, form=form, least_length=LEAST_PASSWORD_LENGTH
    )
