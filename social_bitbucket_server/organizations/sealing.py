"""Private keys and client secrets as they rest in a database. What is sealed for one row opens in no other."""

from __future__ import annotations

from functools import lru_cache

from ..crypto import KeyRing, PrivateKey, Secret, opaque
from ..problems import BitbucketServerError
from .stored import StoredClientCredentials, StoredClientKey, StoredKeyPair

_PRIVATE_KEY = "integration-private-key"
_CLIENT_SECRET = "integration-client-secret"  # noqa: S105  # a purpose
_CLIENT_KEY = "integration-client-key"


class SealedKeys:
    """Private keys, client secrets and the keys of client certificates, sealed with *ring*.

    *kept*: how many private keys each process keeps opened, those that were used last. They are known by the sealed
    record and its row, so a record that changes in the database is opened anew.
    """

    def __init__(self, ring: KeyRing, *, kept: int = 1024) -> None:
        self._ring = ring
        # The row is a part of the cache's key, because a record that was copied to another row must not open there.
        self._opened = lru_cache(maxsize=kept)(self._open)

    @opaque
    def seal_private_key(self, key: PrivateKey, *, integration_id: str, key_id: str, state: str) -> str:
        """Return *key* as a record that opens only for this integration, this key id and this *state* of the row."""
        return self._ring.seal(key.pem().encode(), **_of_pair(integration_id, key_id, state))

    @opaque
    def open_private_key(self, pair: StoredKeyPair) -> PrivateKey:
        """Return the private key of *pair*, as its row is now. Raises ``sealed_key_unopenable``."""
        return self._opened(pair.sealed_private_key or "", pair.integration_id, pair.id, pair.state)

    def _open(self, sealed: str, integration_id: str, key_id: str, state: str) -> PrivateKey:
        return PrivateKey.read(self._ring.open(sealed, **_of_pair(integration_id, key_id, state)))

    def reseal_private_key(self, pair: StoredKeyPair) -> str:
        """Return the record of *pair*'s private key, sealed with the ring's newest key. Raises
        ``sealed_key_unopenable``."""
        return self._ring.reseal(pair.sealed_private_key or "", **_of_pair(pair.integration_id, pair.id, pair.state))

    def private_key_sealed_for(self, state: str, pair: StoredKeyPair) -> str:
        """Return the record of *pair*'s private key for a row in another *state*. A record that does not open stays as
        it is."""
        try:
            key = self.open_private_key(pair)
        except BitbucketServerError:
            return pair.sealed_private_key or ""
        return self.seal_private_key(key, integration_id=pair.integration_id, key_id=pair.id, state=state)

    @opaque
    def seal_client_secret(self, client_secret: str, *, integration_id: str, credentials_id: str) -> str:
        """Return *client_secret* as a record that opens only for this integration and these client credentials."""
        return self._ring.seal(
            client_secret.encode(), purpose=_CLIENT_SECRET, integration_id=integration_id, key_id=credentials_id
        )

    @opaque
    def open_client_secret(self, credentials: StoredClientCredentials) -> Secret:
        """Return the client secret of *credentials*. Raises ``sealed_key_unopenable``."""
        return Secret(self._ring.open(credentials.sealed_client_secret, **_of_credentials(credentials)).decode())

    def reseal_client_secret(self, credentials: StoredClientCredentials) -> str:
        """Return the record of the client secret of *credentials*, sealed with the ring's newest key. Raises
        ``sealed_key_unopenable``."""
        return self._ring.reseal(credentials.sealed_client_secret, **_of_credentials(credentials))

    @opaque
    def seal_client_key(self, key: str, *, integration_id: str) -> str:
        """Return the *key* of a client certificate as a record that opens only for this integration."""
        return self._ring.seal(key.encode(), **_of_integration(integration_id))

    @opaque
    def open_client_key(self, record: StoredClientKey) -> Secret:
        """Return the key of *record*'s client certificate, or an empty one if there is none. Raises
        ``sealed_key_unopenable``."""
        if not record.sealed_client_key:
            return Secret()
        return Secret(self._ring.open(record.sealed_client_key, **_of_integration(record.id)).decode())

    def reseal_client_key(self, record: StoredClientKey) -> str:
        """Return the record of the key of *record*'s client certificate, sealed with the ring's newest key. Raises
        ``sealed_key_unopenable``."""
        return self._ring.reseal(record.sealed_client_key, **_of_integration(record.id))


def _of_pair(integration_id: str, key_id: str, state: str) -> dict[str, str]:
    """Return the place that a private key is sealed for. A record does not open after its row's state was changed by
    hand."""
    return {"purpose": f"{_PRIVATE_KEY}:{state}", "integration_id": integration_id, "key_id": key_id}


def _of_credentials(credentials: StoredClientCredentials) -> dict[str, str]:
    return {"purpose": _CLIENT_SECRET, "integration_id": credentials.integration_id, "key_id": credentials.id}


def _of_integration(integration_id: str) -> dict[str, str]:
    """Return the place that a client certificate's key is sealed for. An integration has at most one, so the key needs
    no id of its own."""
    return {"purpose": _CLIENT_KEY, "integration_id": integration_id, "key_id": integration_id}
