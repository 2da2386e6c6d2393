"""Commands for whoever operates the application: ``flask bitbucket-server …``."""

from __future__ import annotations

from collections import Counter
from typing import Any, TextIO

import click
from click.exceptions import Exit
from flask import current_app, g
from flask.cli import AppGroup
from sqlalchemy import select

from ...account import Standing
from ...onboarding import render_text
from ...organizations import UnusableConfigurationError
from ...sqlalchemy.organizations import DAYS_KEPT, IntegrationMixin, NameTakenError
from .. import logins
from . import configuration, worksheets
from .current import extension, session, store

group = AppGroup("bitbucket-server", help="Organizations' integrations with Bitbucket Server.")


@group.command("list")
@click.argument("slug", required=False)
def list_integrations(slug: str | None) -> None:
    """List the integrations of one organization, or of all: id, organization, name, base URL, condition, organization's
    id."""
    integration: Any = store.models.integration
    wanted = select(integration).order_by(integration.organization_id, integration.number)
    if slug is not None:
        wanted = wanted.where(integration.organization == _organization(slug))
    records = session.scalars(wanted).all()
    conditions = store.events.conditions_of(records)
    for record in records:
        state = conditions[record.id].state.value
        shown = (record.id, record.organization.slug, record.name, record.base_url, state, str(record.organization_id))
        click.echo("\t".join(shown))


@group.command("disable")
@click.argument("integration_id")
def disable(integration_id: str) -> None:
    """Let nobody log in through an integration, and end the sessions of those who did."""
    record = _integration(integration_id)
    store.integrations.set_enabled(record, enabled=False)
    click.echo(f"{record.name} is disabled.")


@group.command("enable")
@click.argument("integration_id")
def enable(integration_id: str) -> None:
    """Let people log in through an integration again."""
    record = _integration(integration_id)
    store.integrations.set_enabled(record, enabled=True)
    click.echo(f"{record.name} is enabled.")


@group.command("rotate")
@click.argument("integration_id")
@click.option(
    "--new-consumer-key", is_flag=True, help="Make the key pair for a new application link, and print its worksheet."
)
def rotate(integration_id: str, new_consumer_key: bool) -> None:
    """Make a new key pair that waits beside the old one. Print its public key, to be pasted into Bitbucket."""
    record = _integration(integration_id)
    if record.is_for_oauth2:
        raise click.ClickException(
            "OAuth 2 has no key pair. Renew the client secret in Bitbucket, and enter it on the page OAuth 2 of the "
            "integration."
        )
    if not store.key_rotation.begin(record, with_new_link=new_consumer_key):
        raise click.ClickException(
            "An old application link waits for its removal: an admin of the organization has to confirm that first."
        )
    session.refresh(record)
    pair = record.pending_key_pair
    if new_consumer_key:
        with current_app.test_request_context(base_url=extension().settings.origin):  # a worksheet has addresses
            steps = worksheets.steps(record, pair) if record.has_new_link else ()
        click.echo(render_text(steps), nl=False)
        return
    click.echo(pair.public_key if pair is not None else "", nl=False)


@group.command("export")
@click.argument("slug")
def export(slug: str) -> None:
    """Write an organization's integrations as TOML, without keys and secrets."""
    click.echo(configuration.written(_organization(slug)), nl=False)


