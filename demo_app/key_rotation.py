"""A new key pair in place of an integration's old one: it waits beside it until Bitbucket accepts it.

It is for the application link that is there, or for a new one with a new consumer key. Logins are signed with the old
key until then. A login that Bitbucket refuses with it tries the one that waits. No private key is erased before its
successor was accepted.
"""

from __future__ import annotations

from sqlalchemy import select

from social_bitbucket_server.integration import Integration
from social_bitbucket_server.oauth import Client
from social_bitbucket_server.organizations import EventCode, KeyPairs, KeyState, OAuth, may_be_about_the_key
from social_bitbucket_server.problems import BitbucketServerError

from . import audit, clock, database, integrations, navigation
from .models import IntegrationRecord, KeyPair


def begin(record: IntegrationRecord, *, with_new_link: bool = False) -> bool:
    """Make a key pair that waits for Bitbucket, in place of one that waits already, and for *with_new_link* a consumer
    key. Returns false, and makes nothing, where an old link waits for its removal: there would be three.
    """
    key = integrations.make_private_key()
    integrations.lock(record)
    pairs = _pairs(record)
    if not pairs.may_begin(with_new_link=with_new_link):
        return False
    if pairs.pending is not None:
        _retire(pairs.pending)
    link_in_use = pairs.active.consumer_key if pairs.active is not None and not with_new_link else None
    consumer_key = link_in_use or integrations.add_link(record)
    integrations.add_key_pair(record, key, KeyState.PENDING, consumer_key)
    if with_new_link:
        audit.record(EventCode.CONSUMER_KEY_CREATED, org_id=record.organization_id, integration_id=record.id)
    database.session.commit()
    return True


def verify(record: IntegrationRecord) -> bool:
    """Sign a request with the key that waits, under its consumer key; where Bitbucket accepts it, it becomes the active
    one. Returns whether that happened; false where no key waits.

    Raises BitbucketServerError, and changes nothing, where Bitbucket does not accept it or cannot be asked.
    """
    pair = record.pending_key_pair
    if pair is None:
        return False
    public_key = pair.public_key
    _ask(integrations.signing_with(record, pair), _callback(record))
    return _promote(record, public_key)


def give_up(record: IntegrationRecord) -> bool:
    """Keep the old key pair, and erase the private key of the one that waits. Returns whether one did.

    Raises BitbucketServerError, and changes nothing, where Bitbucket does not accept the old one or cannot be asked.
    """
    pair = record.active_key_pair
    if pair is None or record.pending_key_pair is None:
        return False
    _ask(integrations.signing_with(record, pair), _callback(record))
    integrations.lock(record)
    pending = _pairs(record).pending
    if pending is not None:
        _retire(pending)
    database.session.commit()
    return pending is not None


def note_removal(record: IntegrationRecord) -> None:
    """The old application link is gone, and with it the logins that began with it."""
    integrations.lock(record)
    retire_replaced(record)
    database.session.commit()


def retire_replaced(record: IntegrationRecord) -> None:
    """Erase the private key of the application link that was replaced, where there is one. The caller holds the lock,
    and commits."""
    replaced = _pairs(record).replaced
    if replaced is not None:
        _retire(replaced)


def promote_after_a_login(integration: Integration) -> None:
    """Put the pending key pair in use after a login that was signed with it.

    The library calls this, because Bitbucket has the public key already.
    """
    record = integrations.find_enabled(integration.id)
    if record is not None:
        _promote(record, integration.private_key.public.pem)


def ask_as_a_login_does(record: IntegrationRecord) -> None:
    """Sign a request with the active key pair of *record*, which has one. Where Bitbucket refuses it and accepts the
    one that waits, that takes its place.

    Raises BitbucketServerError, and changes nothing, where Bitbucket accepts neither or cannot be asked.
    """
    active = record.active_key_pair
    if active is None:
        raise ValueError(record.id)
    integration = integrations.signing_with(record, active, pending=record.pending_key_pair)
    callback, successor = _callback(record), integration.successor
    try:
        _ask(integration, callback)
    except BitbucketServerError as refusal:
        if successor is None or not may_be_about_the_key(refusal.code, integration, successor):
            raise
        try:
            _ask(successor, callback)
        except BitbucketServerError:
            raise refusal from None
        _promote(record, successor.private_key.public.pem)


def _callback(record: IntegrationRecord) -> str:
    return navigation.absolute(integrations.callback_path(record, OAuth.ONE))


def _ask(integration: Integration, callback: str) -> None:
    """Raises BitbucketServerError where Bitbucket does not accept the key pair of *integration*."""
    # Nobody waits for this request's connection meanwhile, and what was read before may have changed afterwards.
    database.session.rollback()
    Client(integration).request_token(callback)  # it is let go: nobody is sent to Bitbucket with it


def _promote(record: IntegrationRecord, public_key: str) -> bool:
    """Put the waiting key pair in use if it is this one. Returns whether it was."""
    integrations.lock(record)
    pairs = _pairs(record)
    old, new = pairs.active, pairs.pending
    if old is None or new is None or new.public_key != public_key:
        return False
    if pairs.state_of_old is KeyState.RETIRED:
        _retire(old)
    else:
        _change_state(old, KeyState.REPLACED)
        old.replaced_at = clock.now()
        audit.record(EventCode.CONSUMER_KEY_REPLACED, org_id=record.organization_id, integration_id=record.id)
    database.session.flush()  # there is one active key pair at a time
    _change_state(new, KeyState.ACTIVE)
    audit.record(EventCode.KEY_PROMOTED, org_id=record.organization_id, integration_id=record.id)
    database.session.commit()
    return True


def _pairs(record: IntegrationRecord) -> KeyPairs[KeyPair]:
    """The key pairs of *record*, which is locked, as they are now."""
    pairs = select(KeyPair).where(KeyPair.integration_id == record.id, KeyPair.stored_state != KeyState.RETIRED.value)
    current = database.session.scalars(pairs, execution_options={"populate_existing": True})
    return KeyPairs.of(current)


def _change_state(pair: KeyPair, state: KeyState) -> None:
    """Give *pair* another *state*, and a record that opens in it. The caller commits."""
    pair.sealed_private_key = integrations.sealed_keys().private_key_sealed_for(state, pair) or None
    pair.stored_state = state.value


def _retire(pair: KeyPair) -> None:
    """Retire it, and erase its private key. The caller commits."""
    pair.stored_state, pair.sealed_private_key = KeyState.RETIRED.value, None
    database.session.flush()
    audit.record(EventCode.KEY_RETIRED, integration_id=pair.integration_id)
