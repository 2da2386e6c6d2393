"""Integrations, for the organization's admin: the list, and each with what can be done with it."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from ...crypto import PublicKey
from ...onboarding import is_oauth2_better, render_text
from ...organizations import Limited, OAuth, ServerChange, SetupStep, server_change
from ...problems import Who
from ...sqlalchemy.organizations import DAYS_KEPT, IntegrationMixin, NameTakenError, new_server_url, server_url
from . import errors, limits, login, onboarding, overview, trials, ways_in, words, worksheets
from .access import AdminPages
from .current import extension, session, store
from .events_in_words import in_words
from .forms import DeleteForm, EditIntegrationForm
from .navigation import address_of
from .requests import allow_forms_to_reach
from .templating import render

blueprint = AdminPages("integrations", __name__)


@blueprint.get("/")
def index(organization: Any) -> ResponseReturnValue:
    """Settings begin with the integrations."""
    return redirect(url_for("bitbucket.integrations.integrations_list", slug=organization.slug), 303)


@blueprint.get("/integrations")
def integrations_list(organization: Any) -> ResponseReturnValue:
    return render("integrations.html", summaries=overview.of(organization), login_link=ways_in.login_link(organization))


@blueprint.get("/integrations/<integration>")
def integration(record: IntegrationMixin) -> ResponseReturnValue:
    summary = overview.summaries([record])[0]
    new_url = new_server_url(record)
    if new_url is not None:
        allow_forms_to_reach({new_url.origin})
    return render(
        "integration.html",
        record=record,
        summary=summary,
        trouble=overview.trouble_of(summary, extension().settings.application_name),
        recent=in_words(record.organization, store.events.recent(record)),
        admission=overview.admission_of(record),
        offers_roles=bool(store.role_names),
        roles=store.integrations.roles_of(record),
        key_pair=overview.key_pair_of(record),
        public_key=PublicKey.read(record.active_key_pair.public_key) if record.active_key_pair else None,
        login_link=ways_in.login_link(record.organization),
        server_url=server_url(record),
        setup_link=store.setup_links.live(record),
        is_oauth2_better=is_oauth2_better(record.server_version),
    )


@blueprint.get("/integrations/<integration>/worksheet.txt")
def plain_worksheet(record: IntegrationMixin) -> ResponseReturnValue:
    """The worksheet as text, to be sent to whoever administers Bitbucket."""
    if request.args.get("oauth") == OAuth.TWO.value:
        steps = worksheets.oauth2_steps(record, worksheets.dialog(record))
    elif "new" in request.args:
        steps = worksheets.steps(record, record.pairs_in_use.pending_for_new_link or abort(404))
    else:
        steps = worksheets.steps(record, worksheets.pair_in_use(record))
    return render_text(steps), {"Content-Type": "text/plain; charset=utf-8"}


@blueprint.get("/integrations/<integration>/edit")
def edit(record: IntegrationMixin) -> ResponseReturnValue:
    form = EditIntegrationForm(
        store.outbound.base_url_rules,
        name=record.name,
        base_url=record.base_url,
        ca_certificates=record.ca_certificates,
        client_certificate=record.client_certificate,
        connect_to=record.connect_to,
    )
    return _edit_page(record, form)


@blueprint.post("/integrations/<integration>/edit")
def change(record: IntegrationMixin) -> ResponseReturnValue:
    form = EditIntegrationForm(store.outbound.base_url_rules, store.integrations.kept_client_key(record))
    if not form.validate() or form.server_url is None:
        return _edit_page(record, form), 422
    concerned = store.identities.count(record) if str(form.server_url) != record.base_url else 0
    meaning = server_change(
        record.base_url,
        str(form.server_url),
        has_people=concerned > 0,
        says_moved=form.server.data == "moved" if form.server.data else None,
        needs_proof=True,
    )
    if meaning is ServerChange.ASK:
        people = words.count(concerned, "person logs in", "people log in")
        form.server.errors = [f"{people} through it. Say whether their server moved, or this is another one."]
        return _edit_page(record, form), 422
    try:
        store.integrations.change(
            record,
            name=form.name.data,
            server_url=server_url(record),
            ca_certificates=form.ca_certificates.data,
            connect_to=form.connects_to,
        )
    except NameTakenError as error:
        session.rollback()
        form.name.errors = [str(error)]
        return _edit_page(record, form), 422
    store.integrations.change_client_certificate(record, form.shown_certificate)
    had_secret = record.client_credentials is not None
    if meaning is ServerChange.NONE:
        flash("The changes are saved.")
    elif meaning is ServerChange.MOVED:
        store.moves.begin(record, form.server_url)
        flash("The new base URL waits for a trial login. Until then people log in at the old one.")
    else:
        concerned = store.moves.begin_anew(record, form.server_url)
        people = words.count(concerned, "person begins", "people begin")
        anew = f"The integration has another server now, and {people} anew there."
        flash(anew if concerned else "The changes are saved.")
        if had_secret:
            flash("Client ID and client secret were the old server's and are erased: enter those of the new server.")
    return redirect(address_of("integrations.integration", record), 303)


@blueprint.post("/integrations/<integration>/move/try")
def try_move(record: IntegrationMixin) -> ResponseReturnValue:
    """Send the owner to the server's new address and back, as a trial that decides."""
    if record.moving_to is not None and record.disabled_at is None:
        return login.begin_trial_of_move(record)
    if record.moving_to is not None:
        flash("A disabled integration cannot be tried. Enable it first.", "refusal")
    return redirect(address_of("integrations.integration", record), 303)


