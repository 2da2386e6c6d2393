"""Access tokens at rest: sealed for one person of one integration, and sent to the server that issued them alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from social_core.storage import UserMixin

from ..crypto import KeyRing, Secret
from ..integration import AnyIntegration
from ..oauth import AccessToken
from ..problems import BitbucketServerError, Code

PURPOSE = "access-token"
"""The purpose for which the key ring seals these records."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """An access token, with the server that issued it.

    It ends at *expires_at* and can be renewed until *renewable_until*. Both are seconds since 1970, or ``None`` if the
    server did not say. *server* is the base URL. *scope* is what was asked for; it is empty with OAuth 1.
    """

    value: str = field(repr=False)
    session_handle: str = field(repr=False)
    expires_at: int | None
    renewable_until: int | None
    server: str
    scope: str = ""

    @classmethod
    def granted(cls, token: AccessToken, integration: AnyIntegration, scope: str = "") -> StoredToken:
        """Return *token*, which the server of *integration* has just issued for *scope*."""
        now = int(time.time())
        return cls(
            Secret(token.value),
            Secret(token.session_handle),
            None if token.expires_in is None else now + token.expires_in,
            None if token.authorization_expires_in is None else now + token.authorization_expires_in,
            str(integration.server.url),
            scope,
        )

    @classmethod
    def open(cls, record: str, key_ring: KeyRing, integration: AnyIntegration, uid: str) -> StoredToken:
        """Return the token in a *record* that :meth:`seal` made for the same integration and *uid*.

        Raises ``token_unopenable``, and ``token_missing`` if the integration has another server now.
        """
        try:
            token = cls._from_json(key_ring.open(record, purpose=PURPOSE, integration_id=integration.id, key_id=uid))
        except BitbucketServerError as error:
            raise _unopenable(error) from None
        if token.server != str(integration.server.url):
            raise BitbucketServerError(Code.TOKEN_MISSING, "The integration's base URL was changed.")
        return token

    @classmethod
    def _from_json(cls, text: bytes) -> StoredToken:
        fields = json.loads(text)
        return cls(
            Secret(fields["token"]),
            Secret(fields["session_handle"]),
            fields["expires_at"],
            fields["renewable_until"],
            fields["server"],
            fields.get("scope", ""),
        )

    def seal(self, key_ring: KeyRing, integration: AnyIntegration, uid: str) -> str:
        """Return a record for the database, which opens for *integration* and *uid* only."""
        fields = {
            "token": self.value,
            "session_handle": self.session_handle,
            "expires_at": self.expires_at,
            "renewable_until": self.renewable_until,
            "server": self.server,
            "scope": self.scope,
        }
        text = Secret(json.dumps(fields))
        return key_ring.seal(text.encode(), purpose=PURPOSE, integration_id=integration.id, key_id=uid)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or will end within a minute."""
        return self.expires_at is not None and self.expires_at - 60 <= time.time()

    @property
    def is_renewable(self) -> bool:
        """Whether the server promised to exchange it for a new one."""
        return bool(self.session_handle) and (self.renewable_until is None or time.time() < self.renewable_until)

    def access_token(self) -> AccessToken:
        """Return it as clients take it."""
        return AccessToken(self.value, self.session_handle, None, None)


class TokenStore(Protocol):
    """A place for one person's access token."""

    def load(self) -> StoredToken:
        """Return the token as it is stored now. Raises ``token_missing`` and ``token_unopenable``."""

    def keep(self, token: StoredToken) -> None:
        """Put *token* in place of the one before."""


EXTRA_DATA_KEY = "sealed_access_token"
"""The name of the record in the ``extra_data`` of a person's identity."""


class IdentityToken:
    """The access token in the ``extra_data`` of one of social-core's identities.

    *find* looks the identity up anew, and returns ``None`` if it is gone. The record is sealed with *key_ring* for
    *integration* and the identity's *uid*.
    """

    def __init__(
        self, find: Callable[[], UserMixin | None], key_ring: KeyRing, integration: AnyIntegration, uid: str
    ) -> None:
        self._find = find
        self._key_ring = key_ring
        self._integration = integration
        self._uid = uid

    def load(self) -> StoredToken:
        """Return the token as it is stored now. Raises ``token_missing`` and ``token_unopenable``."""
        return StoredToken.open(_record_of(self._find()), self._key_ring, self._integration, self._uid)

    def keep(self, token: StoredToken) -> None:
        """Put *token* in place of the one before. Do nothing if the identity is gone."""
        identity = self._find()
        if identity is not None:
            _keep(identity, token.seal(self._key_ring, self._integration, self._uid))


def reseal(identity: UserMixin, key_ring: KeyRing) -> bool:
    """Seal the token of *identity* with the newest key of *key_ring*. Return whether another key had sealed it. No
    server is asked, and the integration need not be there.

    Raises ``token_missing`` and ``token_unopenable``.
    """
    record = _record_of(identity)
    integration_id = str(identity.extra_data.get("integration", ""))
    try:
        resealed = key_ring.reseal(record, purpose=PURPOSE, integration_id=integration_id, key_id=identity.uid)
    except BitbucketServerError as error:
        raise _unopenable(error) from None
    if resealed != record:
        _keep(identity, resealed)
    return resealed != record


def erase(identity: UserMixin) -> None:
    """Remove the access token from *identity*, and the id of the token's integration."""
    gone = {EXTRA_DATA_KEY, "integration"}
    identity.extra_data = {name: value for name, value in identity.extra_data.items() if name not in gone}
    identity.save()


def _record_of(identity: UserMixin | None) -> str:
    record = identity.extra_data.get(EXTRA_DATA_KEY) if identity is not None else None
    if not isinstance(record, str):
        raise BitbucketServerError(Code.TOKEN_MISSING)
    return record


def _keep(identity: UserMixin, record: str) -> None:
    if identity.set_extra_data({EXTRA_DATA_KEY: record}):
        identity.save()


def _unopenable(error: BitbucketServerError) -> BitbucketServerError:
    return BitbucketServerError(Code.TOKEN_UNOPENABLE, error.reason, parameter="KEY_RING")
