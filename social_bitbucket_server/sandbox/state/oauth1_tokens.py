"""Request tokens, access tokens, and the nonces that were used. Nothing here is ever written to a log."""

from __future__ import annotations

import secrets
import string
import threading
from dataclasses import dataclass, field, replace
from enum import StrEnum

from .bounded import BoundedDict

REQUEST_TOKEN_LIFETIME = 600
ACCESS_TOKEN_LIFETIME = 157_680_000
SESSION_LIFETIME = 160_272_000
"""All in seconds. The session is the time in which an access token can be renewed."""


class Decision(StrEnum):
    """The decision of the person on the *Allow access?* page."""

    NONE = "none"
    ALLOWED = "allowed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class RequestToken:
    """A login that was begun. *callback* is ``None`` for plain OAuth 1.0, which has no verifier."""

    value: str = field(repr=False)
    secret: str = field(repr=False)
    consumer_key: str
    callback: str | None = field(repr=False)
    created: float
    decision: Decision = Decision.NONE
    user_id: int | None = None
    verifier: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A permission that was granted. *session_handle* renews it. *secret* is the request token's, for good."""

    value: str = field(repr=False)
    secret: str = field(repr=False)
    session_handle: str = field(repr=False)
    consumer_key: str
    user_id: int
    created: float


class Tokens:
    """Every token that still means something, and the latest thousands of nonces."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._request_tokens: BoundedDict[str, RequestToken] = BoundedDict()
        self._access_tokens: BoundedDict[str, AccessToken] = BoundedDict()
        self._nonces: BoundedDict[tuple[str, str, str, str], None] = BoundedDict()

    def begin(self, consumer_key: str, callback: str | None, now: float) -> RequestToken:
        """Make a new request token."""
        token = RequestToken(_random(32), _random(32), consumer_key, callback, now)
        with self._lock:
            self._request_tokens[token.value] = token
        return token

    def request_token(self, value: str) -> RequestToken | None:
        """Return the request token with this value, of any age, until it is exchanged."""
        return self._request_tokens.get(value)

    def decide(self, value: str, user_id: int, *, allow: bool) -> RequestToken | None:
        """Note the person's decision. Return ``None`` if the token is gone or was decided before."""
        with self._lock:
            token = self._request_tokens.get(value)
            if token is None or token.decision is not Decision.NONE:
                return None
            decision = Decision.ALLOWED if allow else Decision.DENIED
            verifier = _random(6) if token.callback is not None else ""
            decided = replace(token, decision=decision, user_id=user_id, verifier=verifier)
            self._request_tokens[value] = decided
            return decided

    def exchange(self, value: str, now: float) -> AccessToken | None:
        """Turn an allowed request token into an access token, once; nothing the second time."""
        with self._lock:
            token = self._request_tokens.pop(value, None)
            if token is None or token.user_id is None or token.decision is not Decision.ALLOWED:
                return None
            return self._grant(token.consumer_key, token.user_id, token.secret, now)

    def renew(self, value: str, now: float) -> AccessToken | None:
        """Replace an access token by a new one, once; nothing the second time."""
        with self._lock:
            token = self._access_tokens.pop(value, None)
            return None if token is None else self._grant(token.consumer_key, token.user_id, token.secret, now)

    def access_token(self, value: str) -> AccessToken | None:
        """Return the access token with this value, of any age, until it is renewed or revoked."""
        return self._access_tokens.get(value)

    def granted(self, *, user_id: int | None = None, consumer_key: str | None = None) -> list[AccessToken]:
        """Return the access tokens of one user, of one consumer, or both, the oldest first."""
        with self._lock:
            return [
                token
                for token in self._access_tokens.values()
                if user_id in {None, token.user_id} and consumer_key in {None, token.consumer_key}
            ]

    def revoke(self, *, user_id: int | None = None, consumer_key: str | None = None) -> int:
        """Forget the access tokens of one user, of one consumer, or both; says how many."""
        with self._lock:
            revoked = self.granted(user_id=user_id, consumer_key=consumer_key)
            for token in revoked:
                del self._access_tokens[token.value]
            return len(revoked)

    def forget_consumer(self, consumer_key: str) -> None:
        """Forget every token of a consumer that is no more."""
        with self._lock:
            self.revoke(consumer_key=consumer_key)
            for token in list(self._request_tokens.values()):
                if token.consumer_key == consumer_key:
                    del self._request_tokens[token.value]

    def use_nonce(self, consumer_key: str, token: str, timestamp: str, nonce: str) -> bool:
        """Return whether this is the first use. Every later one is refused."""
        key = (consumer_key, token, timestamp, nonce)
        with self._lock:
            if key in self._nonces:
                return False
            self._nonces[key] = None
            return True

    def _grant(self, consumer_key: str, user_id: int, secret: str, now: float) -> AccessToken:
        token = AccessToken(_random(32), secret, _random(32), consumer_key, user_id, now)
        self._access_tokens[token.value] = token
        return token


def _random(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))
