"""Settings, for the owner: integrations with their worksheets, and people."""

from __future__ import annotations

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from social_bitbucket_server.crypto import PublicKey
from social_bitbucket_server.onboarding import is_oauth2_better, render_text
from social_bitbucket_server.organizations import OAuth, ServerChange, SetupStep, server_change

from . import (
    access,
    connection,
    database,
    errors,
    events,
    identities,
    integrations,
    login,
    login_ways,
    moves,
    onboarding,
    overview,
    people,
    rate_limits,
    security_headers,
    setup_links,
    trials,
    words,
    worksheets,
)
from .config import Settings
from .forms import DeleteForm, EditIntegrationForm
from .models import DAYS_KEPT, IntegrationRecord, Organization

blueprint = Blueprint("settings", __name__, url_prefix="/o/<slug>/settings")


@blueprint.get("/")
@access.for_owner
def index(organization: Organization) -> ResponseReturnValue:
    """Settings begin with the integrations."""
    return redirect(url_for("settings.integrations_list", slug=organization.slug), 303)


@blueprint.get("/integrations")
@access.for_owner
def integrations_list(organization: Organization) -> ResponseReturnValue:
    """Show all integrations, those that need the owner first."""
    return render_template(
        "bitbucket_server/integrations.html",
        organization=organization,
        summaries=overview.of(organization),
        login_link=_login_link(organization),
    )


@blueprint.get("/integrations/<integration>")
@access.for_owner
def integration(organization: Organization, integration: str) -> ResponseReturnValue:
    """The state of one integration, and what to type into Bitbucket."""
    return _integration_page(organization, access.integration_or_404(organization, integration))


@blueprint.get("/integrations/<integration>/worksheet.txt")
@access.for_owner
def plain_worksheet(organization: Organization, integration: str) -> ResponseReturnValue:
    """The worksheet as text, to be sent to whoever administers Bitbucket."""
    record = access.integration_or_404(organization, integration)
    dialog = worksheets.dialog(record, request.args.get("bitbucket", ""))
    if request.args.get("oauth") == OAuth.TWO.value:
        steps = worksheets.oauth2_steps(record, dialog)
    elif "new" in request.args:
        steps = worksheets.steps_of_new_link(record, dialog) or abort(404)
    else:
        steps = worksheets.steps(record, dialog)
    return render_text(steps), {"Content-Type": "text/plain; charset=utf-8"}


@blueprint.get("/integrations/<integration>/edit")
@access.for_owner
def edit(organization: Organization, integration: str) -> ResponseReturnValue:
    """The form for changes."""
    record = access.integration_or_404(organization, integration)
    form = EditIntegrationForm(
        _settings().outbound.base_url_rules,
        name=record.name,
        base_url=record.base_url,
        ca_certificates=record.ca_certificates,
        client_certificate=record.client_certificate,
        connect_to=record.connect_to,
    )
    return _edit_page(organization, record, form)


@blueprint.post("/integrations/<integration>/edit")
@access.for_owner
def change(organization: Organization, integration: str) -> ResponseReturnValue:
    """Keep the changes."""
    record = access.integration_or_404(organization, integration)
    form = EditIntegrationForm(_settings().outbound.base_url_rules, integrations.kept_client_key(record))
    if not form.validate() or form.server_url is None:
        return _edit_page(organization, record, form), 422
    concerned = identities.count(record) if str(form.server_url) != record.base_url else 0
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
        return _edit_page(organization, record, form), 422
    try:
        integrations.change(
            record,
            name=form.name.data,
            server_url=integrations.server_url(record),
            ca_certificates=form.ca_certificates.data,
            connect_to=form.connects_to,
        )
    except integrations.NameTakenError as error:
        database.session.rollback()
        form.name.errors = [str(error)]
        return _edit_page(organization, record, form), 422
    integrations.change_client_certificate(record, form.shown_certificate)
    had_secret = record.client_credentials is not None
    if meaning is ServerChange.NONE:
        flash("The changes are saved.")
    elif meaning is ServerChange.MOVED:
        moves.begin(record, form.server_url)
        flash("The new base URL waits for a trial login. Until then people log in at the old one.")
    else:
        concerned = moves.begin_anew(record, form.server_url)
        people = words.count(concerned, "person begins", "people begin")
        anew = f"The integration has another server now, and {people} anew there."
        flash(anew if concerned else "The changes are saved.")
        if had_secret:
            flash("Client id and client secret were the old server's and are erased: enter those of the new server.")
    return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)


