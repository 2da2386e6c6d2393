"""The way of a new integration to its login link: Server, Bitbucket, Test, Share the link. A page for each step."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from social_bitbucket_server.onboarding import Dialog, advice_for, oauth2_advice_for
from social_bitbucket_server.organizations import EventCode, SetupStep, State, next_step

from . import access, attempts, database, integrations, login_ways, setup_links, upgrade, worksheets
from .forms import ClientCredentialsForm
from .models import AuditEntry, IntegrationRecord, Organization

blueprint = Blueprint("onboarding", __name__, url_prefix="/o/<slug>/settings/integrations/<integration>")

NAMES = {
    SetupStep.SERVER: "Server",
    SetupStep.BITBUCKET: "Bitbucket",
    SetupStep.TEST: "Test",
    SetupStep.SHARE: "Share the link",
}
"""Names of the steps, in their order."""

_PAGES = {
    SetupStep.SERVER: "settings.edit",
    SetupStep.BITBUCKET: "onboarding.bitbucket",
    SetupStep.TEST: "onboarding.test",
    SetupStep.SHARE: "onboarding.share",
}


@dataclass(frozen=True)
class Way:
    """The steps by name, the number of the *current* one from 1, and the addresses of those that are done."""

    names: tuple[str, ...]
    current: int
    done: dict[str, str]


def way_of(record: IntegrationRecord, current: SetupStep) -> Way | None:
    """Return the way of *record* as the page of its step *current* shows it; ``None`` after somebody has logged in."""
    state = attempts.condition_of(record).state
    if state not in {State.DRAFT, State.NEVER_USED}:
        return None
    finished = SetupStep.SHARE.finished if state is State.NEVER_USED else current.finished
    addresses = {NAMES[step]: _address(_PAGES[step], record) for step in finished}
    return Way(tuple(NAMES.values()), current.number, addresses)


def next_page_of(record: IntegrationRecord) -> str:
    """Return the address at which the set-up of *record* goes on, or that of its own page if it is set up."""
    step = next_step(
        attempts.condition_of(record).state, has_credentials=bool(record.ways), is_tested=_was_tested(record)
    )
    return _address(_PAGES[step] if step is not None else "settings.integration", record)


@blueprint.get("/continue")
@access.for_owner
def go_on(organization: Organization, integration: str) -> ResponseReturnValue:
    """Go to the step at which the set-up was left."""
    return redirect(next_page_of(access.integration_or_404(organization, integration)), 303)


@blueprint.get("/bitbucket")
@access.for_owner
def bitbucket(organization: Organization, integration: str) -> ResponseReturnValue:
    """Show what to do in Bitbucket, and for OAuth 2 the form for what it shows then."""
    record = access.integration_or_404(organization, integration)
    return bitbucket_page(record, ClientCredentialsForm() if record.is_for_oauth2 else None)


@blueprint.post("/bitbucket")
@access.for_owner
def keep_credentials(organization: Organization, integration: str) -> ResponseReturnValue:
    """Keep the client credentials, and go on to the test."""
    record, form = access.integration_or_404(organization, integration), ClientCredentialsForm()
    if not form.validate():
        return bitbucket_page(record, form), 422
    upgrade.keep_credentials(record, form.client_id.data, form.client_secret.data)
    return redirect(_address("onboarding.test", record), 303)


@blueprint.get("/test")
@access.for_owner
def test(organization: Organization, integration: str) -> ResponseReturnValue:
    """Show how to start the test."""
    record = access.integration_or_404(organization, integration)
    if not record.ways:
        return redirect(_address("onboarding.bitbucket", record), 303)
    return render_template(
        "bitbucket_server/test.html",
        organization=organization,
        record=record,
        oauth=record.ways[0],
        way=way_of(record, SetupStep.TEST),
    )


@blueprint.get("/share")
@access.for_owner
def share(organization: Organization, integration: str) -> ResponseReturnValue:
    """Show the login link, unless no test has passed yet."""
    record = access.integration_or_404(organization, integration)
    if not attempts.condition_of(record).is_ready:
        return redirect(_address("settings.integration", record), 303)
    return render_template(
        "bitbucket_server/share.html",
        organization=organization,
        record=record,
        server_url=integrations.server_url(record),
        login_link=login_ways.login_link(organization),
        keeps_tokens=current_app.extensions["settings"].store_access_tokens,
        way=way_of(record, SetupStep.SHARE),
    )


def bitbucket_page(record: IntegrationRecord, form: ClientCredentialsForm | None) -> str:
    """Return the worksheet's page. *form*: for client credentials; ``None`` for OAuth 1."""
    dialog = worksheets.dialog(record, request.args.get("bitbucket", ""))
    return render_template(
        "bitbucket_server/bitbucket.html",
        organization=record.organization,
        record=record,
        form=form,
        server_url=integrations.server_url(record),
        steps=worksheets.steps(record, dialog),
        script=worksheets.script(record),
        advice=(oauth2_advice_for if record.is_for_oauth2 else advice_for)(record.server_version),
        setup_link=setup_links.live(record),
        way=way_of(record, SetupStep.BITBUCKET),
        **dialogs_of(record, dialog, _address("onboarding.bitbucket", record)),
    )


def dialogs_of(record: IntegrationRecord, dialog: Dialog, address: str) -> dict[str, object]:
    """Return what the choice among Bitbucket's dialogs on the page at *address* needs; *dialog* is shown."""
    dialogs = [each for each in reversed(Dialog) if not (record.is_for_oauth2 and each is Dialog.UP_TO_7_19)]
    addresses = {each: f"{address}?bitbucket={each.value}#worksheet" for each in dialogs}
    return {"dialog": dialog, "dialogs": dialogs, "addresses": addresses}


def _was_tested(record: IntegrationRecord) -> bool:
    tested = select(AuditEntry.id).where(
        AuditEntry.integration_id == record.id, AuditEntry.event == EventCode.INTEGRATION_TESTED
    )
    return database.session.scalar(tested.limit(1)) is not None


def _address(endpoint: str, record: IntegrationRecord) -> str:
    return url_for(endpoint, slug=record.organization.slug, integration=record.id)
