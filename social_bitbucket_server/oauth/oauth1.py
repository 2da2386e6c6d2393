"""The conversation with one Bitbucket Server by OAuth 1.0a: its three calls, and signed requests as one person."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

from ..crypto import Secret
from ..problems import BitbucketServerError, Code
from ..transport import DOCUMENT_LIMIT, TOKEN_LIMIT, Answer, ConnectionWentStale, Method, default_transport
from .answers import DENIED, read_form
from .person import AccessToken, Person
from .server_clock import ServerClock, is_refusal
from .signing import authorization

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..integration import AnyIntegration, Integration
    from ..transport import Budget

FORM = "application/x-www-form-urlencoded"
"""The content type of bodies that are part of the signature."""

JSON = "application/json"
"""The content type of REST's calls, with a document or without: Bitbucket refuses others as forged."""

NO_CHECK = {"X-Atlassian-Token": "no-check"}
"""The header by which Bitbucket knows that a browser did not send a request on another site's behalf."""

_TOKEN = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True, repr=False)
class _Request:
    """One request before it is signed. Its parameters are those of :func:`.authorization`.

    *limit*: bytes of the answer. *is_repeatable*: whether it may be sent again if a kept connection breaks.
    """

    method: Method
    url: str
    token: str | None = None
    callback: str | None = None
    verifier: str | None = None
    accept: str = "*/*"
    body: str | None = None
    content_type: str = ""
    limit: int = TOKEN_LIMIT
    is_repeatable: bool = True

    def headers(self, integration: Integration, timestamp: int) -> dict[str, str]:
        """Return the headers with a new signature. *timestamp*: seconds since 1970 by the server's clock."""
        signature = authorization(
            self.method,
            self.url,
            integration.consumer_key,
            integration.private_key,
            token=self.token,
            callback=self.callback,
            verifier=self.verifier,
            form=self.body if self.content_type == FORM else None,
            timestamp=timestamp,
        )
        headers = {"Accept": self.accept, "Authorization": signature} | ({} if self.method == "GET" else NO_CHECK)
        return headers | ({"Content-Type": self.content_type} if self.content_type else {})


