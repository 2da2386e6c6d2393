"""Which ways into an organization are open: its login link, which can be replaced and closed, and one integration that
can be enforced. The owner's way in, password and owner's code, is never closed."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from flask import session, url_for
from sqlalchemy import select

from social_bitbucket_server.organizations import EventCode, LoginWays

from . import audit, clock, database, integrations, navigation, sessions
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


def enforce(record: IntegrationRecord) -> str:
    """Make *record* the only way in, and end the sessions of everybody who came another way but this browser's.

    Returns the owner's code, which is shown once; the owner's login takes it besides the password from now on. Where
    one integration was the only way in already, its code goes on, and what is returned is empty.
    """
    organization = record.organization
    integrations.lock_organization(organization)
    before = enforced(organization)
    if before is not None:
        before.enforced_at = None
        database.session.flush()
    record.enforced_at = clock.now()
    integrations.count_change_of_ways_in(organization)
    code = "" if before is not None else _new_code(organization)
    sessions.end_sessions_by_other_ways(record)
    audit.record(EventCode.INTEGRATION_ENFORCED, org_id=organization.id, integration_id=record.id)
    database.session.commit()
    return code


def replace_owner_code(organization: Organization, present: str) -> str:
    """Make a new owner's code, which is shown once, in place of the *present* one, as :func:`which_owner_code` named
    it. What is returned is empty where that is not the present one any more: of two requests at once only one makes a
    code, so that a code that is shown is always the one that counts."""
    integrations.lock_organization(organization)
    if not takes_owner_code(organization) or present != which_owner_code(organization):
        database.session.rollback()
        return ""
    code = _new_code(organization)
    audit.record(EventCode.OWNER_CODE_REPLACED, org_id=organization.id)
    database.session.commit()
    return code


def which_owner_code(organization: Organization) -> str:
    """A name for the owner's code that says nothing of it, and is another one after it was replaced."""
    return hashlib.sha256(organization.owner_code_sha256.encode()).hexdigest()[:16]


def lift(organization: Organization) -> None:
    """Open all ways in again; the owner's code is worth nothing afterwards."""
    integrations.lock_organization(organization)
    record = enforced(organization)
    if record is not None:
        integrations.end_enforcement(record)
    database.session.commit()


def takes_owner_code(organization: Organization) -> bool:
    """Return whether the owner's password alone does not let in."""
    return enforced(organization) is not None


def is_owner_code(organization: Organization, code: str) -> bool:
    """Return whether *code* is the owner's code, however it is written."""
    return hmac.compare_digest(_digest(code), organization.owner_code_sha256)


def _new_code(organization: Organization) -> str:
    code = "-".join(secrets.token_hex(3).upper() for _ in range(4))
    organization.owner_code_sha256 = _digest(code)
    return code


def _digest(code: str) -> str:
    return hashlib.sha256(re.sub(r"[^0-9A-F]", "", code.upper()).encode()).hexdigest()
