"""Set-up links: anyone who has one can set one integration up in Bitbucket, without an account, until it ends.

The database holds the SHA-256 of the token in the link, and nothing that would open it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from enum import StrEnum

from flask import request, session
from sqlalchemy import delete, select, update

from social_bitbucket_server.organizations import EventCode

from . import audit, clock, database, ended_setup_links, integrations
from .models import IntegrationRecord, Organization, SetupLink

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_OPENED = "setup_link"


class Life(StrEnum):
    """How long a set-up link opens, as its owner chooses."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def length(self) -> timedelta:
        """The time from making the link to its end."""
        return _LENGTHS[self]

    @property
    def words(self) -> str:
        """The length in words: "one hour"."""
        return _WORDS[self]


_LENGTHS = {Life.HOUR: timedelta(hours=1), Life.DAY: timedelta(days=1), Life.WEEK: timedelta(days=7)}
_WORDS = {Life.HOUR: "one hour", Life.DAY: "one day", Life.WEEK: "seven days"}


class Condition(StrEnum):
    """Whether a set-up link opens, or why it does not."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"
    DONE = "done"
    """Somebody has logged in since it was made, and no key pair waits for Bitbucket."""
    ANOTHER_SERVER = ended_setup_links.ANOTHER_SERVER
    DELETED = ended_setup_links.DELETED


def make(record: IntegrationRecord, life: Life = Life.WEEK) -> str:
    """Make the set-up link of *record*; the one before does not open any more. Returns its token, which nobody can be
    told again."""
    integrations.lock(record)  # two at once would make two
    _revoke(record)
    now, token = clock.now(), secrets.token_urlsafe(32)
    database.session.execute(
        delete(SetupLink).where(
            SetupLink.integration_id == record.id, SetupLink.expires_at < now - ended_setup_links.KEPT
        )
    )
    database.session.add(
        SetupLink(token_sha256=_digest(token), integration_id=record.id, created_at=now, expires_at=now + life.length)
    )
    audit.record(EventCode.SETUP_LINK_CREATED, integration_id=record.id)
    database.session.commit()
    return token


def revoke(record: IntegrationRecord) -> bool:
    """Let the set-up link of *record* open nothing any more; returns whether there was one that did."""
    was_live = _revoke(record)
    database.session.commit()
    return was_live


def live(record: IntegrationRecord) -> SetupLink | None:
    """The set-up link of *record* that opens now; there is one at most."""
    link = database.session.scalar(
        select(SetupLink).where(
            SetupLink.integration_id == record.id,
            SetupLink.revoked_at.is_(None),
            SetupLink.expires_at > clock.now(),
        )
    )
    return link if link is not None and not _is_done(link) else None


def find(token: str) -> SetupLink | None:
    """The link with this *token*, whatever its condition, if its integration and the organization are enabled."""
    if not _TOKEN.fullmatch(token):
        return None
    return database.session.scalar(
        select(SetupLink)
        .join(SetupLink.integration)
        .join(Organization)
        .where(
            SetupLink.token_sha256 == _digest(token),
            IntegrationRecord.disabled_at.is_(None),
            Organization.disabled_at.is_(None),
        )
    )


def condition(link: SetupLink) -> Condition:
    """Return whether *link* opens, or why it does not."""
    if link.revoked_at is not None and link.revoked_at < link.expires_at:
        return Condition.REVOKED
    if _is_done(link):
        return Condition.DONE
    return Condition.LIVE if clock.now() < link.expires_at else Condition.EXPIRED


def ended(token: str) -> Condition | None:
    """Return why the link with this *token* ended if it went with its integration or its server, else ``None``."""
    why = ended_setup_links.reason(_digest(token)) if _TOKEN.fullmatch(token) else None
    return Condition(why) if why is not None else None


def _is_done(link: SetupLink) -> bool:
    record = link.integration
    has_been_used = record.last_login_at is not None and record.last_login_at > link.created_at
    return has_been_used and record.pending_key_pair is None


def note_opening(link: SetupLink) -> None:
    """Write down that *link* was opened, once for each browser's session, and from which address."""
    handle = link.token_sha256[:16]
    if session.get(_OPENED) == handle:
        return
    session[_OPENED] = handle
    link.opened_at = clock.now()
    link.opened_from = request.remote_addr or ""
    audit.record(
        EventCode.SETUP_LINK_OPENED, org_id=link.integration.organization_id, integration_id=link.integration_id
    )
    database.session.commit()


def _revoke(record: IntegrationRecord) -> bool:
    """The caller commits."""
    now = clock.now()
    expiries = database.session.scalars(
        update(SetupLink)
        .where(SetupLink.integration_id == record.id, SetupLink.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(SetupLink.expires_at)
    ).all()
    was_live = any(expires_at > now for expires_at in expiries)
    if was_live:
        audit.record(EventCode.SETUP_LINK_REVOKED, integration_id=record.id)
    return was_live


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
