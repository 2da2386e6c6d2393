"""Logins under way: remembered in the browser's session, and once for everybody in core's nonce storage.

The session says that the answer came back to the browser that began. The nonce makes each login work once, in every
worker, also where an old session is played back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from social_core.exceptions import AuthConfigurationError
from social_core.strategy import BaseStrategy

from ..crypto import Secret
from ..problems import BitbucketServerError, Code
from .core_6 import nonces_of
from .purpose import TO_LOG_IN, Intent, Purpose

LIFETIME = 600
"""Seconds that a login may take; Bitbucket forgets its request token after the same time."""

MOST = 5
"""Logins that one browser may have under way; the oldest falls out."""

LONGEST_NEXT = 512
"""Characters of the path to go to after a login; a longer one counts for nothing. A session may be a cookie, which has
little room."""

LONGEST_PERSON = 64
"""Characters, percent-encoded, of what a pending login knows its user by."""

NONCE_SCOPE = "social_bitbucket_server.pending"
"""The scope that tells the nonces of pending logins from others in the same storage."""

_TEXT = re.compile(
    r"(?P<began>[0-9]{1,12}) (?P<integration>[A-Za-z0-9_-]{1,64}) (?P<binding>[0-9a-f]{1,64}) (?P<digest>[0-9a-f]{64})"
    rf"(?: (?P<purpose>{Purpose.CONNECT}|{Purpose.TRY}) (?P<person>[A-Za-z0-9._~%-]{{1,{LONGEST_PERSON}}}))?"
    r"(?: seed:(?P<seed>[A-Za-z0-9_-]{43}))?"
)


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """One login under way: the SHA-256 of its request token, the *integration_id* it began with, a *binding* to that
    integration's configuration and callback address, and when it *began* (seconds since 1970).

    The token itself is not kept: the callback brings it, and sessions rest in databases and their logs. *intent* says
    why it began. *verifier_seed* is half of what OAuth 2's code verifier is made of, see :func:`code_verifier`.
    """

    token_sha256: str
    integration_id: str
    binding: str
    began: int
    intent: Intent = TO_LOG_IN
    verifier_seed: str = field(default="", repr=False)

    def to_text(self) -> str:
        """Return a short text for the session, which holds strings and may be a cookie."""
        text = f"{self.began} {self.integration_id} {self.binding} {self.token_sha256}"
        if self.intent.purpose is not Purpose.LOG_IN:
            text += f" {self.intent.purpose} {quote(self.intent.person, safe='')}"
        return f"{text} seed:{self.verifier_seed}" if self.verifier_seed else text

    @classmethod
    def from_text(cls, text: object) -> PendingLogin | None:
        """Return the login that :meth:`to_text` made *text* of, or ``None`` if it did not make it."""
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            return None
        login = cls(
            token_sha256=match["digest"],
            integration_id=match["integration"],
            binding=match["binding"],
            began=int(match["began"]),
            intent=Intent(Purpose(match["purpose"] or Purpose.LOG_IN), unquote(match["person"] or "")),
            verifier_seed=Secret(match["seed"] or ""),
        )
        return login if login.to_text() == text else None

    @property
    def is_over(self) -> bool:
        """Whether it took too long."""
        return not 0 <= time.time() - self.began <= LIFETIME

    @property
    def nonce(self) -> tuple[str, int, str]:
        """Scope, timestamp and value. The storage's uniqueness covers all three, so the timestamp is that of the
        ten minutes it falls into: within them the same token is recorded once."""
        return NONCE_SCOPE, self.began - self.began % LIFETIME, self.token_sha256


def code_verifier(state: str, seed: str) -> Secret:
    """Return the code verifier (RFC 7636) of the login with this *state*, made with the *seed* in its session.

    The session holds of the state only a digest, and may be a cookie that is not encrypted. The addresses that hold the
    state get into logs. Neither of the two is enough to make the verifier.
    """
    digest = hmac.new(state.encode(), seed.encode(), hashlib.sha256).digest()
    return Secret(base64.urlsafe_b64encode(digest).decode().rstrip("="))


def session_key(backend: str) -> str:
    """Return the name under which a session keeps the logins under way through the backend called *backend*."""
    return f"{backend}_pending"


def under_way(session: Mapping[str, Any], backends: Iterable[str]) -> dict[str, Any]:
    """Return what *session* keeps about logins under way through *backends*, for the session that replaces it."""
    return {name: session[name] for name in map(session_key, backends) if name in session}


class PendingLogins:
    """The logins under way in one browser through the backend called *backend*. With OAuth 2 their *state* is what a
    request token is with OAuth 1."""

    def __init__(self, strategy: BaseStrategy[object], backend: str = "bitbucket-server") -> None:
        self._strategy = strategy
        self._nonces = nonces_of(strategy.storage)
        self._session_key = session_key(backend)

    def begin(
        self,
        request_token: str,
        integration_id: str,
        binding: str,
        intent: Intent = TO_LOG_IN,
        verifier_seed: str = "",
    ) -> None:
        """Remember a login. Raises ``token_of_another_login`` where the token is pending already, in whatever browser:
        then one server handed out a token of another."""
        digest, began = _digest(request_token), int(time.time())
        pending = PendingLogin(digest, integration_id, binding, began, intent, verifier_seed)
        scope, timestamp, value = pending.nonce
        use_once = getattr(self._nonces, "use_once", None)  # one statement, where core's interface takes two
        try:
            if use_once is not None:
                known = not use_once(scope, timestamp, value)
            else:
                known = self._nonces.get(scope, value) is not None or not self._nonces.use(scope, timestamp, value)
        except NotImplementedError as error:
            raise _incomplete_storage("begin") from error
        if known:
            raise BitbucketServerError(Code.TOKEN_OF_ANOTHER_LOGIN, claim="oauth_token")
        logins = [*self._all(), pending]
        for forgotten in logins[:-MOST]:
            self._nonces.consume(*forgotten.nonce)
        self._strategy.session_set(self._session_key, [login.to_text() for login in logins[-MOST:]])

    def find(self, request_token: str) -> PendingLogin | None:
        """Return the login under way with this token, or ``None``. It stays under way."""
        return _with_token(self._all(), request_token)

    def finish(self, request_token: str) -> PendingLogin:
        """Take a login out, whatever becomes of it. It works once.

        Raises ``login_not_pending`` and ``login_expired``.
        """
        logins = self._all()
        login = _with_token(logins, request_token)
        if login is None:
            raise BitbucketServerError(Code.LOGIN_NOT_PENDING)
        self._strategy.session_set(self._session_key, [other.to_text() for other in logins if other != login])
        try:
            consumed = self._nonces.consume(*login.nonce)
        except NotImplementedError as error:
            raise _incomplete_storage("callback") from error
        if not consumed:
            raise BitbucketServerError(Code.LOGIN_NOT_PENDING)
        if login.is_over:
            raise BitbucketServerError(Code.LOGIN_EXPIRED)
        return login

    def _all(self) -> list[PendingLogin]:
        texts = self._strategy.session_get(self._session_key, [])
        logins = map(PendingLogin.from_text, texts) if isinstance(texts, list) else ()
        return [login for login in logins if login is not None]


def _with_token(logins: Iterable[PendingLogin], request_token: str) -> PendingLogin | None:
    digest = _digest(request_token)
    return next((login for login in logins if hmac.compare_digest(login.token_sha256, digest)), None)


def _digest(request_token: str) -> str:
    return hashlib.sha256(request_token.encode()).hexdigest()


def _incomplete_storage(stage: str) -> AuthConfigurationError:
    return AuthConfigurationError(
        None,
        "The storage is not complete for social-auth-core 7: its nonces cannot be used once.",
        code="invalid_setting",
        parameter="storage",
        stage="callback" if stage == "callback" else "begin",
    )
