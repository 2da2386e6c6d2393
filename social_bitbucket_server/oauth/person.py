"""One person at one server: the access token that they granted, and questions that are asked with it.

The clients sign requests, and ``account`` reads what an answer says of a person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..integration import AnyIntegration, ServerURL
from ..transport import Answer
from .answers import read_json, read_text


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The right to act for one person, until it is revoked or *expires_in* seconds have passed.

    With the *session_handle*, which is OAuth 2's refresh token, it can be renewed for *authorization_expires_in*
    seconds.
    """

    value: str = field(repr=False)
    session_handle: str = field(repr=False)
    expires_in: int | None
    authorization_expires_in: int | None


class Person:
    """Asks one server for things as one person. Each *url* is an absolute address below the base URL.

    Get one from :meth:`.Client.as_person` or :meth:`.RestClient.as_person`. *ask* sends a GET to an address with the
    media type to accept, and returns the answer of whatever status.

    Every method raises ``ValueError`` for an address elsewhere, because the token is for this server alone. It raises
    :class:`.BitbucketServerError` with the problems of the token and of the conversation.
    """

    def __init__(self, integration: AnyIntegration, ask: Callable[[str, str], Answer]) -> None:
        self.integration = integration
        self._ask = ask
        self._ids: set[str] = set()

    @property
    def server_url(self) -> ServerURL:
        """The base URL of the server."""
        return self.integration.server.url

    @property
    def ids(self) -> frozenset[str]:
        """The numbers by which all answers so far named the person, from the header ``X-AUSERID``. Answers of any
        status count."""
        return frozenset(self._ids)

    def json(self, url: str) -> dict[str, Any]:
        """Return the JSON object at *url*. Raises also the problem that the answer reports."""
        return read_json(self._answer(url))

    def json_if_found(self, url: str) -> dict[str, Any] | None:
        """Return the JSON object at *url*, or ``None`` if the server answers with status 404."""
        answer = self._answer(url)
        return None if answer.status == 404 else read_json(answer)

    def text(self, url: str) -> str:
        """Return the text at *url* without white space around it. It is empty if the server answers with a web page,
        or with another status than 200."""
        answer = self._answer(url, "text/plain")
        return read_text(answer) if answer.status == 200 and not answer.is_html else ""

    def names_at(self, url: str) -> list[str]:
        """Ask for the JSON object at *url*. Return the name of the person in each header ``X-AUSERNAME`` of the
        answer, encoded as it came."""
        answer = self._answer(url)
        read_json(answer)
        return answer.headers.getlist("X-AUSERNAME")

    def _answer(self, url: str, accept: str = "application/json") -> Answer:
        if not url.startswith(f"{self.server_url}/"):
            raise ValueError("The token is for addresses below the base URL alone.")
        answer = self._ask(url, accept)
        self._ids.update(answer.headers.getlist("X-AUSERID"))
        return answer
