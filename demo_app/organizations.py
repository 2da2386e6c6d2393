"""The demo's own pages: create an organization, log in as its owner, and who is logged in."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from wtforms import EmailField, PasswordField, StringField
from wtforms.validators import InputRequired, Length, Regexp

from social_bitbucket_server.flask.organizations import local_page, log_in

from . import people
from .limits import limiter
from .models import Organization, db

blueprint = Blueprint("organizations", __name__)

_STRIP = (lambda text: (text or "").strip(),)


class OrganizationForm(FlaskForm):  # type: ignore[misc]  # untyped
    """A new organization and its owner."""

    name = StringField("Name", filters=_STRIP, validators=[InputRequired("Enter the name."), Length(max=80)])
    slug = StringField(
        "Address",
        filters=_STRIP,
        validators=[Regexp(r"[a-z0-9][a-z0-9-]{0,38}[a-z0-9]\Z", message="Use 2 to 40 lower-case letters and digits.")],
    )
    email = EmailField("Your e-mail address", filters=_STRIP, validators=[InputRequired("Enter it."), Length(max=254)])
    password = PasswordField("Password", validators=[Length(10, 200, "Use at least 10 characters.")])


class OwnerForm(FlaskForm):  # type: ignore[misc]  # untyped
    """The owner's way in, which works without any Bitbucket."""

    email = EmailField("E-mail address", filters=_STRIP)
    password = PasswordField("Password", validators=[Length(max=200)])


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Show all organizations with their login pages: it is a demo."""
    organizations = db.session.scalars(select(Organization).order_by(Organization.name)).all()
    return render_template("home.html", organizations=organizations)


@blueprint.route("/organizations/new", methods=["GET", "POST"])
@limiter.limit("10/hour", methods=["POST"])
def new() -> ResponseReturnValue:
    """Create an organization, and log its owner in."""
    form = OrganizationForm()
    if not form.validate_on_submit():
        return render_template("form.html", form=form, title="Create an organization"), 422 if form.errors else 200
    wanted = {field: form[field].data for field in ("slug", "name", "email", "password")}
    try:
        owner = people.make_organization(**wanted)
    except IntegrityError:
        db.session.rollback()
        form.slug.errors = ["Another organization has this address."]
        return render_template("form.html", form=form, title="Create an organization"), 422
    log_in(owner)
    return redirect(url_for("bitbucket.integrations.integrations_list", slug=form.slug.data), 303)


@blueprint.route("/o/<slug>/login/owner", methods=["GET", "POST"])
@limiter.limit("10/minute", methods=["POST"])
def owner_login(slug: str) -> ResponseReturnValue:
    """Log the owner in by password."""
    organization = _organization_or_404(slug)
    form = OwnerForm()
    if form.validate_on_submit():
        owner = people.owner_by_password(organization, form.email.data, form.password.data)
        if owner is not None:
            log_in(owner)
            settings = url_for("bitbucket.integrations.integrations_list", slug=slug)
            return redirect(local_page(organization, request.args.get("next") or settings), 303)
        form.password.errors = ["E-mail address and password do not belong together."]
    title = f"Owner's login to {organization.name}"
    return render_template("form.html", form=form, title=title), 422 if form.errors else 200


@blueprint.get("/o/<slug>/me")
def me(slug: str) -> ResponseReturnValue:
    """Show who is logged in."""
    organization = _organization_or_404(slug)
    if not current_user.is_authenticated or not people.belongs_to(current_user, organization):
        return redirect(url_for("bitbucket.organization.login", slug=slug), 303)
    return render_template("me.html", organization=organization, owns=people.may_administer(organization))


def _organization_or_404(slug: str) -> Organization:
    found: Organization | None = db.session.scalar(select(Organization).where(Organization.slug == slug))
    return found or abort(404)
