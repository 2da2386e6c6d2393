"""OAuth 2's codes, access tokens and refresh tokens. Nothing here is ever written to a log."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

from .bounded import BoundedDict
from .external_applications import ExternalApplication

CODE_LIFETIME = 10
ACCESS_TOKEN_LIFETIME = 3_600
REFRESH_TOKEN_LIFETIME = 7_776_000
"""All in seconds, as Bitbucket has them by default."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A program's request for access, which a person allows or denies. *code_challenge* is empty without PKCE."""

    application: ExternalApplication
    redirect_uri: str = field(repr=False)
    scopes: tuple[str, ...]
    code_challenge: str
    code_challenge_method: str


@dataclass(frozen=True, slots=True)
class Code:
    """The permission of a person, which the program that made the *request* exchanges for tokens."""

    value: str = field(repr=False)
    request: AuthorizationRequest
    user_id: int
    created: float


@dataclass(frozen=True, slots=True)
class Grant:
    """A pair of tokens that act for one person. *code* is the code that led to it, directly or by renewals."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    client_id: str
    scopes: tuple[str, ...]
    user_id: int
    created: float
    code: str = field(default="", repr=False)


class Grants:
    """Every code and token that still means something, and the codes that were used."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._codes: BoundedDict[str, Code] = BoundedDict()
        self._used_codes: BoundedDict[str, None] = BoundedDict()
        self._grants: BoundedDict[str, Grant] = BoundedDict()

    def add_code(self, code: Code) -> None:
        """Remember a code."""
        with self._lock:
            self._codes[code.value] = code

    def code(self, value: str) -> Code | None:
        """Return the code with this value, of any age, used or not."""
        return self._codes.get(value)

    def use_code(self, value: str) -> bool:
        """Mark the code as exchanged. Return whether this is its first use."""
        with self._lock:
            if value in self._used_codes:
                return False
            self._used_codes[value] = None
            return True

    def is_used(self, value: str) -> bool:
        """Return whether the code was exchanged before."""
        return value in self._used_codes

    def end_code(self, value: str) -> None:
        """Forget every pair that the code led to."""
        with self._lock:
            for grant in [grant for grant in self._grants.values() if grant.code == value]:
                del self._grants[grant.access_token]

    def grant(self, client_id: str, scopes: tuple[str, ...], user_id: int, now: float, code: str) -> Grant:
        """Make a new pair of tokens."""
        grant = Grant(secrets.token_urlsafe(48), secrets.token_urlsafe(48), client_id, scopes, user_id, now, code)
        with self._lock:
            self._grants[grant.access_token] = grant
        return grant

    def by_access_token(self, value: str) -> Grant | None:
        """Return the pair with this access token, of any age."""
        return self._grants.get(value)

    def by_refresh_token(self, value: str) -> Grant | None:
        """Return the pair with this refresh token, of any age."""
        with self._lock:
            return next((grant for grant in self._grants.values() if grant.refresh_token == value), None)

    def take(self, grant: Grant) -> bool:
        """Forget *grant*. Return whether it was still there."""
        with self._lock:
            return self._grants.pop(grant.access_token, None) is not None

    def granted(self, *, user_id: int | None = None, client_id: str | None = None) -> list[Grant]:
        """Return the pairs of one user, of one client, or both, the oldest first."""
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
