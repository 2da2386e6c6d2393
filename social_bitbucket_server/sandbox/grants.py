"""OAuth 2's codes, access tokens and refresh tokens. Nothing here is ever written to a log."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

from .bounded import BoundedDict

CODE_LIFETIME = 10
ACCESS_TOKEN_LIFETIME = 3_600
REFRESH_TOKEN_LIFETIME = 7_776_000
"""All in seconds, as Bitbucket has them by default."""

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Code:
    """What a person allowed, for the program to exchange. *code_challenge* is empty without PKCE."""

    value: str = field(repr=False)
    client_id: str
    redirect_uri: str = field(repr=False)
    scopes: tuple[str, ...]
    user_id: int
    code_challenge: str
    code_challenge_method: str
    created: float


@dataclass(frozen=True, slots=True)
class Grant:
    """A pair of tokens that act for one person."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    client_id: str
    scopes: tuple[str, ...]
    user_id: int
    created: float


class Grants:
    """Every code and token that still means something."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._codes: BoundedDict[str, Code] = BoundedDict(_REMEMBERED)
        self._grants: BoundedDict[str, Grant] = BoundedDict(_REMEMBERED)

    def add_code(self, code: Code) -> None:
        """Remember a code."""
        with self._lock:
            self._codes[code.value] = code

    def take_code(self, value: str) -> Code | None:
        """The code with this value, of any age, once; nothing the second time."""
        with self._lock:
            return self._codes.pop(value, None)

    def grant(self, client_id: str, scopes: tuple[str, ...], user_id: int, now: float) -> Grant:
        """A new pair of tokens."""
        grant = Grant(secrets.token_urlsafe(48), secrets.token_urlsafe(48), client_id, scopes, user_id, now)
        with self._lock:
            self._grants[grant.access_token] = grant
        return grant

    def by_access_token(self, value: str) -> Grant | None:
        """The pair with this access token, of any age."""
        with self._lock:
            return self._grants.get(value)

    def take_by_refresh_token(self, value: str, client_id: str) -> Grant | None:
        """The pair with this refresh token of this client, once; neither of the two tokens is good any more."""
        with self._lock:
            found = next((grant for grant in self._grants.values() if grant.refresh_token == value), None)
            if found is None or found.client_id != client_id:
                return None
            return self._grants.pop(found.access_token)

    def granted(self, *, user_id: int | None = None, client_id: str | None = None) -> list[Grant]:
        """The pairs of one user, of one client, or both, the oldest first."""
        with self._lock:
            return [
                grant
                for grant in self._grants.values()
                if user_id in {None, grant.user_id} and client_id in {None, grant.client_id}
            ]

    def revoke(self, *, user_id: int | None = None, client_id: str | None = None) -> int:
        """Forget the pairs of one user, of one client, or both; says how many."""
        with self._lock:
            revoked = self.granted(user_id=user_id, client_id=client_id)
            for grant in revoked:
                del self._grants[grant.access_token]
            return len(revoked)
