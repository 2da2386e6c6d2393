"""*Add an integration*, for the owner: which server it is, and what is advised for its version."""

from __future__ import annotations

from flask import Blueprint, current_app, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.onboarding import Result, is_oauth2_better, look_at_server
from social_bitbucket_server.organizations import EventCode, OAuth

from . import access, audit, database, integrations, onboarding, rate_limits
from .config import Settings
from .forms import NewIntegrationForm
from .models import Organization

blueprint = Blueprint("add_integration", __name__, url_prefix="/o/<slug>/settings/integrations/add")


@blueprint.get("")
@access.for_owner
def page(organization: Organization) -> ResponseReturnValue:
    """The form for a new integration."""
    return _page(organization, _form())


@blueprint.post("")
@access.for_owner
def create(organization: Organization) -> ResponseReturnValue:
    """Make the integration and show its worksheet."""
    form = _form()
    if not form.validate() or form.server_url is None:
        return _page(organization, form), 422
    rate_limits.count(rate_limits.KEY_PAIRS, str(organization.id))
    try:
        record = integrations.make(
            organization,
            form.name.data,
            form.server_url,
            ca_certificates=form.ca_certificates.data,
            connect_to=form.connects_to,
            oauth=form.oauth,
        )
    except integrations.NameTakenError as error:
        database.session.rollback()
        form.name.errors = [str(error)]
        return _page(organization, form), 422
    integrations.change_client_certificate(record, form.shown_certificate)
    return redirect(url_for("onboarding.bitbucket", slug=organization.slug, integration=record.id), 303)


@blueprint.post("/look")
@access.for_owner
def look(organization: Organization) -> ResponseReturnValue:
    """Ask the server for its version, choose the OAuth that is better there, and show the form again."""
    form = _form()
    form.name.validators = ()
    if not form.validate() or form.server_url is None:
        return _page(organization, form), 422
    rate_limits.count(rate_limits.TESTS, rate_limits.visitor(), f"organization {organization.id}")
    found = _look_at(organization, form, form.server_url)
    if found.problem is None:
        better = OAuth.TWO if is_oauth2_better(found.facts.get("version", "")) else OAuth.ONE
        form.oauth_version.data = better.value
    else:
        form.base_url.errors = [found.problem.title]
    return _page(organization, form, found)


def _look_at(organization: Organization, form: NewIntegrationForm, server_url: ServerURL) -> Result:
    organization_id = str(organization.id)
    way_out = _settings().outbound.way_out(organization_id)
    database.session.commit()  # nobody waits for this request's connection while the server is asked
    certificate, key = form.shown_certificate or ("", Secret())
    server = way_out.server(
        str(server_url),
        ca_certificates=form.ca_certificates.data,
        client_certificate=certificate,
        client_key=key,
        connect_to=str(form.connects_to or ""),
    )
    found = look_at_server(server, organization=organization_id)
    audit.record(
        EventCode.SERVER_LOOKED_AT,
        outcome=found.outcome,
        org_id=organization.id,
        problem=found.problem.code if found.problem is not None else None,
    )
    if found.blocked:
        audit.record(EventCode.OUTBOUND_BLOCKED, outcome="failure", org_id=organization.id, **found.blocked)
    return found


def _form() -> NewIntegrationForm:
    return NewIntegrationForm(_settings().outbound.base_url_rules)


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


def _page(organization: Organization, form: NewIntegrationForm, found: Result | None = None) -> str:
    return render_template(
        "bitbucket_server/add.html",
        organization=organization,
        form=form,
        found=found,
        way_names=list(onboarding.NAMES.values()),
    )
