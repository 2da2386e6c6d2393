"""One person's access token while it is in use: renewed when it has ended, or taken over from another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..oauth import AccessToken, PersonalClient
from ..problems import BitbucketServerError, Code
from .tokens import StoredToken, TokenStore

_ResultT = TypeVar("_ResultT")

_SECONDS_TO_STORE = 1
"""How long another process may take to store a token that it has renewed."""


class CurrentToken:
    """The access token in *store*. *sleep* waits for some seconds."""

    def __init__(self, store: TokenStore, sleep: Callable[[float], None]) -> None:
        self._store = store
        self._sleep = sleep
        self._token = store.load()

    @property
    def scope(self) -> str:
        """The scope that the token was asked for with OAuth 2; empty with OAuth 1."""
        return self._token.scope

    def access_token(self) -> AccessToken:
        """Return the token as clients take it."""
        return self._token.access_token()

    def use(self, client: PersonalClient, call: Callable[[], _ResultT]) -> _ResultT:
        """Return what *call* returns, which asks with the token. If the server says that the token has ended or is not
        known, *call* is called once more with a newer token. *client* renews it.

        Raises ``token_expired`` for a token that cannot be renewed, and ``token_revoked``.
        """
        try:
            return self._use(client, call)
        except BitbucketServerError as error:
            if error.code != Code.TOKEN_REJECTED:
                raise
            # The server accepted the token once, so it was revoked since.
            problem = BitbucketServerError(
                Code.TOKEN_REVOKED, provider_code=error.provider_code, status_code=error.status_code
            )
        raise problem

    def _use(self, client: PersonalClient, call: Callable[[], _ResultT]) -> _ResultT:
        if self._token.is_over:
            self._renew(client)
        try:
            return call()
        except BitbucketServerError as error:
            has_ended = error.code == Code.TOKEN_EXPIRED
            is_rejected = error.code == Code.TOKEN_REJECTED
            if not has_ended and not (is_rejected and self._is_replaced(soon=self._token.is_over)):
                raise
        if has_ended:
            self._renew(client)
        return call()

    def _renew(self, client: PersonalClient) -> None:
        if not self._token.is_renewable:
            raise BitbucketServerError(Code.TOKEN_EXPIRED)
        try:
            renewed = client.renew(self._token.access_token())
        except BitbucketServerError as error:
            if error.code == Code.TOKEN_REJECTED and self._is_replaced(soon=True):
                return
            raise
        self._token = StoredToken.granted(renewed, client.integration, self._token.scope)
        self._store.keep(self._token)

    def _is_replaced(self, *, soon: bool) -> bool:
        """Return whether another process has renewed the token meanwhile, and take its token over. If that is to be
        expected *soon*, the other process may still be about to store it."""
        known, self._token = self._token, self._store.load()
        if self._token == known and soon:
            self._sleep(_SECONDS_TO_STORE)
            self._token = self._store.load()
        return self._token != known
