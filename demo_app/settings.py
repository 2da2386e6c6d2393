"""Settings, for the owner: integrations with their worksheets, and people."""

from __future__ import annotations

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from social_bitbucket_server.keys import PublicKey
from social_bitbucket_server.worksheet import Dialog, Step, render_text, worksheet

from . import access, integrations, navigation, people, words
from .config import Settings
from .forms import DeleteForm, EditIntegrationForm, IntegrationForm
from .models import IntegrationRecord, Organization

blueprint = Blueprint("settings", __name__, url_prefix="/o/<slug>/settings")


@blueprint.get("/")
@access.for_owner
def index(organization: Organization) -> ResponseReturnValue:
    """Settings begin with the integrations."""
    return redirect(url_for("settings.integrations_list", slug=organization.slug), 303)


@blueprint.get("/integrations")
@access.for_owner
def integrations_list(organization: Organization) -> ResponseReturnValue:
    """All integrations with their state."""
    return render_template(
        "settings/integrations.html",
        organization=organization,
        records=integrations.of(organization),
        login_link=_login_link(organization),
    )


@blueprint.get("/integrations/add")
@access.for_owner
def add(organization: Organization) -> ResponseReturnValue:
    """The form for a new integration."""
    return render_template(
        "settings/add.html", organization=organization, form=IntegrationForm(_settings().base_url_rules)
    )


@blueprint.post("/integrations/add")
@access.for_owner
def create(organization: Organization) -> ResponseReturnValue:
    """Make the integration and show its worksheet."""
    form = IntegrationForm(_settings().base_url_rules)
    if not form.validate() or form.server_url is None:
        return render_template("settings/add.html", organization=organization, form=form), 422
    record = integrations.make(organization, form.name.data, form.server_url, ca_certificates=form.ca_certificates.data)
    flash("The integration is added. Now let Bitbucket know it.")
    return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)


@blueprint.get("/integrations/<integration>")
@access.for_owner
def integration(organization: Organization, integration: str) -> ResponseReturnValue:
    """The state of one integration, and what to type into Bitbucket."""
    record = _integration_or_404(organization, integration)
    dialog = _dialog()
    return render_template(
        "settings/integration.html",
        organization=organization,
        record=record,
        dialog=dialog,
        dialogs=Dialog,
        public_key=PublicKey.read(record.active_key_pair.public_key),
        login_link=_login_link(organization),
        people=words.count(integrations.count_people(record), "person has", "people have"),
        server_url=integrations.server_url(record),
        steps=_worksheet(record, dialog),
    )


@blueprint.get("/integrations/<integration>/worksheet.txt")
@access.for_owner
def plain_worksheet(organization: Organization, integration: str) -> ResponseReturnValue:
    """The worksheet as text, to be sent to whoever administers Bitbucket."""
    record = _integration_or_404(organization, integration)
    return render_text(_worksheet(record, _dialog())), {"Content-Type": "text/plain; charset=utf-8"}


@blueprint.get("/integrations/<integration>/edit")
@access.for_owner
def edit(organization: Organization, integration: str) -> ResponseReturnValue:
    """The form for changes."""
    record = _integration_or_404(organization, integration)
    form = EditIntegrationForm(
        _settings().base_url_rules,
        name=record.name,
        base_url=record.base_url,
        ca_certificates=record.ca_certificates,
        enabled=record.disabled_at is None,
    )
    return _edit_page(organization, record, form)


@blueprint.post("/integrations/<integration>/edit")
@access.for_owner
def change(organization: Organization, integration: str) -> ResponseReturnValue:
    """Keep the changes."""
    record = _integration_or_404(organization, integration)
    form = EditIntegrationForm(_settings().base_url_rules)
    if not form.validate() or form.server_url is None:
        return _edit_page(organization, record, form), 422
    has_moved = str(form.server_url) != record.base_url
    if has_moved and integrations.count_identities(record) and not form.same_server.data:
        form.same_server.errors = [
            "Tick this if the server only moved. For another server add another integration instead."
        ]
        return _edit_page(organization, record, form), 422
    integrations.change(
        record,
        name=form.name.data,
        server_url=form.server_url,
        ca_certificates=form.ca_certificates.data,
        enabled=form.enabled.data,
    )
    flash("The changes are saved.")
    return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)