@blueprint.post("/integrations/<integration>/move/give-up")
def give_up_move(record: IntegrationMixin) -> ResponseReturnValue:
    store.moves.give_up(record)
    flash("The base URL stays as it was.")
    return redirect(address_of("integrations.integration", record), 303)


@blueprint.post("/integrations/<integration>/test")
def test_connection(record: IntegrationMixin) -> ResponseReturnValue:
    oauth = record.oauth_versions.choose(request.form.get("oauth"))
    if oauth is None:
        abort(404)
    limits.count(Limited.TESTS, record.id)
    return onboarding.tested(record, oauth)


@blueprint.post("/integrations/<integration>/try")
def try_login(record: IntegrationMixin) -> ResponseReturnValue:
    if record.disabled_at is not None:
        flash("A disabled integration cannot be tried. Enable it first.", "refusal")
        return redirect(address_of("integrations.integration", record), 303)
    return login.begin_trial(record, request.form.get("oauth"))


@blueprint.get("/integrations/<integration>/trial")
def trial(record: IntegrationMixin) -> ResponseReturnValue:
    result = trials.result_of(record)
    if result is None:
        return redirect(address_of("integrations.integration", record), 303)
    about_it = errors.words_of(result.get("problem", ""))
    tried = new_server_url(record) if result.get("tried") else server_url(record)
    if result.get("problem") and about_it.who == Who.PERSON and tried is not None:
        allow_forms_to_reach({tried.origin})  # for another trial login
    way = onboarding.way_of(record, SetupStep.TEST)
    return render("trial.html", record=record, trial=result, words=about_it, way=way)


@blueprint.get("/integrations/<integration>/disable")
def confirm_disabling(record: IntegrationMixin) -> ResponseReturnValue:
    """Show what disabling does, or enabling where the integration is disabled."""
    return render("disable.html", record=record, people_count=store.identities.count(record))


@blueprint.post("/integrations/<integration>/disable")
def disable(record: IntegrationMixin) -> ResponseReturnValue:
    store.integrations.set_enabled(record, enabled=False)
    flash(f"{record.name} is disabled. Everybody who came through it is logged out.")
    return redirect(address_of("integrations.integration", record), 303)


@blueprint.post("/integrations/<integration>/enable")
def enable(record: IntegrationMixin) -> ResponseReturnValue:
    store.integrations.set_enabled(record, enabled=True)
    flash(f"{record.name} is enabled. People can log in through it again.")
    return redirect(address_of("integrations.integration", record), 303)


@blueprint.get("/integrations/<integration>/delete")
def confirm_deletion(record: IntegrationMixin) -> ResponseReturnValue:
    return _delete_page(record, DeleteForm(record.name))


@blueprint.post("/integrations/<integration>/delete")
def delete(record: IntegrationMixin) -> ResponseReturnValue:
    form = DeleteForm(record.name)
    if not form.validate():
        return _delete_page(record, form), 422
    organization, name, was_only_way = record.organization, record.name, record.enforced_at is not None
    store.integrations.delete(record)
    flash(f"The integration “{name}” is deleted. Delete its application link in Bitbucket, too.")
    if was_only_way:
        flash("It was the only way in: all other ways are open again.")
    return redirect(url_for("bitbucket.integrations.integrations_list", slug=organization.slug), 303)


def _edit_page(record: IntegrationMixin, form: EditIntegrationForm) -> str:
    return render("edit.html", record=record, form=form, people_count=store.identities.count(record))


def _delete_page(record: IntegrationMixin, form: DeleteForm) -> str:
    losses = {
        "people": store.people.count_only_through(record),
        "identities": store.identities.count(record),
        "key_pairs": sum(pair.sealed_private_key is not None for pair in record.key_pairs),
        "conditions": len(record.admission.conditions),
    }
    return render("delete.html", record=record, form=form, losses=losses, days_kept=DAYS_KEPT)
