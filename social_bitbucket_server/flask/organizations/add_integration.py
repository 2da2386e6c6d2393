"""*Add an integration*, for the admin: which server it is, and what is advised for its version."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect
from flask.typing import ResponseReturnValue

from ...crypto import Secret
from ...onboarding import Result, is_oauth2_better, look_at_server
from ...organizations import EventCode, Limited, OAuth
from ...sqlalchemy.organizations import NameTakenError
from . import access, limits, onboarding, permission, recording
from .current import session, store
from .forms import NewIntegrationForm
from .navigation import address_of
from .templating import render

blueprint = Blueprint("add_integration", __name__)


@blueprint.get("")
@access.for_admins
def page(organization: Any) -> ResponseReturnValue:
    """The form for a new integration. The first one is called Bitbucket if the admin types no other name."""
    name = "" if store.integrations.of(organization) else "Bitbucket"
    return _page(NewIntegrationForm(store.outbound.base_url_rules, name=name))


@blueprint.post("")
@access.for_admins
def create(organization: Any) -> ResponseReturnValue:
    """Make the integration and show its worksheet."""
    form = NewIntegrationForm(store.outbound.base_url_rules)
    if not form.validate() or form.server_url is None:
        return _page(form), 422
    limits.count(Limited.KEY_PAIRS, store.key_of(organization))
    try:
        record = store.integrations.make(
            organization,
            form.name.data,
            form.server_url,
            ca_certificates=form.ca_certificates.data,
            connect_to=form.connects_to,
            oauth=OAuth(form.oauth_version.data),
        )
    except NameTakenError as error:
        session.rollback()
        form.name.errors = [str(error)]
        return _page(form), 422
    store.integrations.change_client_certificate(record, form.shown_certificate)
    return redirect(address_of("onboarding.bitbucket", record), 303)


@blueprint.post("/look")
@access.for_admins
def look(organization: Any) -> ResponseReturnValue:
    """Ask the server for its version, choose the OAuth that is better there, and show the form again."""
    form = NewIntegrationForm(store.outbound.base_url_rules)
    form.name.validators = ()
    if not form.validate() or form.server_url is None:
        return _page(form), 422
    organization_id = store.key_of(organization)
    limits.count(Limited.TESTS, f"organization {organization_id}")
    way_out = store.integrations.way_out(organization)
    session.commit()  # nobody waits for this request's connection while the server is asked
    certificate, key = form.shown_certificate or ("", Secret())
    server = way_out.server(
        str(form.server_url),
        ca_certificates=form.ca_certificates.data,
        client_certificate=certificate,
        client_key=key,
        connect_to=str(form.connects_to or ""),
    )
    found = look_at_server(server, organization=str(organization_id), limits=store.limits)
    recording.record(
        EventCode.SERVER_LOOKED_AT,
        outcome=found.outcome,
        organization_id=organization_id,
        problem=found.problem.code if found.problem is not None else None,
    )
    if found.blocked:
        recording.record(
            EventCode.OUTBOUND_BLOCKED, outcome="failure", organization_id=organization_id, **found.blocked
        )
    if found.problem is None:
        better = OAuth.TWO if is_oauth2_better(found.facts.get("version", "")) else OAuth.ONE
        form.oauth_version.data = better.value
    else:
        form.base_url.errors = [found.problem.title]
    return _page(form, found)


def _page(form: NewIntegrationForm, found: Result | None = None) -> str:
    return render(
        "add.html",
        form=form,
        found=found,
        way_names=onboarding.NAMES,
        permission_of_oauth2=permission.asked_for(OAuth.TWO),
    )
