"""From OAuth 1 to OAuth 2 within one integration, and back.

Both work side by side from the moment the client credentials are there until the first login by OAuth 2. People are the
same either way: an identity is the integration's namespace and the numeric user id.
"""

from __future__ import annotations

import secrets

from sqlalchemy import update

from social_bitbucket_server.organizations import EventCode

from . import audit, clock, database, integrations, key_rotation
from .models import ClientCredentials, IntegrationRecord


def keep_credentials(record: IntegrationRecord, client_id: str, client_secret: str) -> None:
    """Let people log in by OAuth 2 with these client credentials, in place of those that were there."""
    integrations.lock(record)  # two at once would make two
    if record.client_credentials is not None:
        database.session.delete(record.client_credentials)
        database.session.flush()
    credentials_id = secrets.token_hex(12)
    sealed = integrations.sealed_keys().seal_client_secret(
        client_secret, integration_id=record.id, credentials_id=credentials_id
    )
    database.session.add(
        ClientCredentials(id=credentials_id, integration_id=record.id, client_id=client_id, sealed_client_secret=sealed)
    )
    audit.record(EventCode.UPGRADE_PREPARED, integration_id=record.id)
    database.session.commit()


def end_oauth1(record: IntegrationRecord) -> None:
    """Switch OAuth 1 off, because somebody logged in by OAuth 2. The caller commits.

    The key pair stays, so that going back is possible.
    """
    ended = database.session.scalars(
        update(IntegrationRecord)
        .where(IntegrationRecord.id == record.id, IntegrationRecord.oauth1_ended_at.is_(None))
        .values(oauth1_ended_at=clock.now())
        .returning(IntegrationRecord.id)
    ).all()
    if ended:
        audit.record(EventCode.UPGRADE_FINISHED, integration_id=record.id)


def can_go_back(record: IntegrationRecord) -> bool:
    """Return whether *record* has OAuth 1 to go back to, and something to go back from."""
    return record.oauth_versions.can_go_back(has_key_pair=record.active_key_pair is not None)


def go_back(record: IntegrationRecord) -> None:
    """Let people log in by OAuth 1 alone, and erase the client credentials; whoever is logged in stays so.

    Where OAuth 1 was switched off, Bitbucket is asked first, also with a key pair that waits. Raises
    BitbucketServerError, and changes nothing, where it does not accept OAuth 1 any more or cannot be asked.
    """
    if record.is_for_oauth2 and can_go_back(record):
        key_rotation.ask_as_a_login_does(record)
    integrations.lock(record)
    if not can_go_back(record):
        return
    database.session.delete(record.client_credentials)
    record.oauth1_ended_at = None
    audit.record(EventCode.UPGRADE_ABANDONED, integration_id=record.id)
    database.session.commit()
