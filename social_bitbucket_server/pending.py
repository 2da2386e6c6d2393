"""Logins under way: remembered in the browser's session, and once for everybody in core's nonce storage.

The session says that the answer came back to the browser that began. The nonce makes each login work once, in every
worker, also where an old session is played back.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from social_core.exceptions import AuthConfigurationError

from .problems import BitbucketServerError

if TYPE_CHECKING:
    from social_core.strategy import BaseStrategy

LIFETIME = 600
"""Seconds that a login may take; Bitbucket forgets its request token after the same time."""

MOST = 5
"""Logins that one browser may have under way; the oldest falls out."""

_SESSION_KEY = "bitbucket-server_pending"
_NONCE_SCOPE = "social_bitbucket_server.pending"


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """One login under way: its *request_token*, the *integration_id* it began with, a *binding* to that integration's
    configuration and callback address, and when it *began* (seconds since 1970)."""

    request_token: str
    integration_id: str
    binding: str
    began: int

    def to_text(self) -> str:
        """For the session; sessions hold strings, and cookies are small."""
        return f"{self.began} {self.integration_id} {self.binding} {quote(self.request_token, safe='')}"

    @classmethod
    def from_text(cls, text: str) -> PendingLogin:
        """The reverse of :meth:`to_text`."""
        began, integration_id, binding, request_token = text.split(" ")
        return cls(unquote(request_token), integration_id, binding, int(began))

    @property
    def is_over(self) -> bool:
        """Whether it took too long."""
        return not 0 <= time.time() - self.began <= LIFETIME

    @property
    def nonce(self) -> tuple[str, int, str]:
        """Scope, timestamp and value. The storage's uniqueness covers all three, so the timestamp is that of the
        ten minutes it falls into: within them the same token is recorded once."""
        value = hashlib.sha256(self.request_token.encode()).hexdigest()
        return _NONCE_SCOPE, self.began - self.began % LIFETIME, value


class PendingLogins:
    """The logins under way in one browser."""

    def __init__(self, strategy: BaseStrategy[object]) -> None:
        self._strategy = strategy
        self._nonces = strategy.storage.nonce

    def begin(self, request_token: str, integration_id: str, binding: str) -> None:
        """Remember a login. Raises ``token_invalid`` where the token is pending already, in whatever browser:
        then one server handed out a token of another."""
        pending = PendingLogin(request_token, integration_id, binding, int(time.time()))
        scope, timestamp, value = pending.nonce
        try:
            known = self._nonces.get(scope, value) is not None or not self._nonces.use(scope, timestamp, value)
        except NotImplementedError as error:
            raise _incomplete_storage("begin") from error
        if known:
            raise BitbucketServerError("token_invalid", "It is pending in another login.", claim="oauth_token")
        newest = [*self._all(), pending][-MOST:]
        self._strategy.session_set(_SESSION_KEY, [login.to_text() for login in newest])

    def finish(self, request_token: str) -> PendingLogin:
        """Take a login out, whatever becomes of it. It works once.

        Raises ``login_not_pending`` and ``login_expired``.
        """
        logins = self._all()
        for login in logins:
            if hmac.compare_digest(login.request_token.encode(), request_token.encode()):
                break
        else:
            raise BitbucketServerError("login_not_pending")
        self._strategy.session_set(_SESSION_KEY, [other.to_text() for other in logins if other is not login])
        try:
            consumed = self._nonces.consume(*login.nonce)
        except NotImplementedError as error:
            raise _incomplete_storage("callback") from error
        if not consumed:
            raise BitbucketServerError("login_not_pending")
        if login.is_over:
            raise BitbucketServerError("login_expired")
        return login

    def _all(self) -> list[PendingLogin]:
        return [PendingLogin.from_text(text) for text in self._strategy.session_get(_SESSION_KEY, [])]


def _incomplete_storage(stage: str) -> AuthConfigurationError:
    return AuthConfigurationError(
        None,
        "The storage is not complete for social-auth-core 7: its nonces cannot be used once.",
        code="invalid_setting",
        parameter="storage",
        stage="callback" if stage == "callback" else "begin",
    )
