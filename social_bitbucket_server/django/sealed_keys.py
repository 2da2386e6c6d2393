"""Private keys, and those of client certificates, as they rest in the database: sealed with the configured key ring.
Each private key is opened and parsed once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ..crypto import PrivateKey, Secret, opaque
from ..problems import BitbucketServerError
from . import configuration

if TYPE_CHECKING:
    from .models import AbstractIntegration, KeyPair

_PURPOSE = "integration-private-key"
_CLIENT_KEY = "integration-client-key"
_MOST_OPENED = 256


def seal(key: PrivateKey, *, integration_id: str, key_id: str, state: str) -> str:
    """Return *key* as a record that opens only for this integration, this key id and this *state* of the row."""
    return configuration.key_ring().seal(
        key.pem().encode(), purpose=_purpose(state), integration_id=integration_id, key_id=key_id
    )


def sealed_for_state(pair: KeyPair, state: str) -> str:
    """Return the record of *pair*'s private key for another *state*. A record that does not open stays as it is."""
    try:
        key = open_private_key(pair)
    except BitbucketServerError:
        return pair.sealed_private_key
    return seal(key, integration_id=pair.integration_id, key_id=pair.pk, state=state)


def reseal(pair: KeyPair) -> str:
    """Return the record of *pair*'s private key, sealed with the newest key of the ring."""
    return configuration.key_ring().reseal(
        pair.sealed_private_key,
        purpose=_purpose(pair.state),
        integration_id=pair.integration_id,
        key_id=pair.pk,
    )


@opaque
def open_private_key(pair: KeyPair) -> PrivateKey:
    """Return the private key of *pair*, as its row is now. Raises ``sealed_key_unopenable`` and the key ring's
    problems."""
    configuration.key_ring()  # a ring that was taken away opens nothing that it opened before
    ring = Secret(configuration.setting("KEY_RING"))
    return _opened(ring, pair.integration_id, pair.pk, pair.state, pair.sealed_private_key)


def seal_client_key(key: str, *, integration_id: str) -> str:
    """Return the *key* of a client certificate as a record that opens only for this integration."""
    return configuration.key_ring().seal(key.encode(), **_of_client_key(integration_id))


def reseal_client_key(record: AbstractIntegration) -> str:
    """Return the record of the key of *record*'s client certificate, sealed with the newest key of the ring."""
    return configuration.key_ring().reseal(record.sealed_client_key, **_of_client_key(record.pk))


@opaque
def open_client_key(record: AbstractIntegration) -> Secret:
    """Return the key of *record*'s client certificate, or an empty one if there is none. Raises
    ``sealed_key_unopenable`` and the key ring's problems."""
    if not record.sealed_client_key:
        return Secret()
    return Secret(configuration.key_ring().open(record.sealed_client_key, **_of_client_key(record.pk)).decode())


def _of_client_key(integration_id: str) -> dict[str, str]:
    """Return the place that a client certificate's key is sealed for. An integration has one at most, so the key
    needs no id of its own."""
    return {"purpose": _CLIENT_KEY, "integration_id": integration_id, "key_id": integration_id}


@lru_cache(maxsize=_MOST_OPENED)
def _opened(_ring: Secret, integration_id: str, key_id: str, state: str, record: str) -> PrivateKey:
    """Return the private key in *record*. The row is a part of the cache's key, because a record that was copied to
    another row must not open there."""
    return PrivateKey.read(
        configuration.key_ring().open(record, purpose=_purpose(state), integration_id=integration_id, key_id=key_id)
    )


def _purpose(state: str) -> str:
    """Return the purpose that a private key is sealed for. A record does not open after its row's state was changed by
    hand."""
    return f"{_PURPOSE}:{state}"
