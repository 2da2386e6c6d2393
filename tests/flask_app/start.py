"""The start page: create an organization, or find one's own."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from social_bitbucket_server.flask.organizations import log_in, visitor

from . import database, people, rate_limits
from .forms import FindOrganizationForm, OrganizationForm
from .models import Organization

blueprint = Blueprint("start", __name__)


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Show what this application is, and the way to the visitor's organization."""
    organization = current_user.organization if current_user.is_authenticated else None
    return render_template("start/home.html", form=FindOrganizationForm(), organization=organization)


@blueprint.post("/")
def find() -> ResponseReturnValue:
    """Go to the login page of the organization that was typed."""
    form = FindOrganizationForm()
    if form.validate():
        known = select(Organization.slug).where(Organization.slug == form.slug.data, Organization.disabled_at.is_(None))
        slug = database.session.scalar(known)
        if slug is not None:
            return redirect(url_for("bitbucket.organization.login", slug=slug), 303)
        advice = "Enter only the middle of your login link, or ask a colleague for the link and open it."
        form.slug.errors = [f"There is no organization with this address. {advice}"]
    return render_template("start/home.html", form=form), 422


@blueprint.get("/organizations/new")
def new() -> ResponseReturnValue:
    """The form for a new organization."""
    return render_template("start/new.html", form=OrganizationForm())


@blueprint.post("/organizations/new")
def create() -> ResponseReturnValue:
    """Create the organization and log its owner in."""
    form = OrganizationForm()
    if form.validate():
        slug = form.proposed_slug()
        if not slug:
            form.slug.errors = ["Choose an address: the name has no letters that an address can be made of."]
        else:
            rate_limits.count(rate_limits.ORGANIZATIONS, visitor())
            try:
                owner = people.create_organization(
                    slug=slug, name=form.name.data, email=form.email.data, password=form.password.data
                )
            except IntegrityError:
                database.session.rollback()
                form.slug.errors = [f"Another organization has the address “{slug}”. Choose a different one."]
            else:
                log_in(owner)
                return redirect(url_for("bitbucket.integrations.integrations_list", slug=slug), 303)
    return render_template("start/new.html", form=form), 422
