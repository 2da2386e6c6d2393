"""Bitbucket's REST API for one person: JSON, signed with the access token that this person granted."""

from __future__ import annotations

import json
import re
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from ..oauth import Person, read_document, refuse_oauth_problem
from ..problems import BitbucketServerError
from ..transport import DOCUMENT_LIMIT, Budget, bulkhead, bulkhead_of
from .tokens import StoredToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..integration import AnyIntegration
    from ..oauth import PersonalClient
    from ..transport import Answer, Limits, Method
    from .tokens import TokenStore

_ReadT = TypeVar("_ReadT")

LIMIT = 4 * 1024 * 1024
"""Bytes that an answer may have."""

TRIES = 3
"""How often a request is sent where the server limits requests."""

LONGEST_WAIT = 30
"""Seconds to wait at the server's wish before another try; where it wishes more, ``rate_limited`` is raised instead."""

_USUAL_WAIT = 5
_SECONDS_TO_STORE = 1
# Percent-encoding in capitals, as it is sent and signed.
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})+)+/?")


class RestClient:
    """Signed calls as one person. Every *path* is below the base URL, such as ``/rest/api/latest/projects``, and
    percent-encoded; keyword arguments become its query.

    The token is the one in *store*, where it is renewed when it has ended. Where the server limits requests, they wait
    as long as it asks, up to :data:`LONGEST_WAIT`, with *sleep*.

    Each call is a step of its own within *limits*; without any, within the default ones. With a *budget*, all calls are
    one step. A call that the server asks to wait raises ``rate_limited`` while the organization's slow steps are many.

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
        self._limits = limits or bulkhead.DEFAULTS
        self._shared_budget = budget

    def get(self, path: str, /, **query: str | int) -> Any:
        """The JSON at *path*; ``None`` where the answer is empty."""
        return self._call("GET", path, query)

    def post(self, path: str, document: Any = None, /, **query: str | int) -> Any:
        """Send the JSON *document* by POST, or nothing where it is ``None``; returns the answer's JSON."""
        return self._call("POST", path, query, document)

    def put(self, path: str, document: Any = None, /, **query: str | int) -> Any:
        """Send the JSON *document* by PUT, or nothing where it is ``None``; returns the answer's JSON."""
        return self._call("PUT", path, query, document)

    def delete(self, path: str, document: Any = None, /, **query: str | int) -> Any:
        """Ask by DELETE; returns the answer's JSON."""
        return self._call("DELETE", path, query, document)

    def pages(self, path: str, /, **query: str | int) -> Iterator[Any]:
        """The values of a paged resource, one by one; each page is asked for when it is needed.

        *limit* in the query is the size of a page. Raises ``malformed_answer`` where a page is not one.
        """
        while True:
            page = self.get(path, **query)
            if not isinstance(page, dict) or not isinstance(page.get("values"), list):
                raise BitbucketServerError("malformed_answer", "It is not a page of values.")
            yield from page["values"]
            if page.get("isLastPage") is not False:
                return
            start = page.get("nextPageStart")
            if type(start) is not int or start <= int(query.get("start", 0)):
                raise BitbucketServerError("malformed_answer", "It does not say where the next page begins.")
            query["start"] = start

    def as_person(self) -> Person:
        """Return what asks the server as the person whose token it is. Requests are those of a call, but an answer may
        have :data:`DOCUMENT_LIMIT` bytes alone."""
        return Person(self.integration, self._answer)

    @property
    def integration(self) -> AnyIntegration:
        """Whose server it is."""
        return self._client.integration

    @property
    def scope(self) -> str:
        """What the token was asked for by OAuth 2; empty with OAuth 1."""
        return self._token.scope

    def __repr__(self) -> str:
        return f"<RestClient {self._client.integration.server_url}>"

    def _call(self, method: Method, path: str, query: dict[str, str | int], document: Any = None) -> Any:
        if not _PATH.fullmatch(path):
            raise ValueError("A path begins with a slash, is percent-encoded in capitals, and has no query or dots.")
        plain = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        url = self._client.integration.server_url.join(path, **plain)
        body = None if document is None else json.dumps(document)
        return self._honoured(lambda budget: read_document(self._unlimited(budget, method, url, body)))

    def _answer(self, url: str, accept: str) -> Answer:
        """Return the whole answer to a GET of *url*, unless it reports a problem of OAuth's."""
        return self._honoured(
            lambda budget: refuse_oauth_problem(
                self._unlimited(budget, "GET", url, accept=accept, limit=DOCUMENT_LIMIT)
            )
        )

    def _budget(self) -> AbstractContextManager[Budget]:
        """The budget of one call."""
        if self._shared_budget is not None:
            return nullcontext(self._shared_budget)
        return Budget(bulkhead_of(self.integration.tenant), self._limits)

    def _honoured(self, call: Callable[[Budget], _ReadT]) -> _ReadT:
        """What *call* returns, with the token renewed where it has ended."""
        with self._budget() as budget:
            return self._honoured_within(budget, call)

    def _honoured_within(self, budget: Budget, call: Callable[[Budget], _ReadT]) -> _ReadT:
        if self._token.is_over:
            self._renew(budget)
        try:
            return call(budget)
        except BitbucketServerError as error:
            is_over = error.code == "token_expired"
            if not is_over and not (error.code == "token_rejected" and self._is_replaced(soon=self._token.is_over)):
                raise _named(error) from None
        if is_over:
            self._renew(budget)
        try:
            return call(budget)
        except BitbucketServerError as error:
            raise _named(error) from None

    def _unlimited(
        self,
        budget: Budget,
        method: Method,
        url: str,
        body: str | None = None,
        *,
        accept: str = "application/json",
        limit: int = LIMIT,
    ) -> Answer:
        """The answer, after the waiting that the server asked for."""
        client = self._client.within(budget)

        def request() -> Answer:
            return client.request(method, url, self._token.access_token(), body=body, accept=accept, limit=limit)

        for _ in range(TRIES - 1):
            answer = request()
            if answer.status != 429:
                return answer
            wait = _seconds_to_wait(answer)
            if wait > LONGEST_WAIT or not budget.pause(wait, self._sleep):
                return answer
        return request()

    def _renew(self, budget: Budget) -> None:
        if not self._token.is_renewable:
            raise BitbucketServerError("token_expired")
        try:
            renewed = self._client.within(budget).renew(self._token.access_token())
        except BitbucketServerError as error:
            if error.code == "token_rejected" and self._is_replaced(soon=True):
                return
            raise _named(error) from None
        self._token = StoredToken.granted(renewed, self._client.integration, self._token.scope)
        self._store.keep(self._token)

    def _is_replaced(self, *, soon: bool) -> bool:
        """Whether somebody else has renewed the token meanwhile, or, where that is *soon* to be expected, has it and is
        about to store it; then theirs is taken."""
        known, self._token = self._token, self._store.load()
        if self._token == known and soon:
            self._sleep(_SECONDS_TO_STORE)
            self._token = self._store.load()
        return self._token != known


def _named(error: BitbucketServerError) -> BitbucketServerError:
    """A token that was accepted once and is rejected now was revoked."""
    if error.code != "token_rejected":
        return error
    return BitbucketServerError("token_revoked", provider_code=error.provider_code, status_code=error.status_code)


def _seconds_to_wait(answer: Answer) -> int:
    text = answer.headers.get("Retry-After", "")
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else _USUAL_WAIT
