"""Which ways into an organization are open: its login link, which can be replaced and closed, and one integration that
can be enforced. The owner's password always lets the owner in."""

from __future__ import annotations

import secrets

from flask import session, url_for
from sqlalchemy import select

from social_bitbucket_server.organizations import EventCode, LoginWays

from . import audit, clock, database, integrations, navigation
from .models import IntegrationRecord, Organization

_KEY = "login_key"


def login_link(organization: Organization) -> str:
    """The address that people open to log in."""
    key = organization.login_key or None
    return navigation.absolute(url_for("organization.login", slug=organization.slug, key=key))


def came_by_link(organization: Organization, key: str) -> bool:
    """Return whether this browser was given the current login link, now by its *key* or before; remembers that."""
    if LoginWays(key=organization.login_key).is_current_link(key):
        remember(organization)
        return True
    return bool(session.get(_KEY) == [organization.id, organization.login_key])


def remember(organization: Organization) -> None:
    """This browser may go on with the login link that is current now."""
    if organization.login_key:
        session[_KEY] = [organization.id, organization.login_key]


def is_open(record: IntegrationRecord) -> bool:
    """Return whether this browser may begin a login through *record*."""
    return came_by_link(record.organization, "") and ways_into(record.organization).closed_by(record.id) is None


def replace_link(organization: Organization) -> None:
    """Make a new login link; the one before explains itself, and lets nobody in."""
    organization.login_key = secrets.token_urlsafe(12)
    audit.record(EventCode.LOGIN_LINK_REPLACED)
    database.session.commit()


def close_link(organization: Organization) -> None:
    """Let nobody log in through any integration; who is logged in stays so."""
    organization.login_closed_at = organization.login_closed_at or clock.now()
    audit.record(EventCode.LOGIN_LINK_CLOSED)
    database.session.commit()


def open_link(organization: Organization) -> None:
    """Let people log in again."""
    organization.login_closed_at = None
    audit.record(EventCode.LOGIN_LINK_OPENED)
    database.session.commit()


def enforced(organization: Organization) -> IntegrationRecord | None:
    """The integration that is the only way in, if there is one."""
    return database.session.scalar(
        select(IntegrationRecord)
        .where(IntegrationRecord.organization_id == organization.id, IntegrationRecord.enforced_at.is_not(None))
        .execution_options(populate_existing=True)  # another request may have made it so since it was read
    )


def ways_into(organization: Organization) -> LoginWays:
    """Return the ways into *organization* as they are now."""
    only = enforced(organization)
    return LoginWays(
        key=organization.login_key,
        is_closed=organization.login_closed_at is not None,
        enforced=only.id if only is not None else None,
    )


def enforce(record: IntegrationRecord) -> None:
    """Make *record* the only way in for everybody but the owner, who keeps the password. End the sessions of everybody
    else who came another way."""
    organization = record.organization
    integrations.lock_organization(organization)
    before = enforced(organization)
    if before is not None:
        before.enforced_at = None
        database.session.flush()
    record.enforced_at = clock.now()
    integrations.count_change_of_ways_in(organization)
    for other in organization.integrations:
        if other is not record:
            other.end_sessions()
    audit.record(EventCode.INTEGRATION_ENFORCED, org_id=organization.id, integration_id=record.id)
    database.session.commit()


def lift(organization: Organization) -> None:
    """Open all ways in again."""
    integrations.lock_organization(organization)
    record = enforced(organization)
    if record is not None:
        integrations.end_enforcement(record)
    database.session.commit()
