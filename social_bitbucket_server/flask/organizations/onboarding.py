"""The way of a new integration to its login link: Server, Bitbucket, Test, Share the link. A page for each step."""

from __future__ import annotations

from typing import Any

from flask import Response, redirect
from flask.typing import ResponseReturnValue

from ...crypto import Secret
from ...onboarding import Dialog, Result, advice_for, is_oauth2_better, look_at_server, oauth2_advice_for
from ...organizations import EventCode, Limited, OAuth, SetupStep, State, next_step
from ...sqlalchemy.organizations import IntegrationMixin, NameTakenError, server_url
from . import connection, limits, permission, recording, ways_in, worksheets
from .access import AdminPages
from .current import session, store
from .forms import ClientCredentialsForm, NewIntegrationForm
from .navigation import address_of
from .requests import allow_forms_to_reach
from .templating import render

adding = AdminPages("add_integration", __name__)
"""Pages of *Add an integration*: which server it is, and what is advised for its version."""
blueprint = AdminPages("onboarding", __name__)
"""Pages of the other steps."""

_NAMES = tuple(step.label for step in SetupStep)

_PAGES = {
    SetupStep.SERVER: "integrations.edit",
    SetupStep.BITBUCKET: "onboarding.bitbucket",
    SetupStep.TEST: "onboarding.test",
    SetupStep.SHARE: "onboarding.share",
}


def way_of(record: IntegrationMixin, current: SetupStep) -> dict[str, Any] | None:
    """Return the way of *record* as the page of its step *current* shows it: the steps by name, the number of the
    current one from 1, and the addresses of those that are done. ``None`` after somebody has logged in."""
    state = store.events.condition_of(record).state
    if state not in {State.DRAFT, State.NEVER_USED}:
        return None
    finished = SetupStep.SHARE.finished if state is State.NEVER_USED else current.finished
    addresses = {step.label: address_of(_PAGES[step], record) for step in finished}
    return {"names": _NAMES, "current": current.number, "done": addresses}


@adding.get("")
def page(organization: Any) -> ResponseReturnValue:
    """The form for a new integration. The first one is called Bitbucket if the admin types no other name."""
    name = "" if store.integrations.of(organization) else "Bitbucket"
    return _page_to_add(NewIntegrationForm(store.outbound.base_url_rules, name=name))


@adding.post("")
def create(organization: Any) -> ResponseReturnValue:
    form = NewIntegrationForm(store.outbound.base_url_rules)
    if not form.validate() or form.server_url is None:
        return _page_to_add(form), 422
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
        return _page_to_add(form), 422
    store.integrations.change_client_certificate(record, form.shown_certificate)
    return redirect(address_of("onboarding.bitbucket", record), 303)


@adding.post("/look")
def look(organization: Any) -> ResponseReturnValue:
    """Ask the server for its version, choose the OAuth that is better there, and show the form again."""
    form = NewIntegrationForm(store.outbound.base_url_rules)
    form.name.validators = ()
    if not form.validate() or form.server_url is None:
        return _page_to_add(form), 422
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
    return _page_to_add(form, found)


@blueprint.get("/continue")
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
def bitbucket(record: IntegrationMixin) -> ResponseReturnValue:
    """Show what to do in Bitbucket, and for OAuth 2 the form for what it shows then."""
    return _bitbucket_page(record, ClientCredentialsForm() if record.is_for_oauth2 else None)


@blueprint.post("/bitbucket")
def keep_credentials(record: IntegrationMixin) -> ResponseReturnValue:
    form = ClientCredentialsForm()
    if not form.validate():
        return _bitbucket_page(record, form), 422
    limits.count(Limited.TESTS, record.id)
    store.upgrade.keep_credentials(record, form.client_id.data, form.client_secret.data)
    return tested(record, OAuth.TWO)


@blueprint.get("/test")
def test(record: IntegrationMixin) -> ResponseReturnValue:
    if not record.ways:
        return redirect(address_of("onboarding.bitbucket", record), 303)
    return render("test.html", **_about_the_test(record, record.ways[0]))


@blueprint.get("/share")
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


def _page_to_add(form: NewIntegrationForm, found: Result | None = None) -> str:
    would_like_to = permission.asked_for(OAuth.TWO)
    return render("add.html", form=form, found=found, way_names=_NAMES, permission_of_oauth2=would_like_to)


def tested(record: IntegrationMixin, oauth: OAuth) -> Response:
    """Test the connection of *record* by *oauth*. Return the page that shows what each stage finds."""
    allow_forms_to_reach({server_url(record).origin})  # for a trial login
    pair = record.active_key_pair if oauth is OAuth.ONE else None
    context = _about_the_test(record, oauth)
    trial = "You log in with your own Bitbucket account. That creates no account here"
    return connection.shown(
        connection.ConnectionTest(record, oauth),
        render("test.html", place=connection.PLACE, **context),
        edit_page=address_of("integrations.edit", record),
        public_key=pair.public_key if pair is not None else "",
        afterwards=render("test_passed.html", **context),
        then=trial if context["is_trial_next"] else "",
    )


def _about_the_test(record: IntegrationMixin, oauth: OAuth) -> dict[str, Any]:
    """Return what the page of the test shows. After a person has logged in, a trial login would show nothing new, and
    there is none while the integration is disabled."""
    return {
        "record": record,
        "oauth": oauth,
        "way": way_of(record, SetupStep.TEST),
        "is_trial_next": record.disabled_at is None
        and (record.last_login_at is None or record.oauth_versions.is_tried(oauth)),
    }


def _bitbucket_page(record: IntegrationMixin, form: ClientCredentialsForm | None) -> str:
    """Return the worksheet's page. *form*: for client credentials; ``None`` for OAuth 1."""
    pair = worksheets.pair_in_use(record)
    return render(
        "bitbucket.html",
        record=record,
        form=form,
        server_url=server_url(record),
        steps=worksheets.steps(record, pair),
        script=worksheets.script(record, pair),
        advice=(oauth2_advice_for if record.is_for_oauth2 else advice_for)(record.server_version),
        setup_link=store.setup_links.live(record),
        way=way_of(record, SetupStep.BITBUCKET),
        **dialogs_of(record, address_of("onboarding.bitbucket", record)),
    )


def dialogs_of(record: IntegrationMixin, address: str) -> dict[str, object]:
    """Return what the choice among Bitbucket's dialogs on the page at *address* needs, with the one that is shown."""
    dialogs = [each for each in reversed(Dialog) if not (record.is_for_oauth2 and each is Dialog.UP_TO_7_19)]
    addresses = {each: f"{address}?bitbucket={each.value}#worksheet" for each in dialogs}
    return {"dialog": worksheets.dialog(record), "dialogs": dialogs, "addresses": addresses}
