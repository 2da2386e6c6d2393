"""Set-up links whose integration was deleted or got another server. Their page can say so without the integration."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select

from social_bitbucket_server.organizations import EventCode

from . import audit, clock, database
from .models import EndedSetupLink, IntegrationRecord, SetupLink

DELETED = "deleted"
ANOTHER_SERVER = "another-server"
KEPT = timedelta(days=30)
"""How long a link that ended can say why."""


def end(record: IntegrationRecord, why: str) -> None:
    """End the set-up link of *record*, and remember *why*. The caller commits."""
    now = clock.now()
    database.session.execute(delete(EndedSetupLink).where(EndedSetupLink.ended_at < now - KEPT))
    links = database.session.scalars(
        select(SetupLink).where(
            SetupLink.integration_id == record.id, SetupLink.revoked_at.is_(None), SetupLink.expires_at > now
        )
    )
    for link in links.all():
        audit.record(EventCode.SETUP_LINK_REVOKED, integration_id=record.id)
        database.session.add(EndedSetupLink(token_sha256=link.token_sha256, why=why, ended_at=now))
        database.session.delete(link)


def reason(token_sha256: str) -> str | None:
    """Return why the set-up link with this digest ended; ``None`` if none did."""
    return database.session.scalar(select(EndedSetupLink.why).where(EndedSetupLink.token_sha256 == token_sha256))