class Client:
    """Speaks with the server of one *integration*. Keeps nothing between calls.

    *budget* is that of the step that the requests belong to. Without one, each request may wait for the server's
    timeout. Where the server refuses a timestamp, the request is signed once more with the server's own time, which
    :class:`.ServerClock` then remembers.
    """

    def __init__(self, integration: Integration, budget: Budget | None = None) -> None:
        self.integration = integration
        self._budget = budget
        self._route = integration.server.route_for(integration.id)

    def within(self, budget: Budget) -> Self:
        """Return a client whose requests belong to one step, and use its *budget*."""
        return type(self)(self.integration, budget)

    def request_token(self, callback: str) -> str:
        """Begin a login whose answer comes back to the absolute address *callback*; returns the request token.

        Raises whatever problem keeps the server from answering with a token that is confirmed for *callback*.
        """
        fields = read_form(self._send(_Request("POST", self.integration.server.url.request_token, callback=callback)))
        confirmed = fields.get("oauth_callback_confirmed")
        if confirmed != "true":
            code = Code.CALLBACK_NOT_CONFIRMED if confirmed is None else Code.CALLBACK_CONFIRMATION_INVALID
            raise BitbucketServerError(code, claim="oauth_callback_confirmed")
        return _token(fields, "oauth_token")

    def authorize_url(self, request_token: str) -> str:
        """Return the address to send the person's browser to, where they allow or deny the login."""
        return self.integration.server.url.authorize(request_token)

    def access_token(self, request_token: str, verifier: str) -> AccessToken:
        """Exchange an allowed *request_token* for an access token. Works once.

        The token's secret plays no part with RSA-SHA1 and is not kept.
        """
        if verifier == DENIED:
            raise BitbucketServerError(Code.LOGIN_DECLINED)
        url = self.integration.server.url.access_token
        return _access_token(self._send(_Request("POST", url, token=request_token, verifier=verifier)))

    def renew(self, access_token: AccessToken) -> AccessToken:
        """Exchange an access token for a new one by its session handle; the old one is worth nothing afterwards.

        Raises ``token_expired`` where the time is over in which the token could be renewed.
        """
        form = Secret(urlencode({"oauth_session_handle": access_token.session_handle}))
        url = self.integration.server.url.access_token
        try:
            request = _Request("POST", url, token=access_token.value, body=form, content_type=FORM)
            return _access_token(self._send(request))
        except BitbucketServerError as error:
            # Here it is not about the consumer: Bitbucket says so of a session that has expired.
            if error.code != Code.PERMISSION_DENIED:
                raise
            problem = BitbucketServerError(
                Code.TOKEN_EXPIRED, provider_code=error.provider_code, status_code=error.status_code
            )
        raise problem

    def as_person(self, access_token: AccessToken) -> Person:
        """Return what asks the server as the person who granted *access_token*."""

        def ask(url: str, accept: str) -> Answer:
            return self.request("GET", url, access_token, accept=accept, limit=DOCUMENT_LIMIT)

        return Person(self.integration, ask)

    def request(
        self,
        method: Method,
        url: str,
        access_token: AccessToken,
        *,
        body: str | None = None,
        accept: str = "application/json",
        limit: int,
    ) -> Answer:
        """Send a request, with a *body* of JSON where there is one, as the person whose access token it is.

        Raises ``connection_failed`` for a POST on a kept connection that breaks: it may have been carried out, and is
        not sent again.
        """
        return self._send(
            _Request(
                method,
                url,
                token=access_token.value,
                accept=accept,
                body=body,
                content_type="" if method == "GET" else JSON,
                limit=limit,
                is_repeatable=method != "POST",
            )
        )

    def _send(self, request: _Request) -> Answer:
        """Send *request*, and once more with the server's own time if the server refuses the timestamp."""
        clock = ServerClock(default_transport().clocks, self.integration)
        answer = self._sign_and_send(request, clock)
        if not (is_refusal(answer) and clock.learn(answer)):
            return answer
        answer = self._sign_and_send(request, clock)
        if is_refusal(answer):
            facts = {"clock_difference": f"{clock.difference:+d} s"}
            clock.forget()
            raise BitbucketServerError(
                Code.TIMESTAMP_REFUSED,
                parameter="clock",
                provider_code="timestamp_refused",
                status_code=answer.status,
                facts=facts,
            )
        return answer

    def _sign_and_send(self, request: _Request, clock: ServerClock) -> Answer:
        """Send *request* on an open connection, and on a new one if the open one went stale."""
        try:
            return self._attempt(request, clock)
        except ConnectionWentStale:
            if not request.is_repeatable:
                raise
        return self._attempt(request, clock, fresh=True)

    def _attempt(self, request: _Request, clock: ServerClock, *, fresh: bool = False) -> Answer:
        return default_transport().send(
            request.method,
            request.url,
            request.headers(self.integration, clock.timestamp()),
            body=request.body,
            route=self._route,
            timeout=self.integration.server.timeout,
            limit=request.limit,
            fresh=fresh,
            budget=self._budget,
        )


def admit(integration: AnyIntegration, budget: Budget) -> None:
    """Let the step that *budget* belongs to ask the server of *integration*, see :meth:`.Transport.admit`."""
    server = integration.server
    default_transport().admit(server.url.origin, server.route_for(integration.id), budget)


def _access_token(answer: Answer) -> AccessToken:
    fields = read_form(answer)
    return AccessToken(
        _token(fields, "oauth_token"),
        fields.get("oauth_session_handle", Secret()),
        _seconds(fields, "oauth_expires_in"),
        _seconds(fields, "oauth_authorization_expires_in"),
    )


def _token(fields: Mapping[str, Secret], name: str) -> Secret:
    value = fields[name]
    if not _TOKEN.fullmatch(value):
        raise BitbucketServerError(Code.TOKEN_INVALID, claim=name)
    return value


def _seconds(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None
