"""The pages of OAuth 2, for the admin: what Bitbucket must know, what it gives, and the way back to OAuth 1."""

from __future__ import annotations

from flask import flash, redirect
from flask.typing import ResponseReturnValue

from ...onboarding import oauth2_advice_for
from ...organizations import EventCode, Limited
from ...problems import BitbucketServerError, Problem
from ...sqlalchemy.organizations import IntegrationMixin, server_url
from . import limits, recording, worksheets
from .access import AdminPages
from .current import session, store
from .forms import ClientCredentialsForm
from .navigation import address_of, callback_of
from .requests import allow_forms_to_reach
from .templating import render

blueprint = AdminPages("oauth2", __name__)


@blueprint.get("")
def page(record: IntegrationMixin) -> ResponseReturnValue:
    return _page(record, ClientCredentialsForm())


@blueprint.post("")
def keep(record: IntegrationMixin) -> ResponseReturnValue:
    """Let people log in by OAuth 2 with these client credentials."""
    form = ClientCredentialsForm()
    if not form.validate():
        return _page(record, form), 422
    store.upgrade.keep_credentials(record, form.client_id.data, form.client_secret.data)
    flash("Client ID and client secret are saved. Now test the connection by OAuth 2.")
    return redirect(address_of("oauth2.page", record), 303)


@blueprint.post("/go-back")
def go_back(record: IntegrationMixin) -> ResponseReturnValue:
    """Let people log in by OAuth 1 alone, if Bitbucket still accepts it."""
    if not store.upgrade.can_go_back(record):
        flash("There is no OAuth 1 to go back to.", "refusal")
        return redirect(address_of("oauth2.page", record), 303)
    limits.count(Limited.TESTS, record.id)
    try:
        store.upgrade.go_back(record, callback_of(record))
    except BitbucketServerError as error:
        session.rollback()
        recording.record_refusal(EventCode.UPGRADE_NOT_ABANDONED, error, record.id)
        return _page(record, ClientCredentialsForm(), refusal=error.problem), 422
    flash("People log in by OAuth 1. The client secret is erased; delete the external application in Bitbucket, too.")
    return redirect(address_of("integrations.integration", record), 303)


def _page(record: IntegrationMixin, form: ClientCredentialsForm, refusal: Problem | None = None) -> str:
    """*refusal*: why there is no way back to OAuth 1."""
    if record.client_credentials is not None:
        allow_forms_to_reach({server_url(record).origin})  # for a trial login
    return render(
        "oauth2.html",
        record=record,
        form=form,
        refusal=refusal,
        steps=worksheets.oauth2_steps(record),
        advice=oauth2_advice_for(record.server_version),
        people_count=store.identities.count(record),
        can_go_back=store.upgrade.can_go_back(record),
    )
