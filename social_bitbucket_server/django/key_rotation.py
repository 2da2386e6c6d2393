"""A new key pair in place of an integration's old one: it waits beside it until Bitbucket accepts it.

Logins are signed with the old key until then. A login whose signature is refused tries the one that waits. No private
key is erased before its successor was accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import Client
from . import events, integrations
from .models import Happening, KeyPair, KeyState, integration_model

if TYPE_CHECKING:
    from ..integration import Integration
    from .integrations import Administrator
    from .models import AbstractIntegration


def begin(record: AbstractIntegration, administrator: Administrator = None) -> None:
    """Make a key pair that waits for Bitbucket, in place of one that waits already."""
    key = integrations.make_private_key()
    with integrations.all_or_nothing():
        _lock(record)
        if _retire(record, KeyState.PENDING):
            events.record(Happening.KEY_RETIRED, integration_id=record.pk, user=administrator)
        integrations.add_key_pair(record, key, KeyState.PENDING, administrator)


def verify(record: AbstractIntegration, administrator: Administrator = None) -> bool:
    """Sign a request with the key that waits; where Bitbucket accepts it, it becomes the active one, and the old
    private key is erased. Returns whether that happened; false where no key waits.

    Raises BitbucketServerError, and changes nothing, where Bitbucket does not accept it or cannot be asked.
    """
    pair = record.pending_key_pair
    if pair is None:
        return False
    # The token is let go: nobody is sent to Bitbucket with it.
    Client(integrations.signing_with(record, pair)).request_token(integrations.callback(record))
    return _promote(record, pair.fingerprint, administrator)


def promote_after_a_login(integration: Integration) -> None:
    """What the library calls when a login was signed with the key that waits, because Bitbucket has it already."""
    record = integrations.find_enabled(id=integration.id)
    if record is not None:
        _promote(record, integration.private_key.public.fingerprint)


def _promote(record: AbstractIntegration, fingerprint: str, administrator: Administrator = None) -> bool:
    """Whether this key pair waited, and is in use now."""
    with integrations.all_or_nothing():
        _lock(record)
        waiting = KeyPair.objects.filter(integration_id=record.pk, fingerprint=fingerprint, state=KeyState.PENDING)
        if not waiting.exists():  # another one took its place meanwhile, or another login was faster
            return False
        _retire(record, KeyState.ACTIVE)
        waiting.update(state=KeyState.ACTIVE)
        events.record(Happening.KEY_PROMOTED, integration_id=record.pk, user=administrator)
        events.record(Happening.KEY_RETIRED, integration_id=record.pk, user=administrator)
    return True


def _lock(record: AbstractIntegration) -> None:
    """One at a time for each integration; databases that lock as a whole do so with the first change. A manager of the
    application's own may join other tables, whose rows cannot always be locked."""
    integration_model()._base_manager.select_for_update().filter(pk=record.pk).first()


def _retire(record: AbstractIntegration, state: KeyState) -> int:
    """How many key pairs went from *state* to retired, without their private keys."""
    return KeyPair.objects.filter(integration_id=record.pk, state=state).update(
        state=KeyState.RETIRED, sealed_private_key=""
    )
