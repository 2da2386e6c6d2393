"""Commands of the application's own: organizations and their owners."""

from __future__ import annotations

import click
from flask.cli import AppGroup
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from social_bitbucket_server.flask.organizations import end_logins, record
from social_bitbucket_server.organizations import EventCode
from social_bitbucket_server.sqlalchemy.organizations import clock

from . import database, people
from .forms import LEAST_PASSWORD_LENGTH, LONGEST_PASSWORD_LENGTH
from .models import Organization, new_session_key

group = AppGroup("organizations", help="Organizations: create, list, disable, enable.")

_WITH_PASSWORD = click.option(
    "--password", envvar="OWNER_PASSWORD", prompt=True, hide_input=True, confirmation_prompt=True
)


@group.command("create")
@click.argument("slug")
@click.argument("name")
@click.option("--email", required=True)
@_WITH_PASSWORD
def create(slug: str, name: str, email: str, password: str) -> None:
    """Create an organization with its owner."""
    _refuse_password_of_wrong_length(password)
    try:
        people.create_organization(slug=slug, name=name.strip(), email=email, password=password)
    except IntegrityError:
        raise click.ClickException(f"Another organization has the address {slug}.") from None
    click.echo(f"{name.strip()} is created.")


@group.command("list")
def list_organizations() -> None:
    """All organizations: address, name, state, number."""
    for organization in database.session.scalars(select(Organization).order_by(Organization.slug)):
        state = "disabled" if organization.disabled_at is not None else "open"
        click.echo(f"{organization.slug}\t{organization.name}\t{state}\t{organization.id}")


@group.command("disable")
@click.argument("slug")
def disable(slug: str) -> None:
    """Let nobody into an organization, and end everybody's sessions; its address leads nowhere."""
    organization = _organization(slug)
    if organization.disabled_at is None:
        organization.disabled_at = clock.now()
        record(EventCode.ORGANIZATION_DISABLED, organization_id=organization.id)
    end_logins(organization)
    people.owner_of(organization).session_key = new_session_key()
    database.session.commit()
    click.echo(f"{organization.name} is disabled.")


@group.command("enable")
@click.argument("slug")
def enable(slug: str) -> None:
    """Let people in again."""
    organization = _organization(slug)
    if organization.disabled_at is not None:
        organization.disabled_at = None
        record(EventCode.ORGANIZATION_ENABLED, organization_id=organization.id)
    database.session.commit()
    click.echo(f"{organization.name} is enabled.")


@group.command("set-owner-password")
@click.argument("slug")
@_WITH_PASSWORD
def set_owner_password(slug: str, password: str) -> None:
    """Give an owner who has forgotten the password a new one, and end their sessions."""
    organization = _organization(slug)
    _refuse_password_of_wrong_length(password)
    owner = people.owner_of(organization)
    people.replace_password(owner, password)
    record(EventCode.OWNER_PASSWORD_REPLACED, user_id=owner.id, organization_id=organization.id)
    click.echo(f"{owner.email}, the owner of {organization.name}, has a new password and is logged out everywhere.")


def _organization(slug: str) -> Organization:
    organization = database.session.scalar(select(Organization).where(Organization.slug == slug))
    if organization is None:
        raise click.ClickException(f"There is no organization {slug}.")
    return organization


def _refuse_password_of_wrong_length(password: str) -> None:
    if not LEAST_PASSWORD_LENGTH <= len(password) <= LONGEST_PASSWORD_LENGTH:
        raise click.ClickException(f"The password has {LEAST_PASSWORD_LENGTH} to {LONGEST_PASSWORD_LENGTH} characters.")
