"""A new key pair in place of an integration's old one: it waits beside it until Bitbucket accepts it.

Logins are signed with the old key until then. A login whose signature is refused tries the one that waits. No private
key is erased before its successor was accepted.
"""

from __future__ import annotations

from sqlalchemy import select, update

from social_bitbucket_server.client import Client
from social_bitbucket_server.integration import Integration

from . import audit, database, integrations, navigation
from .models import IntegrationRecord, KeyPair, KeyState, OAuth


def begin(record: IntegrationRecord) -> None:
    """Make a key pair that waits for Bitbucket, in place of one that waits already."""
    key = integrations.make_private_key()
    integrations.lock(record)
    if _move(record, KeyState.PENDING, KeyState.RETIRED):
        audit.record("key.retired", integration_id=record.id)
    integrations.add_key_pair(record, key, KeyState.PENDING)
    database.session.commit()


def verify(record: IntegrationRecord) -> bool:
    """Sign a request with the key that waits; where Bitbucket accepts it, it becomes the active one, and the old
    private key is erased. Returns whether that happened; false where no key waits.

    Raises BitbucketServerError, and changes nothing, where Bitbucket does not accept it or cannot be asked.
    """
    pair = record.pending_key_pair
    if pair is None:
        return False
    public_key, integration = pair.public_key, integrations.signing_with(record, pair)
    # The token is let go: nobody is sent to Bitbucket with it.
    Client(integration).request_token(navigation.absolute(integrations.callback_path(record, OAuth.ONE)))
    database.session.rollback()  # what was read before the server was asked may have changed
    return _promote(record, public_key)


def promote_after_a_login(integration: Integration) -> None:
    """What the library calls when a login was signed with the key that waits, because Bitbucket has it already."""
    record = integrations.find_enabled(integration.id)
    if record is not None:
        _promote(record, integration.private_key.public.pem)


def _promote(record: IntegrationRecord, public_key: str) -> bool:
    """Whether this key pair waited, and is in use now."""
    integrations.lock(record)
    state = select(KeyPair.stored_state).where(KeyPair.public_key == public_key)
    if database.session.scalar(state) != KeyState.PENDING.value:
        return False
    _move(record, KeyState.ACTIVE, KeyState.RETIRED)
    _move(record, KeyState.PENDING, KeyState.ACTIVE)
    audit.record("key.promoted", integration_id=record.id)
    audit.record("key.retired", integration_id=record.id)
    database.session.commit()
    return True


def _move(record: IntegrationRecord, before: KeyState, after: KeyState) -> bool:
    """Whether a key pair went from one state to the other. A retired one loses its private key."""
    values: dict[str, str | None] = {"stored_state": after.value}
    if after is KeyState.RETIRED:
        values["sealed_private_key"] = None
    moved = database.session.scalars(
        update(KeyPair)
        .where(KeyPair.integration_id == record.id, KeyPair.stored_state == before.value)
        .values(values)
        .returning(KeyPair.id)
    ).all()
    return bool(moved)
