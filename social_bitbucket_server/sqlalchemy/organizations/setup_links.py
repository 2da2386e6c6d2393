"""Set-up links: anyone who has one can set one integration up in Bitbucket, without an account, until it ends.

Links whose integration was deleted or got another server are kept apart for a while, so that their page can say so.
"""

from __future__ import annotations

from sqlalchemy import delete, select, update

from ...integration import ServerURL
from ...organizations import (
    SETUP_LINK_KEPT,
    EventCode,
    SetupLinkCondition,
    SetupLinkLife,
    new_setup_token,
    setup_link_condition,
    setup_token_digest,
)
from . import clock
from .integrations import server_url as server_url_of
from .models import IntegrationMixin, SetupLinkMixin
from .part import Part


class SetupLinks(Part):
    """Set-up links of integrations, one for each at most."""

    def make(self, record: IntegrationMixin, life: SetupLinkLife = SetupLinkLife.WEEK) -> str:
        """Make the set-up link of *record*. The one before does not open any more. Return its token, which nobody can
        be told again."""
        link = self._models.setup_link
        self._store.integrations.lock(record)  # two at once would make two
        self._revoke(record)
        now, token = clock.now(), new_setup_token()
        self._session.execute(
            delete(link).where(link.integration_id == record.id, link.expires_at < now - SETUP_LINK_KEPT)
        )
        made = link(
            token_sha256=setup_token_digest(token),
            integration_id=record.id,
            created_at=now,
            expires_at=now + life.length,
        )
        self._session.add(made)
        self._note(EventCode.SETUP_LINK_CREATED, record)
        self._session.commit()
        return token

    def revoke(self, record: IntegrationMixin) -> bool:
        """Let the set-up link of *record* open nothing any more. Return whether there was one that did."""
        self._store.integrations.lock(record)  # nothing is saved afterwards for the person who has the link
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
        return link if link is not None and condition_of_link(link) is SetupLinkCondition.LIVE else None

    def find(self, token: str) -> SetupLinkMixin | None:
        """Return the link with this *token*, whatever its condition, or ``None`` if there is none, or its integration
        or the organization is disabled."""
        link = self._session.get(self._models.setup_link, setup_token_digest(token), populate_existing=True)
        if link is None or link.integration.disabled_at is not None:
            return None
        return link if self._store.may_log_in(link.integration.organization) else None

    def ended(self, token: str) -> SetupLinkCondition | None:
        """Return why the link with this *token* ended if it went with its integration or its server, else ``None``."""
        ended = self._session.get(self._models.ended_setup_link, setup_token_digest(token))
        return SetupLinkCondition(ended.why) if ended is not None else None

    def note_opening(self, link: SetupLinkMixin, address: str) -> None:
        """Write down that *link* was opened from this *address*."""
        link.opened_at = clock.now()
        link.opened_from = address
        self._note(EventCode.SETUP_LINK_OPENED, link.integration)
        self._session.commit()

    def takes_credentials(self, record: IntegrationMixin) -> bool:
        """Return whether a Bitbucket admin may enter client ID and client secret: nobody has logged in with others."""
        return record.is_for_oauth2 and record.last_login_at is None

    def takes_corrections(self, record: IntegrationMixin) -> bool:
        """Return whether a Bitbucket admin may correct base URL and CA certificate: nobody has an account by them."""
        return record.last_login_at is None and not self._store.identities.count(record)

    def correct(self, record: IntegrationMixin, server_url: ServerURL, ca_certificates: str) -> None:
        """Keep a corrected base URL and CA certificate. Another host is another server, which ends the link.

        The caller locked *record* before it checked that it takes corrections.
        """
        record.ca_certificates = ca_certificates
        self._session.flush()  # the moves read the row anew
        if server_url.host != server_url_of(record).host:
            self._store.moves.begin_anew(record, server_url)
        elif str(server_url) != record.base_url:
            self._store.moves.take_over(record, server_url)
        else:
            self._note(EventCode.INTEGRATION_UPDATED, record, insecure=server_url.scheme == "http")
            self._session.commit()

    def end(self, record: IntegrationMixin, why: SetupLinkCondition) -> None:
        """End the set-up link of *record*, and remember *why*. The caller commits."""
        now, table, ended = clock.now(), self._models.setup_link, self._models.ended_setup_link
        self._session.execute(delete(ended).where(ended.ended_at < now - SETUP_LINK_KEPT))
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


def condition_of_link(link: SetupLinkMixin) -> SetupLinkCondition:
    """Return whether *link* opens, or why it does not."""
    record = link.integration
    return setup_link_condition(
        created_at=link.created_at,
        expires_at=link.expires_at,
        revoked_at=link.revoked_at,
        last_login_at=record.last_login_at,
        waits_for_key=record.pending_key_pair is not None,
        now=clock.now(),
    )
