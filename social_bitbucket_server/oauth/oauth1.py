"""The conversation with one Bitbucket Server by OAuth 1.0a: its three calls, and signed requests as one person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlencode

from ..crypto import Secret
from ..integration import Integration
from ..problems import BitbucketServerError, Code
from ..transport import DOCUMENT_LIMIT, TOKEN_LIMIT, Answer, Budget, default_transport
from .answers import DENIED, read_form
from .person import AccessToken, Person
from .sending import FORM, Request, Sender
from .server_clock import ServerClock, is_refusal
from .signing import authorization

_TOKEN = re.compile(r"[!-~]{1,255}")


class Client:
    """Speaks with the server of one *integration*. Keeps nothing between calls.

    *budget* is that of the step that the requests belong to. Without one, each request may wait for the server's
    timeout. Where the server refuses a timestamp, the request is signed once more with the server's own time, which
    :class:`.ServerClock` then remembers.
    """

    def __init__(self, integration: Integration, budget: Budget | None = None) -> None:
        self.integration = integration
        self._sender = Sender(integration, budget)

    def within(self, budget: Budget) -> Self:
        """Return a client whose requests belong to one step, and use its *budget*."""
        return type(self)(self.integration, budget)

    def request_token(self, callback: str) -> str:
        """Begin a login whose answer comes back to the absolute address *callback*. Return the request token.

        Raises the problems of the conversation, and those of a token that is not confirmed for *callback*.
        """
        fields = read_form(self._send(_token_call(self.integration.server.url.request_token), callback=callback))
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

        RSA-SHA1 does not use the token's secret, so it is not kept.
        """
        if verifier == DENIED:
            raise BitbucketServerError(Code.LOGIN_DECLINED)
        url = self.integration.server.url.access_token
        return _access_token(self._send(_token_call(url), token=request_token, verifier=verifier))

    def renew(self, access_token: AccessToken) -> AccessToken:
        """Exchange an access token for a new one by its session handle. The old one becomes invalid.

        Raises ``token_expired`` if it is too late to renew the token.
        """
        form = Secret(urlencode({"oauth_session_handle": access_token.session_handle}))
        url = self.integration.server.url.access_token
        try:
            return _access_token(self._send(_token_call(url, form), token=Secret(access_token.value)))
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
            return self.request(Request("GET", url, DOCUMENT_LIMIT, accept), access_token)

        return Person(self.integration, ask)

    def request(self, request: Request, access_token: AccessToken) -> Answer:
        """Send *request* as the person whose access token it is.

        Raises ``connection_failed`` for a POST on a kept connection that breaks: it may have been carried out, and is
        not sent again.
        """
        return self._send(request, token=Secret(access_token.value))

    def _send(self, request: Request, **parameters: str) -> Answer:
        """Send *request*, signed with OAuth's *parameters* as :func:`.authorization` takes them, and once more with the
        server's own time if the server refuses the timestamp."""
        clock = ServerClock(default_transport().clocks, self.integration)

        def sign() -> Secret:
            return authorization(
                request.method,
                request.url,
                self.integration.consumer_key,
                self.integration.private_key,
                form=request.body if request.content_type == FORM else None,
                timestamp=clock.timestamp(),
                **parameters,
            )

        answer = self._sender.send(request, sign)
        if not (is_refusal(answer) and clock.learn(answer)):
            return answer
        answer = self._sender.send(request, sign)
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


def _token_call(url: str, form: str | None = None) -> Request:
    return Request("POST", url, TOKEN_LIMIT, accept="*/*", body=form, content_type="" if form is None else FORM)


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
