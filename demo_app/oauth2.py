"""The pages of OAuth 2, for the owner: what Bitbucket must know, what it gives, and the way back to OAuth 1."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from social_bitbucket_server.onboarding import oauth2_advice_for
from social_bitbucket_server.organizations import EventCode
from social_bitbucket_server.problems import BitbucketServerError, Code, Problem

from . import (
    access,
    audit,
    database,
    identities,
    integrations,
    rate_limits,
    security_headers,
    upgrade,
    worksheets,
)
from .forms import ClientCredentialsForm
from .models import IntegrationRecord, Organization

blueprint = Blueprint("oauth2", __name__, url_prefix="/o/<slug>/settings/integrations/<integration>/oauth2")


@blueprint.get("")
@access.for_owner
def page(organization: Organization, integration: str) -> ResponseReturnValue:
    """The worksheet for OAuth 2, and the form for the client credentials."""
    return _page(organization, access.integration_or_404(organization, integration), ClientCredentialsForm())


@blueprint.post("")
@access.for_owner
def keep(organization: Organization, integration: str) -> ResponseReturnValue:
    """Let people log in by OAuth 2 with these client credentials."""
    record, form = access.integration_or_404(organization, integration), ClientCredentialsForm()
    if not form.validate():
        return _page(organization, record, form), 422
    upgrade.keep_credentials(record, form.client_id.data, form.client_secret.data)
    flash("Client id and client secret are saved. Now test the connection by OAuth 2.")
    return _to_this_page(record)


@blueprint.post("/go-back")
@access.for_owner
def go_back(organization: Organization, integration: str) -> ResponseReturnValue:
    """Let people log in by OAuth 1 alone, if Bitbucket still accepts it."""
    record = access.integration_or_404(organization, integration)
    if not upgrade.can_go_back(record):
        flash("There is no OAuth 1 to go back to.", "refusal")
        return _to_this_page(record)
    rate_limits.count(rate_limits.TESTS, rate_limits.visitor(), record.id)
    try:
        upgrade.go_back(record)
    except BitbucketServerError as error:
        database.session.rollback()
        audit.record(EventCode.UPGRADE_NOT_ABANDONED, outcome="failure", integration_id=record.id, problem=error.code)
        if error.code == Code.ADDRESS_BLOCKED:
            audit.record(EventCode.OUTBOUND_BLOCKED, outcome="failure", integration_id=record.id, **error.facts)
        return _page(organization, record, ClientCredentialsForm(), refusal=error.problem), 422
    flash("People log in by OAuth 1. The client secret is erased; delete the external application in Bitbucket, too.")
    return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)


def _page(
    organization: Organization,
    record: IntegrationRecord,
    form: ClientCredentialsForm,
    refusal: Problem | None = None,
) -> str:
    """*refusal*: why there is no way back to OAuth 1."""
    if record.client_credentials is not None:
        security_headers.allow_forms_to_reach({integrations.server_url(record).origin})  # for a trial login
    return render_template(
        "bitbucket_server/oauth2.html",
        organization=organization,
        record=record,
        form=form,
        refusal=refusal,
        steps=worksheets.oauth2_steps(record),
        advice=oauth2_advice_for(record.server_version),
        people_count=identities.count(record),
        can_go_back=upgrade.can_go_back(record),
    )


def _to_this_page(record: IntegrationRecord) -> Response:
    return redirect(url_for("oauth2.page", slug=record.organization.slug, integration=record.id), 303)
