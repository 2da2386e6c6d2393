"""Requests by either OAuth: the value of one, and the way that it takes to the server. Clients authorize them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..integration import AnyIntegration
from ..transport import Answer, Budget, ConnectionWentStale, Method, default_transport

FORM = "application/x-www-form-urlencoded"
"""The content type of forms, which OAuth 1 signs."""

JSON = "application/json"
"""The content type of REST's calls, with a document or without: Bitbucket refuses others as forged."""

NO_CHECK = {"X-Atlassian-Token": "no-check"}
"""The header by which Bitbucket knows that a browser did not send a request on another site's behalf."""


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One request, before it is authorized: a call of REST by default.

    *limit*: bytes that the answer may have. *accept*: the media type of the answer. *body*: text of the *content_type*,
    or ``None``. A GET has neither.
    """

    method: Method
    url: str
    limit: int
    accept: str = JSON
    body: str | None = None
    content_type: str = JSON

    @property
    def headers(self) -> dict[str, str]:
        """The headers, without the authorization."""
        headers = {"Accept": self.accept}
        if self.method == "GET":
            return headers
        return headers | NO_CHECK | ({"Content-Type": self.content_type} if self.content_type else {})


class Sender:
    """Sends requests to the server of *integration*, within *budget*. Without one, each request may wait for the
    server's timeout."""

    def __init__(self, integration: AnyIntegration, budget: Budget | None) -> None:
        self._timeout = integration.server.timeout
        self._route = integration.server.route_for(integration.id)
        self._budget = budget

    def send(self, request: Request, authorize: Callable[[], str] | None = None, *, fresh: bool = False) -> Answer:
        """Send *request* on an open connection, and once more on a new one if the open one went stale. *fresh*: on a
        new connection at once. *authorize*: returns the header ``Authorization``, a new one for each time.

        Raises ``connection_failed`` if the open one went stale with a POST of REST; also the conversation's problems.
        """
        is_again = False
        while True:
            try:
                return default_transport().send(
                    request.method,
                    request.url,
                    request.headers | ({"Authorization": authorize()} if authorize else {}),
                    body=request.body,
                    route=self._route,
                    timeout=self._timeout,
                    limit=request.limit,
                    fresh=fresh or is_again,
                    budget=self._budget,
                )
            except ConnectionWentStale:
                # The server may have carried out a POST of REST.
                if is_again or (request.method == "POST" and request.content_type == JSON):
                    raise
                is_again = True
