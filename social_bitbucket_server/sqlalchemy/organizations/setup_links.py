"""Set-up links: anyone who has one can set one integration up in Bitbucket, without an account, until it ends.

The database holds the SHA-256 of the token in the link, and nothing that would open it. Links whose integration was
deleted or got another server are kept apart for a while, so that their page can say so without the integration.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from ...organizations import EventCode
from . import clock
from .part import Part

if TYPE_CHECKING:
    from .models import IntegrationMixin, SetupLinkMixin

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_KEPT = timedelta(days=30)  # that is how long a link that ended can say why


class Life(StrEnum):
    """How long a set-up link opens, as its maker chooses."""

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


class LinkCondition(StrEnum):
    """Whether a set-up link opens, or why it does not."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"
    DONE = "done"
    """Somebody has logged in since it was made, and no key pair waits for Bitbucket."""
    ANOTHER_SERVER = "another-server"
    DELETED = "deleted"


class SetupLinks(Part):
    """Set-up links of integrations, one for each at most."""

    def make(self, record: IntegrationMixin, life: Life = Life.WEEK) -> str:
        """Make the set-up link of *record*. The one before does not open any more. Return its token, which nobody can
        be told again."""
        link = self._models.setup_link
        self._store.integrations.lock(record)  # two at once would make two
        self._revoke(record)
        now, token = clock.now(), secrets.token_urlsafe(32)
        self._session.execute(delete(link).where(link.integration_id == record.id, link.expires_at < now - _KEPT))
        made = link(token_sha256=_digest(token), integration_id=record.id, created_at=now, expires_at=now + life.length)
        self._session.add(made)
        self._note(EventCode.SETUP_LINK_CREATED, record)
        self._session.commit()
        return token

    def revoke(self, record: IntegrationMixin) -> bool:
        """Let the set-up link of *record* open nothing any more. Return whether there was one that did."""
        was_live = self._revoke(record)
        self._session.commit()
        return was_live

    def live(self, record: IntegrationMixin) -> SetupLinkMixin | None:
        """Return the set-up link of *record* that opens now, or ``None``; there is one at most."""
        table = self._models.setup_link
        link = self._session.scalar(
            select(table).where(
                table.integration_id == record.id, table.revoked_at.is_(None), table.expires_at > clock.now()
            )
        )
        return link if link is not None and not _is_done(link) else None

    def find(self, token: str) -> SetupLinkMixin | None:
        """Return the link with this *token*, whatever its condition, or ``None`` if there is none, or its integration
        or the organization is disabled."""
        if not _TOKEN.fullmatch(token):
            return None
        link = self._session.get(self._models.setup_link, _digest(token))
        if link is None or link.integration.disabled_at is not None:
            return None
        return link if self._store.may_log_in(link.integration.organization) else None

    def ended(self, token: str) -> LinkCondition | None:
        """Return why the link with this *token* ended if it went with its integration or its server, else ``None``."""
        if not _TOKEN.fullmatch(token):
            return None
        ended = self._session.get(self._models.ended_setup_link, _digest(token))
        return LinkCondition(ended.why) if ended is not None else None

    def note_opening(self, link: SetupLinkMixin, address: str) -> None:
        """Write down that *link* was opened from this *address*."""
        link.opened_at = clock.now()
        link.opened_from = address
        self._note(EventCode.SETUP_LINK_OPENED, link.integration)
        self._session.commit()

    def end(self, record: IntegrationMixin, why: LinkCondition) -> None:
        """End the set-up link of *record*, and remember *why*. The caller commits."""
        now, table, ended = clock.now(), self._models.setup_link, self._models.ended_setup_link
        self._session.execute(delete(ended).where(ended.ended_at < now - _KEPT))
        links = self._session.scalars(
            select(table).where(table.integration_id == record.id, table.revoked_at.is_(None), table.expires_at > now)
        )
        for link in links.all():
            self._note(EventCode.SETUP_LINK_REVOKED, record)
            self._session.add(ended(token_sha256=link.token_sha256, why=why.value, ended_at=now))
            self._session.delete(link)

    def _revoke(self, record: IntegrationMixin) -> bool:
        """Revoke it, and leave the commit to the caller."""
        now, link = clock.now(), self._models.setup_link
        expiries = self._session.scalars(
            update(link)
            .where(link.integration_id == record.id, link.revoked_at.is_(None))
            .values(revoked_at=now)
            .returning(link.expires_at)
        ).all()
        was_live = any(expires_at > now for expires_at in expiries)
        if was_live:
            self._note(EventCode.SETUP_LINK_REVOKED, record)
        return was_live


def condition_of_link(link: SetupLinkMixin) -> LinkCondition:
    """Return whether *link* opens, or why it does not."""
    if link.revoked_at is not None and link.revoked_at < link.expires_at:
        return LinkCondition.REVOKED
    if _is_done(link):
        return LinkCondition.DONE
    return LinkCondition.LIVE if clock.now() < link.expires_at else LinkCondition.EXPIRED


def _is_done(link: SetupLinkMixin) -> bool:
    record = link.integration
    has_been_used = record.last_login_at is not None and record.last_login_at > link.created_at
    return has_been_used and record.pending_key_pair is None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