@group.command("import")
@click.argument("slug")
@click.argument("file", type=click.File(encoding="utf-8"))
def take_over(slug: str, file: TextIO) -> None:
    """Make and change integrations as FILE says, which "export" wrote; "-" is standard input. The whole file is checked
    before anything is changed."""
    organization = _organization(slug)
    try:
        sentences = configuration.take_over(organization, configuration.read(file.read(), organization))
    except (UnusableConfigurationError, NameTakenError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from error
    for sentence in sentences:
        click.echo(sentence)


@group.command("prune")
@click.option(
    "--events-older-than",
    metavar="DAYS",
    type=click.IntRange(min=DAYS_KEPT),
    help=f"Delete events that are older than this, too; at least {DAYS_KEPT} days.",
)
def prune(events_older_than: int | None) -> None:
    """Forget logins that are over. With --events-older-than, also delete old events."""
    click.echo(f"{store.pruning.forget()} logins that are over are forgotten.")
    if events_older_than is not None:
        count = store.events.prune(events_older_than)
        click.echo(f"{count} events older than {events_older_than} days are deleted.")


@group.command("notices")
def list_notices() -> None:
    """List what ends soon, and what has been failing for a day: integration, organization, name, sentence, day. Each is
    recorded as an event, once a month."""
    for record, notice in store.notices.record_new():
        shown = (record.id, record.organization.slug, record.name, notice.event.sentence, f"{notice.at:%Y-%m-%d}")
        click.echo("\t".join(shown))


@group.command("recheck-people")
@click.argument("slug", metavar="[ORGANIZATION]", required=False)
@click.option(
    "--at-most",
    metavar="PEOPLE",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Check this many people at most.",
)
def recheck_people(slug: str | None, at_most: int) -> None:
    """Ask Bitbucket whether the people who logged in lately may still log in. End the sessions of those who may not.
    The exit status is 1 if a server could not be asked."""
    if not extension().settings.keeps_tokens:
        raise click.ClickException("Without STORE_ACCESS_TOKEN there are no access tokens to ask with.")
    organization = _organization(slug) if slug is not None else None
    identities = store.rechecks.due(extension().longest_login, organization)
    standings: Counter[Standing] = Counter()
    for found in store.rechecks.recheck(identities[:at_most], logins.recheck):
        standings[found.recheck.standing] += 1
        if found.asked and found.recheck.standing in {Standing.REFUSED, Standing.UNANSWERED}:
            ended = ", all sessions ended" if found.recheck.standing is Standing.REFUSED else ""
            click.echo(f"person {found.user_id} at integration {found.integration_id}: {found.recheck.problem}{ended}")
    click.echo(
        f"{standings[Standing.ADMITTED]} may log in, {standings[Standing.REFUSED]} may not, "
        f"{standings[Standing.UNPROVEN]} cannot be checked before their next login, "
        f"{standings[Standing.UNANSWERED]} could not be checked now, "
        f"{len(identities[at_most:])} are left for the next time."
    )
    if standings[Standing.UNANSWERED]:
        raise Exit(1)


@group.command("reseal")
def reseal() -> None:
    """Use the newest key of the key ring to seal all private keys, client secrets and access tokens. You can interrupt
    the command and run it again."""
    done, failed = store.resealing.reseal_keys()
    click.echo(f"{done} private keys are sealed with the newest key of the ring.")
    tokens, failed_tokens = store.resealing.reseal_tokens(logins.reseal_access_token)
    if tokens:
        click.echo(f"{tokens} access tokens are sealed with the newest key of the ring.")
    if failed or failed_tokens:
        raise click.ClickException(
            f"{failed + failed_tokens} could not be opened and stay as they are. Keep the older keys in the ring."
        )


@group.command("forget-access-tokens")
def forget_access_tokens() -> None:
    """Erase all access tokens. Without STORE_ACCESS_TOKEN, new ones are not kept."""
    click.echo(f"{store.resealing.forget_tokens()} access tokens are erased.")


def _organization(slug: str) -> Any:
    organization_class = store.models.organization
    organization = session.scalar(select(organization_class).where(organization_class.slug == slug))
    if organization is None:
        raise click.ClickException(f"There is no organization {slug}.")
    g.bitbucket_organization_id = store.key_of(organization)
    return organization


def _integration(integration_id: str) -> IntegrationMixin:
    record = session.get(store.models.integration, integration_id)
    if record is None:
        raise click.ClickException(f"There is no integration {integration_id}.")
    g.bitbucket_organization_id = record.organization_id
    return record
