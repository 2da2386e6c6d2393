"""The conversation with one Bitbucket Server: the three calls of OAuth 1.0a, and signed requests for one person."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .answers import read_form
from .problems import BitbucketServerError
from .signing import authorization
from .transport import DOCUMENT_LIMIT, TOKEN_LIMIT, Answer, ConnectionWentStale, Route, send

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .integration import Integration

_TOKEN = re.compile(r"[!-~]{1,255}")

DENIED = "denied"
"""What Bitbucket sends as verifier when the person pressed Deny."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The right to act for one person, until it is revoked or *expires_in* seconds have passed.

    With the *session_handle* it can be renewed for *authorization_expires_in* seconds.
    """

    value: str = field(repr=False)
    session_handle: str = field(repr=False)
    expires_in: int | None
    authorization_expires_in: int | None


class Client:
    """Speaks with the server of one *integration*. Keeps nothing between calls."""

    def __init__(self, integration: Integration) -> None:
        self.integration = integration
        self._route = Route(
            verify=integration.verify,
            ca_certificates=integration.ca_certificates,
            policy=integration.address_policy,
            proxy=integration.proxies.get(integration.server_url.scheme),
        )

    def request_token(self, callback: str) -> str:
        """Begin a login whose answer comes back to the absolute address *callback*; returns the request token.

        Raises whatever problem keeps the server from answering with a token that is confirmed for *callback*.
        """
        fields = read_form(self._send("POST", self.integration.server_url.request_token, callback=callback))
        confirmed = fields.get("oauth_callback_confirmed")
        if confirmed != "true":
            code = "callback_not_confirmed" if confirmed is None else "callback_confirmation_invalid"
            raise BitbucketServerError(code, claim="oauth_callback_confirmed")
        return _token(fields, "oauth_token")

    def authorize_url(self, request_token: str) -> str:
        """Where to send the person's browser, so that they allow or deny the login."""
        return self.integration.server_url.authorize(request_token)

    def access_token(self, request_token: str, verifier: str) -> AccessToken:
        """Exchange an allowed *request_token* for an access token. Works once.

        The token's secret plays no part with RSA-SHA1 and is not kept.
        """
        if verifier == DENIED:
            raise BitbucketServerError("login_declined")
        url = self.integration.server_url.access_token
        fields = read_form(self._send("POST", url, token=request_token, verifier=verifier))
        return AccessToken(
            _token(fields, "oauth_token"),
            fields.get("oauth_session_handle", ""),
            _seconds(fields, "oauth_expires_in"),
            _seconds(fields, "oauth_authorization_expires_in"),
        )

    def get(self, url: str, access_token: AccessToken, *, accept: str = "application/json") -> Answer:
        """Ask for *url*, an address below the base URL, as the person whose access token it is."""
        return self._send("GET", url, token=access_token.value, accept=accept, limit=DOCUMENT_LIMIT)

    def _send(
        self,
        method: Literal["GET", "POST"],
        url: str,
        *,
        token: str | None = None,
        callback: str | None = None,
        verifier: str | None = None,
        accept: str = "*/*",
        limit: int = TOKEN_LIMIT,
    ) -> Answer:
        integration = self.integration

        def attempt() -> Answer:
            signature = authorization(
                method,
                url,
                integration.consumer_key,
                integration.private_key,
                token=token,
                callback=callback,
                verifier=verifier,
            )
            headers = {"Accept": accept, "Authorization": signature}
            return send(method, url, headers, route=self._route, timeout=integration.timeout, limit=limit)

        try:
            return attempt()
        except ConnectionWentStale:
            return attempt()


def _token(fields: Mapping[str, str], name: str) -> str:
    value = fields[name]
    if not _TOKEN.fullmatch(value):
        raise BitbucketServerError("token_invalid", claim=name)
    return value


def _seconds(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None
