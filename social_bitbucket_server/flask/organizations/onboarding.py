"""The way of a new integration to its login link: Server, Bitbucket, Test, Share the link. A page for each step."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, redirect, request
from flask.typing import ResponseReturnValue

from ...onboarding import Dialog, advice_for, oauth2_advice_for
from ...organizations import Limited, OAuth, SetupStep, State, next_step
from ...sqlalchemy.organizations import IntegrationMixin, server_url
from . import access, connection, limits, permission, ways_in, worksheets
from .current import store
from .forms import ClientCredentialsForm
from .navigation import address_of
from .requests import allow_forms_to_reach
from .templating import render

blueprint = Blueprint("onboarding", __name__)

NAMES = tuple(step.label for step in SetupStep)
"""Names of the steps, in their order."""

_PAGES = {
    SetupStep.SERVER: "integrations.edit",
    SetupStep.BITBUCKET: "onboarding.bitbucket",
    SetupStep.TEST: "onboarding.test",
    SetupStep.SHARE: "onboarding.share",
}

_TRIAL = "You log in with your own Bitbucket account. That creates no account here"


def way_of(record: IntegrationMixin, current: SetupStep) -> dict[str, Any] | None:
    """Return the way of *record* as the page of its step *current* shows it: the steps by name, the number of the
    current one from 1, and the addresses of those that are done. ``None`` after somebody has logged in."""
    state = store.events.condition_of(record).state
    if state not in {State.DRAFT, State.NEVER_USED}:
        return None
    finished = SetupStep.SHARE.finished if state is State.NEVER_USED else current.finished
    addresses = {step.label: address_of(_PAGES[step], record) for step in finished}
    return {"names": NAMES, "current": current.number, "done": addresses}


@blueprint.get("/continue")
@access.for_admins_of_integration
def go_on(record: IntegrationMixin) -> ResponseReturnValue:
    """Go to the step at which the set-up was left, or to the integration's own page if it is set up."""
    step = next_step(
        store.events.condition_of(record).state,
        has_credentials=bool(record.ways),
        is_tested=record.is_for_oauth2 or store.events.was_tested(record),
    )
    page = _PAGES[step] if step is not None else "integrations.integration"
    return redirect(address_of(page, record), 303)


@blueprint.get("/bitbucket")
@access.for_admins_of_integration
def bitbucket(record: IntegrationMixin) -> ResponseReturnValue:
    """Show what to do in Bitbucket, and for OAuth 2 the form for what it shows then."""
    return bitbucket_page(record, ClientCredentialsForm() if record.is_for_oauth2 else None)


@blueprint.post("/bitbucket")
@access.for_admins_of_integration
def keep_credentials(record: IntegrationMixin) -> ResponseReturnValue:
    """Keep the client credentials, and test the connection with them."""
    form = ClientCredentialsForm()
    if not form.validate():
        return bitbucket_page(record, form), 422
    limits.count(Limited.TESTS, record.id)
    store.upgrade.keep_credentials(record, form.client_id.data, form.client_secret.data)
    return tested(record, OAuth.TWO)


@blueprint.get("/test")
@access.for_admins_of_integration
def test(record: IntegrationMixin) -> ResponseReturnValue:
    """Show how to start the test."""
    if not record.ways:
        return redirect(address_of("onboarding.bitbucket", record), 303)
    return render("test.html", **_about_the_test(record, record.ways[0]))


@blueprint.get("/share")
@access.for_admins_of_integration
def share(record: IntegrationMixin) -> ResponseReturnValue:
    """Show the login link, unless no test has passed yet."""
    if not store.events.condition_of(record).is_ready:
        return redirect(address_of("integrations.integration", record), 303)
    return render(
        "share.html",
        record=record,
        server_url=server_url(record),
        login_link=ways_in.login_link(record.organization),
        would_like_to=permission.asked_for(record.ways[0], record),
        way=way_of(record, SetupStep.SHARE),
    )


def tested(record: IntegrationMixin, oauth: OAuth) -> Response:
    """Test the connection of *record* by *oauth*. Return the page that shows what each stage finds."""
    allow_forms_to_reach({server_url(record).origin})  # for a trial login
    pair = record.active_key_pair if oauth is OAuth.ONE else None
    context = _about_the_test(record, oauth)
    return connection.shown(
        connection.ConnectionTest(record, oauth),
        render("test.html", place=connection.PLACE, **context),
        edit_page=address_of("integrations.edit", record),
        public_key=pair.public_key if pair is not None else "",
        afterwards=render("test_passed.html", **context),
        then=_TRIAL if context["is_trial_next"] else "",
    )


def _about_the_test(record: IntegrationMixin, oauth: OAuth) -> dict[str, Any]:
    """Return what the page of the test shows. After a person has logged in, a trial login would show nothing new."""
    return {
        "record": record,
        "oauth": oauth,
        "way": way_of(record, SetupStep.TEST),
        "is_trial_next": record.last_login_at is None or record.oauth_versions.is_tried(oauth),
    }


def bitbucket_page(record: IntegrationMixin, form: ClientCredentialsForm | None) -> str:
    """Return the worksheet's page. *form*: for client credentials; ``None`` for OAuth 1."""
    dialog = worksheets.dialog(record, request.args.get("bitbucket", ""))
    return render(
        "bitbucket.html",
        record=record,
        form=form,
        server_url=server_url(record),
        steps=worksheets.steps(record, dialog),
        script=worksheets.script(record),
        advice=(oauth2_advice_for if record.is_for_oauth2 else advice_for)(record.server_version),
        setup_link=store.setup_links.live(record),
        way=way_of(record, SetupStep.BITBUCKET),
        **dialogs_of(record, dialog, address_of("onboarding.bitbucket", record)),
    )


def dialogs_of(record: IntegrationMixin, dialog: Dialog, address: str) -> dict[str, object]:
    """Return what the choice among Bitbucket's dialogs on the page at *address* needs; *dialog* is shown."""
    dialogs = [each for each in reversed(Dialog) if not (record.is_for_oauth2 and each is Dialog.UP_TO_7_19)]
    addresses = {each: f"{address}?bitbucket={each.value}#worksheet" for each in dialogs}
    return {"dialog": dialog, "dialogs": dialogs, "addresses": addresses}
