"""The pages of OAuth 2, for the admin: what Bitbucket must know, what it gives, and the way back to OAuth 1."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from ...onboarding import oauth2_advice_for
from ...organizations import EventCode, Limited
from ...problems import BitbucketServerError, Problem
from ...sqlalchemy.organizations import IntegrationMixin, server_url
from . import access, limits, recording, worksheets
from .current import session, store
from .forms import ClientCredentialsForm
from .navigation import address_of, callback_of
from .requests import allow_forms_to_reach
from .templating import render

blueprint = Blueprint("oauth2", __name__)


@blueprint.get("")
@access.for_admins
def page(organization: Any, integration: str) -> ResponseReturnValue:
    """The worksheet for OAuth 2, and the form for the client credentials."""
    return _page(organization, access.integration_or_404(organization, integration), ClientCredentialsForm())


@blueprint.post("")
@access.for_admins
def keep(organization: Any, integration: str) -> ResponseReturnValue:
    """Let people log in by OAuth 2 with these client credentials."""
    record, form = access.integration_or_404(organization, integration), ClientCredentialsForm()
    if not form.validate():
        return _page(organization, record, form), 422
    store.upgrade.keep_credentials(record, form.client_id.data, form.client_secret.data)
    flash("Client ID and client secret are saved. Now test the connection by OAuth 2.")
    return _to_this_page(record)


@blueprint.post("/go-back")
@access.for_admins
def go_back(organization: Any, integration: str) -> ResponseReturnValue:
    """Let people log in by OAuth 1 alone, if Bitbucket still accepts it."""
    record = access.integration_or_404(organization, integration)
    if not store.upgrade.can_go_back(record):
        flash("There is no OAuth 1 to go back to.", "refusal")
        return _to_this_page(record)
    limits.count(Limited.TESTS, record.id)
    try:
        store.upgrade.go_back(record, callback_of(record))
    except BitbucketServerError as error:
        session.rollback()
        recording.record_refusal(EventCode.UPGRADE_NOT_ABANDONED, error, record.id)
        return _page(organization, record, ClientCredentialsForm(), refusal=error.problem), 422
    flash("People log in by OAuth 1. The client secret is erased; delete the external application in Bitbucket, too.")
    return redirect(address_of("integrations.integration", record), 303)


def _page(
    organization: Any,
    record: IntegrationMixin,
    form: ClientCredentialsForm,
    refusal: Problem | None = None,
) -> str:
    """*refusal*: why there is no way back to OAuth 1."""
    if record.client_credentials is not None:
        allow_forms_to_reach({server_url(record).origin})  # for a trial login
    return render(
        "oauth2.html",
        organization=organization,
        record=record,
        form=form,
        refusal=refusal,
        steps=worksheets.oauth2_steps(record),
        advice=oauth2_advice_for(record.server_version),
        people_count=store.identities.count(record),
        can_go_back=store.upgrade.can_go_back(record),
    )


def _to_this_page(record: IntegrationMixin) -> Response:
    return redirect(address_of("oauth2.page", record), 303)
