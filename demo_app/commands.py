"""Commands for whoever operates the application: organizations, their integrations, and what may be forgotten."""

from __future__ import annotations

from collections import Counter
from typing import TextIO

import click
from click.exceptions import Exit
from flask import Blueprint, current_app, g
from flask.cli import AppGroup
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from social_bitbucket_server.account import Standing
from social_bitbucket_server.onboarding import render_text
from social_bitbucket_server.organizations import EventCode

from . import (
    attempts,
    audit,
    browser_session,
    clock,
    configuration,
    database,
    integrations,
    key_rotation,
    login_ways,
    people,
    pruning,
    rechecks,
    worksheets,
)
from .forms import EMAIL, LEAST_PASSWORD_LENGTH, LONGEST_PASSWORD_LENGTH, SLUG, is_one_line
from .models import DAYS_KEPT, IntegrationRecord, Organization

blueprint = Blueprint("commands", __name__, cli_group=None)
organizations = AppGroup("organizations", help="Organizations: create, list, disable, take configurations over.")
of_integrations = AppGroup("integrations", help="Integrations: list, disable, make new key pairs.")
blueprint.cli.add_command(organizations)
blueprint.cli.add_command(of_integrations)

_WITH_PASSWORD = click.option(
    "--password", envvar="OWNER_PASSWORD", prompt=True, hide_input=True, confirmation_prompt=True
)


@organizations.command("create")
@click.argument("slug")
@click.argument("name")
@click.option("--email", required=True, help="The owner's e-mail address.")
@_WITH_PASSWORD
def create_organization(slug: str, name: str, email: str, password: str) -> None:
    """Create an organization with its owner. The password is asked for, or taken from OWNER_PASSWORD."""
    if not SLUG.fullmatch(slug):
        raise click.ClickException("The address has 1 to 40 lower-case letters, digits and hyphens.")
    if not 0 < len(name.strip()) <= 80 or not is_one_line(name.strip()):
        raise click.ClickException("The name has 1 to 80 characters on one line.")
    if len(email) > 254 or not EMAIL.match(email) or not email.isprintable():
        raise click.ClickException("The owner's address is an e-mail address, such as you@example.com.")
    _refuse_password_of_wrong_length(password)
    try:
        people.create_organization(slug=slug, name=name.strip(), email=email, password=password)
    except IntegrityError:
        raise click.ClickException(f"Another organization has the address {slug}.") from None
    click.echo(f"{name.strip()} is created.")


@organizations.command("list")
def list_organizations() -> None:
    """All organizations: address, name, state, number."""
    for organization in database.session.scalars(select(Organization).order_by(Organization.slug)):
        click.echo(f"{organization.slug}\t{organization.name}\t{_state_of(organization)}\t{organization.id}")


@organizations.command("disable")
@click.argument("slug")
def disable_organization(slug: str) -> None:
    """Let nobody into an organization, and end everybody's sessions; its address leads nowhere."""
    organization = _organization(slug)
    if organization.disabled_at is None:
        organization.disabled_at = clock.now()
        audit.record(EventCode.ORGANIZATION_DISABLED)
    for record in organization.integrations:
        record.end_sessions()
    browser_session.end_all_of(people.owner_of(organization))
    database.session.commit()
    click.echo(f"{organization.name} is disabled.")


@organizations.command("enable")
@click.argument("slug")
def enable_organization(slug: str) -> None:
    """Let people in again."""
    organization = _organization(slug)
    if organization.disabled_at is not None:
        organization.disabled_at = None
        audit.record(EventCode.ORGANIZATION_ENABLED)
    database.session.commit()
    click.echo(f"{organization.name} is enabled.")


@organizations.command("set-owner-password")
@click.argument("slug")
@_WITH_PASSWORD
def set_owner_password(slug: str, password: str) -> None:
    """Give an owner who has forgotten the password a new one, and end their sessions. It is asked for, or taken from
    OWNER_PASSWORD."""
    organization = _organization(slug)
    _refuse_password_of_wrong_length(password)
    owner = people.owner_of(organization)
    people.replace_password(owner, password)
    click.echo(f"{owner.email}, the owner of {organization.name}, has a new password and is logged out everywhere.")


@organizations.command("export")
@click.argument("slug")
def export(slug: str) -> None:
    """Write an organization's integrations as TOML, without keys and secrets."""
    click.echo(configuration.written(_organization(slug)), nl=False)


