"""Bitbucket's REST API for one person: JSON, signed with the access token that this person granted."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from ..integration import AnyIntegration
from ..oauth import Person, PersonalClient, Request, read_document, refuse_oauth_problem
from ..problems import BitbucketServerError, Code
from ..transport import DOCUMENT_LIMIT, Answer, Budget, Limits, Method, default_transport
from .tokens import StoredToken, TokenStore

_ReadT = TypeVar("_ReadT")

LIMIT = 4 * 1024 * 1024
"""Bytes that an answer may have."""

TRIES = 3
"""How often a request is sent while the server limits requests."""

LONGEST_WAIT = 30
"""Seconds to wait before another try. If the server asks for more, ``rate_limited`` is raised instead."""

_USUAL_WAIT = 5
# Percent-encoding in capitals, as it is sent and signed.
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})+)+/?")


class RestClient:
    """Signed calls as one person. Every *path* is below the base URL, such as ``/rest/api/latest/projects``, and
    percent-encoded. Keyword arguments become its query.

    The token is the one in *store*. It is renewed there when it has ended. While the server limits requests, a call
    waits as long as the server asks, up to :data:`LONGEST_WAIT`, with *sleep*.

    Each call is a step of its own within *limits*, or within the default limits if they are ``None``. With a *budget*,
    all calls are one step. While too many of the organization's steps are slow, a call raises ``rate_limited`` instead
    of waiting.

    Raises ``token_revoked``, ``token_expired``, ``account_not_admitted``, ``not_permitted``, ``rate_limited``,
    ``request_refused`` with the ``status_code``, and the problems of the conversation.
    """

    def __init__(
        self,
        client: PersonalClient,
        store: TokenStore,
        *,
        sleep: Callable[[float], None] = time.sleep,
        limits: Limits | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._client = client
        self._store = store
        self._token = store.load()
        self._sleep = sleep
        self._limits = limits
        self._shared_budget = budget

    def get(self, path: str, /, **query: str | int) -> Any:
        """Return the JSON at *path*, or ``None`` if the answer is empty."""
        return self._call("GET", path, query)

    def post(self, path: str, document: Any = None, /, **query: str | int) -> Any:
        """Send the JSON *document* by POST, or no body if it is ``None``. Return the answer's JSON."""
        return self._call("POST", path, query, document)

    def put(self, path: str, document: Any = None, /, **query: str | int) -> Any:
        """Send the JSON *document* by PUT, or no body if it is ``None``. Return the answer's JSON."""
        return self._call("PUT", path, query, document)

    def delete(self, path: str, document: Any = None, /, **query: str | int) -> Any:
        """Send the JSON *document* by DELETE, or no body if it is ``None``. Return the answer's JSON."""
        return self._call("DELETE", path, query, document)

    def pages(self, path: str, /, **query: str | int) -> Iterator[Any]:
        """Yield the values of a paged resource. Each page is asked for when it is needed.

        *limit* in the query is the size of a page. Raises ``malformed_answer`` if an answer is not a page.
        """
        while True:
            page = self.get(path, **query)
            if not isinstance(page, dict) or not isinstance(page.get("values"), list):
                raise BitbucketServerError(Code.MALFORMED_ANSWER, "It is not a page of values.")
            yield from page["values"]
            if page.get("isLastPage") is not False:
                return
            start = page.get("nextPageStart")
            if type(start) is not int or start <= int(query.get("start", 0)):
                raise BitbucketServerError(Code.MALFORMED_ANSWER, "It does not say where the next page begins.")
            query["start"] = start

    def as_person(self) -> Person:
        """Return what asks the server as this person by absolute addresses. Its answers may have 64 KiB."""

        def ask(url: str, accept: str) -> Answer:
            return self._ask(refuse_oauth_problem, Request("GET", url, DOCUMENT_LIMIT, accept))

        return Person(self.integration, ask)

    @property
    def integration(self) -> AnyIntegration:
        """The integration whose server is asked."""
        return self._client.integration

    @property
    def scope(self) -> str:
        """The scope that the token was asked for with OAuth 2; empty with OAuth 1."""
        return self._token.scope

    def __repr__(self) -> str:
        return f"<RestClient {self.integration.server.url}>"

    def _call(self, method: Method, path: str, query: dict[str, str | int], document: Any = None) -> Any:
        if not _PATH.fullmatch(path):
            raise ValueError("A path begins with a slash, is percent-encoded in capitals, and has no query or dots.")
        plain = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        body = None if document is None else json.dumps(document)
        url = self.integration.server.url.join(path, **plain)
        return self._ask(read_document, Request(method, url, LIMIT, body=body))

    def _ask(self, read: Callable[[Answer], _ReadT], request: Request) -> _ReadT:
        """Send *request*, and return what *read* makes of the answer. *read* raises the problem of the token if the
        answer reports one, so that the request is sent again with a renewed token."""
        step: AbstractContextManager[Budget]
        if self._shared_budget is None:
            step = default_transport().begin_step(self.integration.tenant, self._limits)
        else:
            step = nullcontext(self._shared_budget)
        with step as budget:
            client = self._client.within(budget)
            try:
                return self._with_token(client, lambda: read(self._unlimited(client, request, budget)))
            except BitbucketServerError as error:
                if error.code != Code.TOKEN_REJECTED:
                    raise
                # The server accepted the token once, so it was revoked since.
                problem = BitbucketServerError(
                    Code.TOKEN_REVOKED, provider_code=error.provider_code, status_code=error.status_code
                )
            raise problem

    def _unlimited(self, client: PersonalClient, request: Request, budget: Budget) -> Answer:
        """Return the answer to *request*, which is sent again after the pauses that the server asks for."""
        for _ in range(TRIES - 1):
            answer = client.request(request, self._token.access_token())
            if answer.status != 429:
                return answer
            text = answer.headers.get("Retry-After", "")
            wait = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else _USUAL_WAIT
            if wait > LONGEST_WAIT or not budget.pause(wait, self._sleep):
                return answer
        return client.request(request, self._token.access_token())

    def _with_token(self, client: PersonalClient, call: Callable[[], _ReadT]) -> _ReadT:
        """Return what *call* returns, which asks with the token. If the server says that the token has ended or is not
        known, *call* is called once more with a newer token. *client* renews it.

        Raises ``token_expired`` for a token that cannot be renewed, and ``token_rejected``.
        """
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
            self._sleep(1)
            self._token = self._store.load()
        return self._token != known
