"""The conversation with one Bitbucket Server by OAuth 2: codes for tokens, and requests with a bearer token."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import replace
from typing import Self, TypeAlias
from urllib.parse import urlencode

from ..crypto import Secret
from ..integration import OAuth2Integration
from ..problems import BitbucketServerError, Code
from ..transport import DOCUMENT_LIMIT, TOKEN_LIMIT, Answer, Budget
from .answers import read_grant, read_revocation
from .oauth1 import Client
from .person import AccessToken, Person
from .sending import FORM, Request, Sender


class OAuth2Client:
    """Speaks with the server of one *integration*. Keeps nothing between calls.

    *budget* is as in :class:`.Client`.
    """

    def __init__(self, integration: OAuth2Integration, budget: Budget | None = None) -> None:
        self.integration = integration
        self._sender = Sender(integration, budget)

    def within(self, budget: Budget) -> Self:
        """Return a client whose requests belong to one step, and use its *budget*."""
        return type(self)(self.integration, budget)

    def authorize_url(self, callback: str, *, state: str, code_verifier: str, scope: str) -> str:
        """Return the address to send the person's browser to, where they allow or deny the login.

        *callback* is the Redirect URL of the link, letter by letter. *state* comes back with the browser. Of the
        *code_verifier* the server learns the SHA-256 alone (RFC 7636, S256). *scope* lists the token's scopes,
        separated by spaces. The server refuses a scope wider than the link's permissions.
        """
        digest = hashlib.sha256(code_verifier.encode()).digest()
        return self.integration.server.url.oauth2_authorize(
            response_type="code",
            client_id=self.integration.client_id,
            redirect_uri=callback,
            scope=scope,
            state=state,
            code_challenge=base64.urlsafe_b64encode(digest).decode().rstrip("="),
            code_challenge_method="S256",
        )

    def access_token(self, code: str, callback: str, code_verifier: str) -> AccessToken:
        """Exchange the *code* that came back to *callback* for an access token. Works once.

        Raises ``client_refused`` for wrong client credentials and ``code_refused`` for a code that is not known, was
        used, is too old or was issued for another verifier or callback; and the problems of the conversation.
        """
        return self._granted(
            {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": code_verifier}
        )

    def renew(self, access_token: AccessToken) -> AccessToken:
        """Exchange the refresh token for a new access token. The old access token becomes invalid. So does the
        refresh token, unless the server sends no new one (RFC 6749, section 6).

        Raises ``token_rejected`` if the server does not accept the refresh token.
        """
        refresh_token = access_token.session_handle
        try:
            granted = self._granted({"grant_type": "refresh_token", "refresh_token": refresh_token}, fresh=True)
            return granted if granted.session_handle else replace(granted, session_handle=refresh_token)
        except BitbucketServerError as error:
            if error.code != Code.CODE_REFUSED:
                raise
            problem = BitbucketServerError(
                Code.TOKEN_REJECTED, provider_code=error.provider_code, status_code=error.status_code
            )
        raise problem

    def check_credentials(self) -> None:
        """Ask the server to revoke a token that it never issued. It checks the client ID and the client secret first,
        and ignores a token that it does not know (RFC 7009, section 2.2). A token call checks the secret last.

        Raises ``client_refused`` for wrong client credentials; and the problems of the conversation.
        """
        self._revoke(secrets.token_urlsafe(32), "refresh_token")

    def revoke(self, access_token: AccessToken) -> None:
        """Ask the server to revoke *access_token* with its refresh token. The server ignores a token that it does not
        know.

        Raises ``client_refused`` for wrong client credentials; and the problems of the conversation.
        """
        # The end of a refresh token also ends its access tokens; the other way around is optional (RFC 7009, 2.1).
        if access_token.session_handle:
            self._revoke(access_token.session_handle, "refresh_token")
        else:
            self._revoke(access_token.value, "access_token")

    def as_person(self, access_token: AccessToken) -> Person:
        """Return what asks the server as the person who granted *access_token*.

        It raises ``token_rejected`` where the server does not honour the token.
        """

        def ask(url: str, accept: str) -> Answer:
            return self._ask(Request("GET", url, DOCUMENT_LIMIT, accept), access_token, Code.TOKEN_REJECTED)

        return Person(self.integration, ask)

    def request(self, request: Request, access_token: AccessToken) -> Answer:
        """Send *request* as the person whose access token it is.

        Raises ``token_expired`` where the server does not honour the token any more; it may be renewed then. Raises
        ``connection_failed`` for a POST on a kept connection that breaks: it may have been carried out, and is not sent
        again.
        """
        return self._ask(request, access_token, Code.TOKEN_EXPIRED)

    def _ask(self, request: Request, access_token: AccessToken, refusal: Code) -> Answer:
        """Send *request* with the token. Raises *refusal* if the server does not honour it."""
        answer = self._sender.send(request, lambda: Secret(f"Bearer {access_token.value}"))
        if _is_refusal(answer):
            raise BitbucketServerError(refusal, status_code=answer.status)
        return answer

    def _granted(self, form: dict[str, str], *, fresh: bool = False) -> AccessToken:
        grant = read_grant(self._post(self.integration.server.url.oauth2_token, form, fresh=fresh))
        return AccessToken(grant.access_token, grant.refresh_token, grant.expires_in, None)

    def _revoke(self, token: str, hint: str) -> None:
        form = {"token": token, "token_type_hint": hint}
        read_revocation(self._post(self.integration.server.url.oauth2_revoke, form, fresh=True))

    def _post(self, url: str, form: dict[str, str], *, fresh: bool) -> Answer:
        """Send *form* with the client's credentials. Bitbucket reads them from the form, and never from HTTP Basic."""
        credentials = {"client_id": self.integration.client_id, "client_secret": self.integration.client_secret}
        body = Secret(urlencode(form | credentials))
        return self._sender.send(Request("POST", url, TOKEN_LIMIT, body=body, content_type=FORM), fresh=fresh)


PersonalClient: TypeAlias = Client | OAuth2Client
"""Asks one server for things as any person who granted an access token, by either OAuth."""


def _is_refusal(answer: Answer) -> bool:
    """Return whether the server did not honour the token.

    Bitbucket also answers 401 to people who may not do what they ask for, but then it names them. An empty 401 is about
    the account. A page comes from something in front of Bitbucket.
    """
    is_about_the_token = bool(answer.body) and not answer.is_html and "X-AUSERNAME" not in answer.headers
    return answer.status == 401 and is_about_the_token