@blueprint.post("/integrations/<integration>/key-pair")
@access.for_owner
def replace_key_pair(organization: Organization, integration: str) -> ResponseReturnValue:
    """Make a new key pair; logins fail until Bitbucket has its public key."""
    record = _integration_or_404(organization, integration)
    integrations.replace_key_pair(record)
    flash("The integration has a new key pair. Paste the new public key into the application link.")
    return redirect(url_for("settings.integration", slug=organization.slug, integration=record.id), 303)


@blueprint.get("/integrations/<integration>/delete")
@access.for_owner
def confirm_deletion(organization: Organization, integration: str) -> ResponseReturnValue:
    """What would be lost, and a question."""
    record = _integration_or_404(organization, integration)
    return _delete_page(organization, record, DeleteForm(record.name))


@blueprint.post("/integrations/<integration>/delete")
@access.for_owner
def delete(organization: Organization, integration: str) -> ResponseReturnValue:
    """Delete the integration with its people."""
    record = _integration_or_404(organization, integration)
    form = DeleteForm(record.name)
    if not form.validate():
        return _delete_page(organization, record, form), 422
    name = record.name
    integrations.delete(record)
    flash(f"The integration “{name}” is deleted. Delete its application link in Bitbucket, too.")
    return redirect(url_for("settings.integrations_list", slug=organization.slug), 303)


@blueprint.get("/people")
@access.for_owner
def people_list(organization: Organization) -> ResponseReturnValue:
    """Everybody who ever logged in."""
    return render_template("settings/people.html", organization=organization, people=people.of(organization))


@blueprint.post("/people/<int:user_id>/<any(disable, enable):action>")
@access.for_owner
def let_in_or_not(organization: Organization, user_id: int, action: str) -> ResponseReturnValue:
    """Disable or enable one person; the owner stays."""
    user = people.find(organization, user_id)
    if user is None or user.is_owner:
        abort(404)
    if action == "disable":
        people.disable(user)
        flash(f"{user.display_name} is disabled and logged out everywhere.")
    else:
        people.enable(user)
        flash(f"{user.display_name} can log in again.")
    return redirect(url_for("settings.people_list", slug=organization.slug), 303)


def _dialog() -> Dialog:
    """Which of Bitbucket's two dialogs the page is about."""
    return Dialog.UP_TO_7_19 if request.args.get("bitbucket") == Dialog.UP_TO_7_19 else Dialog.FROM_7_20


def _worksheet(record: IntegrationRecord, dialog: Dialog) -> tuple[Step, ...]:
    name, organization = _settings().application_name, record.organization
    number = "" if record.number == 1 else f" {record.number}"  # links on one server have different names, too
    return worksheet(
        server_url=integrations.server_url(record),
        application_url=navigation.absolute(integrations.application_path(record)),
        application_name=f"{name} ({organization.name}{number})",
        consumer_key=record.consumer_key,
        consumer_name=name,
        public_key=PublicKey.read(record.active_key_pair.public_key),
        dialog=dialog,
    )


def _edit_page(organization: Organization, record: IntegrationRecord, form: EditIntegrationForm) -> str:
    return render_template(
        "settings/edit.html",
        organization=organization,
        record=record,
        form=form,
        people_count=integrations.count_people(record),
    )


def _delete_page(organization: Organization, record: IntegrationRecord, form: DeleteForm) -> str:
    return render_template(
        "settings/delete.html",
        organization=organization,
        record=record,
        form=form,
        people=words.count(integrations.count_people(record), "person", "people"),
        identities=words.count(integrations.count_identities(record), "Bitbucket account"),
    )


def _integration_or_404(organization: Organization, integration_id: str) -> IntegrationRecord:
    record = integrations.find(organization, integration_id)
    if record is None:
        abort(404)
    return record


def _login_link(organization: Organization) -> str:
    return navigation.absolute(url_for("organization.login", slug=organization.slug))


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
