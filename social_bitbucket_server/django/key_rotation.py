"""A new key pair in place of an integration's old one: it waits beside it until Bitbucket accepts it.

It is for the application link that is there, or for a new one with a new consumer key. Logins are signed with the old
key until then. A login that Bitbucket refuses with it tries the one that waits. No private key is erased before its
successor was accepted.
"""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from ..integration import Integration
from ..oauth import Client
from ..organizations import EventCode, KeyState, may_be_about_the_key, oldest_login_began
from ..problems import BitbucketServerError
from ..transport import default_transport
from . import configuration, events, integrations, sealed_keys
from .integrations import Administrator
from .models import AbstractIntegration, KeyPair


def begin(record: AbstractIntegration, administrator: Administrator = None, *, with_new_link: bool = False) -> bool:
    """Make a key pair that waits for Bitbucket, in place of one that waits already, and for *with_new_link* a consumer
    key. Returns false, and makes nothing, where an old link waits for its removal: there would be three.

    Raises ChangedMeanwhileError where *record* was deleted since it was read."""
    key = integrations.make_private_key()
    with integrations.all_or_nothing():
        if integrations.lock(record.pk) is None:
            raise integrations.ChangedMeanwhileError
        if not record.key_pairs_in_use.may_begin(with_new_link=with_new_link):
            return False
        _retire(record, KeyState.PENDING, administrator)
        in_use = None if with_new_link else record.active_key_pair
        if in_use is None:
            link = integrations.add_link(record)
            events.record(EventCode.CONSUMER_KEY_CREATED, integration_id=record.pk, user=administrator)
        else:
            link = in_use.link
        integrations.add_key_pair(record, key, KeyState.PENDING, link, administrator)
    return True


def verify(record: AbstractIntegration, administrator: Administrator = None) -> bool:
    """Sign a request with the key that waits. If Bitbucket accepts it, it becomes the active one, and the old private
    key is erased. Returns whether that happened: false if no key waits.

    Raises BitbucketServerError, and changes nothing, if Bitbucket does not accept the key or cannot be asked.
    """
    pair = record.pending_key_pair
    if pair is None:
        return False
    _ask(record, integrations.signing_with(record, pair))
    return _promote(record, pair.fingerprint, administrator)


def ask_as_a_login_does(record: AbstractIntegration) -> None:
    """Sign a request with the active key pair of *record*, which has one. If Bitbucket refuses it and accepts the one
    that waits, that takes its place.

    Raises BitbucketServerError, and changes nothing, if Bitbucket accepts neither or cannot be asked.
    """
    pairs = record.key_pairs_in_use
    if pairs.active is None:
        raise ValueError(record.pk)
    integration = integrations.signing_with(record, pairs.active, pending=pairs.pending)
    successor = integration.successor
    try:
        _ask(record, integration)
    except BitbucketServerError as refusal:
        if successor is None or not may_be_about_the_key(refusal.code, integration, successor):
            raise
        try:
            _ask(record, successor)
        except BitbucketServerError:
            raise refusal from None
        _promote(record, successor.private_key.public.fingerprint)


def _ask(record: AbstractIntegration, integration: Integration) -> None:
    """Ask for a request token. It is let go: nobody is sent to Bitbucket with it."""
    with default_transport().begin_step(integration.tenant, configuration.limits()) as budget:
        Client(integration, budget).request_token(integrations.callback(record))


def note_removal(record: AbstractIntegration, administrator: Administrator = None) -> bool:
    """Erase the private key of the old application link, which was removed in Bitbucket. Logins that began with it end.
    Returns whether there was one."""
    with integrations.all_or_nothing():
        integrations.lock(record.pk)
        return _retire(record, KeyState.REPLACED, administrator)


def erase_replaced() -> None:
    """Erase the private keys of links that were replaced, where no login that began with one can be under way any
    more."""
    oldest_login = oldest_login_began(now=timezone.now(), lifetime=integrations.LIFETIME_OF_LOGINS)
    KeyPair.objects.filter(state=KeyState.REPLACED, replaced_at__lt=oldest_login).update(sealed_private_key="")


def promote_after_a_login(integration: Integration) -> None:
    """Put the pending key pair in use after a login that was signed with it.

    The library calls this, because Bitbucket has the public key already.
    """
    record = integrations.find_enabled(id=integration.id)
    if record is not None:
        _promote(record, integration.private_key.public.fingerprint)


def _promote(record: AbstractIntegration, fingerprint: str, administrator: Administrator = None) -> bool:
    """Put the key pair with this *fingerprint* in use if it waits. Returns whether it did."""
    with integrations.all_or_nothing():
        integrations.lock(record.pk)
        pairs = record.key_pairs_in_use
        old, new = pairs.active, pairs.pending
        if new is None or new.fingerprint != fingerprint:  # another took its place, or another login was faster
            return False
        if old is None or pairs.state_of_old is KeyState.RETIRED:
            _retire(record, KeyState.ACTIVE, administrator)
        else:
            sealed = sealed_keys.current().private_key_sealed_for(KeyState.REPLACED, old)
            _of(record, KeyState.ACTIVE).update(
                state=KeyState.REPLACED, replaced_at=timezone.now(), sealed_private_key=sealed
            )
            events.record(EventCode.CONSUMER_KEY_REPLACED, integration_id=record.pk, user=administrator)
        sealed = sealed_keys.current().private_key_sealed_for(KeyState.ACTIVE, new)
        _of(record, KeyState.PENDING).update(state=KeyState.ACTIVE, sealed_private_key=sealed)
        events.record(EventCode.KEY_PROMOTED, integration_id=record.pk, user=administrator)
    return True


def _retire(record: AbstractIntegration, state: KeyState, administrator: Administrator) -> bool:
    """Retire the key pair in this *state*, and erase its private key. Returns whether there was one."""
    is_retired = bool(_of(record, state).update(state=KeyState.RETIRED, sealed_private_key=""))
    if is_retired:
        events.record(EventCode.KEY_RETIRED, integration_id=record.pk, user=administrator)
    return is_retired


def _of(record: AbstractIntegration, state: KeyState) -> QuerySet[KeyPair]:
    return KeyPair.objects.filter(integration_id=record.pk, state=state)