@organizations.command("import")
@click.argument("slug")
@click.argument("file", type=click.File(encoding="utf-8"))
def take_over(slug: str, file: TextIO) -> None:
    """Take FILE over, as "export" writes it; "-" is the standard input. All is checked before anything is changed."""
    organization = _organization(slug)
    try:
        sentences = configuration.take_over(organization, configuration.read(file.read(), organization))
    except (configuration.UnusableConfigurationError, integrations.NameTakenError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from error
    for sentence in sentences:
        click.echo(sentence)


@of_integrations.command("list")
@click.argument("slug", required=False)
def list_integrations(slug: str | None) -> None:
    """The integrations of one organization, or of all: id, organization, name, base URL, state."""
    wanted = select(IntegrationRecord).join(Organization).order_by(Organization.slug, IntegrationRecord.number)
    if slug is not None:
        wanted = wanted.where(IntegrationRecord.organization_id == _organization(slug).id)
    records = database.session.scalars(wanted).all()
    conditions = attempts.conditions_of(records)
    for record in records:
        shown = (record.id, record.organization.slug, record.name, record.base_url, conditions[record.id].state.value)
        click.echo("\t".join(shown))


@of_integrations.command("disable")
@click.argument("integration_id")
def disable_integration(integration_id: str) -> None:
    """Let nobody log in through an integration, and end the sessions of those who did."""
    record = _integration(integration_id)
    integrations.set_enabled(record, enabled=False)
    click.echo(f"{record.name} is disabled.")


@of_integrations.command("enable")
@click.argument("integration_id")
def enable_integration(integration_id: str) -> None:
    """Let people log in through an integration again."""
    record = _integration(integration_id)
    integrations.set_enabled(record, enabled=True)
    click.echo(f"{record.name} is enabled.")


@of_integrations.command("rotate")
@click.argument("integration_id")
@click.option("--new-consumer-key", is_flag=True, help="For a new application link; writes its worksheet.")
def rotate(integration_id: str, new_consumer_key: bool) -> None:
    """Make a new key pair that waits beside the old one; writes its public key, to be pasted into Bitbucket."""
    record = _integration(integration_id)
    if record.is_for_oauth2:
        raise click.ClickException("OAuth 2 has no key pair. Renew the client secret in Bitbucket, and enter it there.")
    if not key_rotation.begin(record, with_new_link=new_consumer_key):
        raise click.ClickException(
            "An old application link waits for its removal: its owner has to confirm that first."
        )
    database.session.refresh(record)
    if new_consumer_key:
        click.echo(render_text(worksheets.steps_of_new_link(record, worksheets.dialog(record, ""))), nl=False)
        return
    pair = record.pending_key_pair
    click.echo(pair.public_key if pair is not None else "", nl=False)


@blueprint.cli.command("prune")
@click.option(
    "--audit-older-than",
    metavar="DAYS",
    type=click.IntRange(min=DAYS_KEPT),
    help=f"Delete audit entries that are older than this, too; at least {DAYS_KEPT} days.",
)
def prune(audit_older_than: int | None) -> None:
    """Forget logins that are over. The audit log, and with it the attempts to log in, is left alone without
    --audit-older-than."""
    click.echo(f"{pruning.forget()} logins that are over are forgotten.")
    if audit_older_than is not None:
        count = audit.prune(audit_older_than, but=attempts.telling())
        click.echo(f"{count} audit entries older than {audit_older_than} days are deleted.")


@blueprint.cli.command("recheck-people")
@click.argument("slug", metavar="[ORGANIZATION]", required=False)
@click.option("--at-most", metavar="PEOPLE", type=click.IntRange(min=1), default=1000, show_default=True)
def recheck_people(slug: str | None, at_most: int) -> None:
    """Ask Bitbucket whether the people who logged in lately are still there and may still log in, and end the sessions
    of those who may not. Ends with status 1 where a server could not be asked."""
    if not current_app.extensions["settings"].store_access_tokens:
        raise click.ClickException("Without STORE_ACCESS_TOKENS there are no access tokens to ask with.")
    identities = rechecks.due(_organization(slug) if slug is not None else None)
    standings: Counter[Standing] = Counter()
    for found in rechecks.recheck(identities[:at_most]):
        standings[found.recheck.standing] += 1
        if found.asked and found.recheck.standing in {Standing.REFUSED, Standing.UNANSWERED}:
            ended = ", all sessions ended" if found.recheck.standing is Standing.REFUSED else ""
            click.echo(f"person {found.user_id} at integration {found.integration_id}: {found.recheck.problem}{ended}")
    click.echo(
        f"{standings[Standing.ADMITTED]} may log in, {standings[Standing.REFUSED]} may not, "
        f"{standings[Standing.UNPROVEN]} have to log in again to be known, "
        f"{standings[Standing.UNANSWERED]} could not be asked for, "
        f"{len(identities[at_most:])} are left for the next time."
    )
    if standings[Standing.UNANSWERED]:
        raise Exit(1)


def _organization(slug: str) -> Organization:
    organization = database.session.scalar(select(Organization).where(Organization.slug == slug))
    if organization is None:
        raise click.ClickException(f"There is no organization {slug}.")
    g.organization = organization
    return organization


def _refuse_password_of_wrong_length(password: str) -> None:
    if not LEAST_PASSWORD_LENGTH <= len(password) <= LONGEST_PASSWORD_LENGTH:
        raise click.ClickException(f"The password has {LEAST_PASSWORD_LENGTH} to {LONGEST_PASSWORD_LENGTH} characters.")


def _integration(integration_id: str) -> IntegrationRecord:
    record = database.session.get(IntegrationRecord, integration_id)
    if record is None:
        raise click.ClickException(f"There is no integration {integration_id}.")
    g.organization = record.organization
    return record


def _state_of(organization: Organization) -> str:
    if organization.disabled_at is not None:
        return "disabled"
    if organization.login_closed_at is not None:
        return "login link closed"
    only = login_ways.enforced(organization)
    return f"only through {only.name}" if only is not None else "open"