@blueprint.post("/integrations/<integration>/move/try")
@access.for_owner
def try_move(organization: Organization, integration: str) -> ResponseReturnValue:
    """Send the owner to the server's new address and back, as a trial that decides."""
    record = access.integration_or_404(organization, integration)
    if record.moving_to is not None and record.disabled_at is None:
        return login.begin_trial_of_move(record)
    if record.moving_to is not None:
        flash("A disabled integration cannot be tried. Enable it first.", "refusal")
    return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)


@blueprint.post("/integrations/<integration>/move/give-up")
@access.for_owner
def give_up_move(organization: Organization, integration: str) -> ResponseReturnValue:
    """Stay at the old address."""
    record = access.integration_or_404(organization, integration)
    moves.give_up(record)
    flash("The base URL stays as it was.")
    return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)


@blueprint.post("/integrations/<integration>/test")
@access.for_owner
def test_connection(organization: Organization, integration: str) -> ResponseReturnValue:
    """Test the connection by the wanted OAuth, and show what each stage found."""
    record = access.integration_or_404(organization, integration)
    oauth = record.oauth_versions.choose(request.form.get("oauth"))
    if oauth is None:
        abort(404)
    rate_limits.count(rate_limits.TESTS, rate_limits.visitor(), record.id)
    security_headers.allow_forms_to_reach({integrations.server_url(record).origin})
    pair = record.active_key_pair if oauth is OAuth.ONE else None
    context = {
        "organization": organization,
        "record": record,
        "oauth": oauth,
        "way": onboarding.way_of(record, SetupStep.TEST),
    }
    return connection.shown(
        connection.ConnectionTest(record, oauth),
        render_template("bitbucket_server/test.html", place=connection.PLACE, **context),
        edit_page=url_for("settings.edit", slug=organization.slug, integration=record.id),
        public_key=pair.public_key if pair is not None else "",
        afterwards=render_template("bitbucket_server/test_passed.html", **context),
        then="You log in with your own Bitbucket account. That creates no account here",
    )


@blueprint.post("/integrations/<integration>/try")
@access.for_owner
def try_login(organization: Organization, integration: str) -> ResponseReturnValue:
    """Send the owner to Bitbucket and back, as a trial."""
    record = access.integration_or_404(organization, integration)
    if record.disabled_at is not None:
        flash("A disabled integration cannot be tried. Enable it first.", "refusal")
        return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)
    return login.begin_trial(record, request.form.get("oauth"))


@blueprint.get("/integrations/<integration>/trial")
@access.for_owner
def trial(organization: Organization, integration: str) -> ResponseReturnValue:
    """Show the result of the trial."""
    record = access.integration_or_404(organization, integration)
    result = trials.result_of(record)
    if result is None:
        return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)
    words = errors.words_of(result.get("problem", ""))
    tried = integrations.new_server_url(record) if result.get("tried") else integrations.server_url(record)
    if result.get("problem") and words.who == "you" and tried is not None:
        security_headers.allow_forms_to_reach({tried.origin})  # for another trial login
    return render_template(
        "bitbucket_server/trial.html",
        organization=organization,
        record=record,
        trial=result,
        words=words,
        way=onboarding.way_of(record, SetupStep.TEST),
    )


@blueprint.get("/integrations/<integration>/disable")
@access.for_owner
def confirm_disabling(organization: Organization, integration: str) -> ResponseReturnValue:
    """Show what disabling does, or enabling where the integration is disabled."""
    record = access.integration_or_404(organization, integration)
    return render_template(
        "bitbucket_server/disable.html",
        organization=organization,
        record=record,
        people_count=identities.count(record),
    )


