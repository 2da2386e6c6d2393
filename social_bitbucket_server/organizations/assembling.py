"""An integration made from what is stored: its row, a key pair or client credentials, and the operator's rules."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from ..crypto import Secret
from ..integration import Credentials, Integration, OAuth2Integration, Roles, Server
from ..problems import BitbucketServerError
from .key_pairs import KeyState
from .outbound import WayOut
from .sealing import SealedKeys
from .stored import StoredClientCredentials, StoredIntegration, StoredKeyPair

_Opened = TypeVar("_Opened")


@dataclass(frozen=True, slots=True)
class Unopened:
    """A key or client secret of an integration that could not be opened.

    *problem* says why. *left_out*: the state of a key pair that logins go on without. It is ``None`` for what logins
    need: the problem is raised then.
    """

    integration_id: str
    problem: BitbucketServerError
    left_out: KeyState | None = None


@dataclass(frozen=True, slots=True)
class Assembler:
    """Makes integrations from rows.

    *keys* is called for each key, and returns what opens it. *note* is called with all that could not be opened.
    *role_names* returns the names of the roles that organizations' admins may give; by default none.
    """

    keys: Callable[[], SealedKeys]
    note: Callable[[Unopened], None]
    role_names: Callable[[], Collection[str]] = tuple

    def signing_with(
        self,
        stored: StoredIntegration,
        pair: StoredKeyPair,
        way_out: WayOut,
        *,
        pending: StoredKeyPair | None = None,
        replaced: StoredKeyPair | None = None,
        base_url: str | None = None,
    ) -> Integration:
        """Return *stored* as an integration whose requests are signed with the private key of *pair*.

        *pending* signs if Bitbucket has its public key already, and *replaced* in logins that began with it. Each may
        be ``None``, and is left out if it cannot be opened. *base_url*: one to try in place of the stored one; ``None``
        for the stored one.

        Raises ``sealed_key_unopenable``. Raises ``invalid_base_url`` or ``connect_to_invalid`` if the operator does not
        allow the server any more.
        """
        own = self._needed(stored, lambda: self._credentials(pair))
        return Integration(
            id=stored.id,
            server=self._server(stored, way_out, base_url),
            consumer_key=own.consumer_key,
            private_key=own.private_key,
            namespace=stored.namespace,
            pending=self._credentials_if_opened(pending),
            replaced=self._credentials_if_opened(replaced),
            name=stored.name,
            admission=stored.admission,
            roles=self.roles_of(stored),
            revision=stored.login_revision,
            organization=stored.shares_limits_of(),
        )

    def by_oauth2(
        self,
        stored: StoredIntegration,
        credentials: StoredClientCredentials,
        way_out: WayOut,
        *,
        base_url: str | None = None,
    ) -> OAuth2Integration:
        """Return *stored* as an integration for OAuth 2 with these client *credentials*. Everything else is as in
        :meth:`signing_with`."""
        client_secret = self._needed(stored, lambda: self.keys().open_client_secret(credentials))
        return OAuth2Integration(
            id=stored.id,
            server=self._server(stored, way_out, base_url),
            client_id=credentials.client_id,
            client_secret=client_secret,
            namespace=stored.namespace,
            name=stored.name,
            admission=stored.admission,
            roles=self.roles_of(stored),
            revision=stored.login_revision,
            organization=stored.shares_limits_of(),
        )

    def roles_of(self, stored: StoredIntegration) -> Roles:
        """Return the roles that *stored* gives, without those that the application no longer offers. Raises
        ``setting_invalid``."""
        return stored.roles.only(self.role_names())

    def _server(self, stored: StoredIntegration, way_out: WayOut, base_url: str | None) -> Server:
        return way_out.server(
            stored.base_url if base_url is None else base_url,
            connect_to=stored.connect_to,
            ca_certificates=stored.ca_certificates,
            client_certificate=stored.client_certificate,
            client_key=self.client_key(stored),
        )

    def client_key(self, stored: StoredIntegration) -> Secret:
        """Return the key of *stored*'s client certificate, or an empty one if there is none. Raises
        ``sealed_key_unopenable``."""
        return self._needed(stored, lambda: self.keys().open_client_key(stored))

    def _credentials(self, pair: StoredKeyPair) -> Credentials:
        return Credentials(pair.consumer_key, self.keys().open_private_key(pair))

    def _credentials_if_opened(self, pair: StoredKeyPair | None) -> Credentials | None:
        if pair is None:
            return None
        try:
            return self._credentials(pair)
        except BitbucketServerError as problem:
            self.note(Unopened(pair.integration_id, problem, KeyState(pair.state)))
            return None

    def _needed(self, stored: StoredIntegration, open_it: Callable[[], _Opened]) -> _Opened:
        try:
            return open_it()
        except BitbucketServerError as problem:
            self.note(Unopened(stored.id, problem))
            raise
