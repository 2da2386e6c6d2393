"""From OAuth 1 to OAuth 2 within one integration, and back."""

from __future__ import annotations

import secrets

from sqlalchemy import update

from ...organizations import EventCode
from . import clock
from .models import IntegrationMixin
from .part import Part


class Upgrade(Part):
    """Both work side by side from the moment the client credentials are there until the first login by OAuth 2."""

    def keep_credentials(self, record: IntegrationMixin, client_id: str, client_secret: str) -> None:
        """Let people log in by OAuth 2 with these client credentials, in place of those that were there."""
        self._store.integrations.lock(record)  # two at once would make two
        if record.client_credentials is not None:
            self._session.delete(record.client_credentials)
            self._session.flush()
        credentials_id = secrets.token_hex(12)
        sealed = self._keys.seal_client_secret(client_secret, integration_id=record.id, credentials_id=credentials_id)
        credentials = self._models.client_credentials(
            id=credentials_id, integration_id=record.id, client_id=client_id, sealed_client_secret=sealed
        )
        self._session.add(credentials)
        self._note(EventCode.UPGRADE_PREPARED, record)
        self._session.commit()
        self._session.expire(record, ["client_credentials"])

    def end_oauth1(self, record: IntegrationMixin) -> None:
        """Switch OAuth 1 off, because somebody logged in by OAuth 2. The caller commits.

        The key pair stays, so that going back is possible.
        """
        integration = self._models.integration
        ended = self._session.scalars(
            update(integration)
            .where(integration.id == record.id, integration.oauth1_ended_at.is_(None))
            .values(oauth1_ended_at=clock.now())
            .returning(integration.id)
        ).all()
        if ended:
            self._note(EventCode.UPGRADE_FINISHED, record)

    def can_go_back(self, record: IntegrationMixin) -> bool:
        """Return whether *record* has OAuth 1 to go back to, and something to go back from."""
        return record.oauth_versions.can_go_back(has_key_pair=record.active_key_pair is not None)

    def go_back(self, record: IntegrationMixin, callback: str) -> None:
        """Let people log in by OAuth 1 alone, and erase the client credentials. Whoever is logged in stays so.

        *callback*: where logins by OAuth 1 come back to. Where OAuth 1 was switched off, Bitbucket is asked first, also
        with a key pair that waits. Raises BitbucketServerError, and changes nothing, where it does not accept OAuth 1
        any more or cannot be asked.
        """
        if record.is_for_oauth2 and self.can_go_back(record):
            self._store.key_rotation.ask_as_a_login_does(record, callback)
        self._store.integrations.lock(record)
        if not self.can_go_back(record):
            return
        self._session.delete(record.client_credentials)
        record.oauth1_ended_at = None
        self._note(EventCode.UPGRADE_ABANDONED, record)
        self._session.commit()