@blueprint.post("/integrations/<integration>/disable")
@access.for_owner
def disable(organization: Organization, integration: str) -> ResponseReturnValue:
    """Let nobody log in through the integration."""
    record = access.integration_or_404(organization, integration)
    integrations.set_enabled(record, enabled=False)
    flash(f"{record.name} is disabled. Everybody who came through it is logged out.")
    return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)


@blueprint.post("/integrations/<integration>/enable")
@access.for_owner
def enable(organization: Organization, integration: str) -> ResponseReturnValue:
    """Let people log in through the integration again."""
    record = access.integration_or_404(organization, integration)
    integrations.set_enabled(record, enabled=True)
    flash(f"{record.name} is enabled. People can log in through it again.")
    return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)


@blueprint.get("/integrations/<integration>/delete")
@access.for_owner
def confirm_deletion(organization: Organization, integration: str) -> ResponseReturnValue:
    """Show what would be lost, and ask for confirmation."""
    record = access.integration_or_404(organization, integration)
    return _delete_page(organization, record, DeleteForm(record.name))


@blueprint.post("/integrations/<integration>/delete")
@access.for_owner
def delete(organization: Organization, integration: str) -> ResponseReturnValue:
    """Delete the integration with its people."""
    record = access.integration_or_404(organization, integration)
    form = DeleteForm(record.name)
    if not form.validate():
        return _delete_page(organization, record, form), 422
    name, was_only_way = record.name, record.enforced_at is not None
    integrations.delete(record)
    flash(f"The integration “{name}” is deleted. Delete its application link in Bitbucket, too.")
    if was_only_way:
        flash("It was the only way in: all other ways are open again.")
    return redirect(url_for("settings.integrations_list", slug=organization.slug), 303)


@blueprint.get("/people")
@access.for_owner
def people_list(organization: Organization) -> ResponseReturnValue:
    """Everybody who ever logged in."""
    return render_template("bitbucket_server/people.html", organization=organization, people=people.of(organization))


@blueprint.post("/people/<int:user_id>/<any(disable, enable, logout):action>")
@access.for_owner
def let_in_or_not(organization: Organization, user_id: int, action: str) -> ResponseReturnValue:
    """Disable or enable one person, or end their sessions; the owner stays."""
    user = people.find(organization, user_id)
    if user is None or user.is_owner:
        abort(404)
    if action == "disable":
        people.disable(user)
        flash(f"{user.display_name} is disabled and logged out everywhere.")
    elif action == "logout":
        people.log_out_everywhere(user)
        flash(f"{user.display_name} is logged out everywhere, and can log in again.")
    else:
        people.enable(user)
        flash(f"{user.display_name} can log in again.")
    return redirect(url_for("settings.people_list", slug=organization.slug), 303)


def _integration_page(organization: Organization, record: IntegrationRecord) -> str:
    summary = overview.of_one(record)
    new_server_url = integrations.new_server_url(record)
    if new_server_url is not None:
        security_headers.allow_forms_to_reach({new_server_url.origin})
    return render_template(
        "bitbucket_server/integration.html",
        organization=organization,
        record=record,
        summary=summary,
        trouble=overview.trouble_of(summary, _settings().application_name),
        recent=events.recent(record),
        admission=overview.admission_of(record),
        key_pair=overview.key_pair_of(record),
        public_key=PublicKey.read(record.active_key_pair.public_key) if record.active_key_pair else None,
        login_link=_login_link(organization),
        server_url=integrations.server_url(record),
        setup_link=setup_links.live(record),
        is_oauth2_better=is_oauth2_better(record.server_version),
    )


def _edit_page(organization: Organization, record: IntegrationRecord, form: EditIntegrationForm) -> str:
    return render_template(
        "bitbucket_server/edit.html",
        organization=organization,
        record=record,
        form=form,
        people_count=identities.count(record),
    )


def _delete_page(organization: Organization, record: IntegrationRecord, form: DeleteForm) -> str:
    return render_template(
        "bitbucket_server/delete.html",
        organization=organization,
        record=record,
        form=form,
        losses=overview.losses_of(record),
        days_kept=DAYS_KEPT,
    )


def _login_link(organization: Organization) -> str:
    return login_ways.login_link(organization)


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
