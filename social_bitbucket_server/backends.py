"""The social-core backends, one for each OAuth; what they have in common is in :mod:`.login`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Never

from social_core.utils import module_member

from .crypto import Secret
from .integration import (
    Integration,
    OAuth2Integration,
    find_integration,
    find_oauth2_integration,
    single_integration,
    single_oauth2_integration,
)
from .login import (
    AnswerT,
    BaseOAuth1,
    BitbucketDataCenterOAuth2,
    Callback,
    LoginBackend,
    PendingLogin,
    ResponseT_co,
    ReturnedLogin,
    code_verifier,
    prepare_login,
    problems_at,
    read_parameter,
    remember_login,
    tell_of,
)
from .oauth import DENIED, AccessToken, Client, OAuth2Client, oauth2_problem
from .organizations import EventCode, may_be_about_the_key
from .problems import BitbucketServerError, Code
from .transport import BEGIN, Budget

_CODE = re.compile(r"[!-~]{1,1024}")
_SCOPES = re.compile(r"[A-Z_]{1,64}")


class BitbucketServerOAuth1(LoginBackend[ResponseT_co, Integration], BaseOAuth1[ResponseT_co]):
    """Log in with Bitbucket Server / Data Center by OAuth 1.0a with RSA-SHA1.

    With ``SOCIAL_AUTH_BITBUCKET_SERVER_URL`` there is one server; with ``…_INTEGRATIONS`` there are many, and the
    request parameter ``integration`` says which. Override :meth:`get_integration` to look integrations up elsewhere.
    """

    name = "bitbucket-server"
    title = "Bitbucket Server"
    REQUEST_TOKEN_METHOD = "POST"  # noqa: S105  # not a token
    LOGIN_PARAMETER = "oauth_token"

    def configured_integration(self, integration_id: str) -> Integration | None:
        return find_integration(self.setting("INTEGRATIONS") or {}, integration_id, self.full_name("INTEGRATIONS"))

    def single_integration(self) -> Integration:
        return single_integration(self.setting, self.full_name)

    def client(self, integration: Integration) -> Client:
        """Return the client that sends signed requests to the server of *integration*."""
        return Client(integration)

    def auth_url(self) -> str:
        """Begin a login; returns the address on the Bitbucket Server to send the browser to."""
        with problems_at("begin", self):
            beginning = prepare_login(self)
            with self.budget(beginning.integration, BEGIN) as budget:
                integration, request_token = self.ask(
                    beginning.integration, lambda client: client.request_token(beginning.callback), budget
                )
            remember_login(self, request_token, integration, beginning)
            return Secret(self.client(integration).authorize_url(request_token))

    def read_callback(self) -> Callback:
        """Return the request token with its verifier, or with the refusal."""
        refusal = self.data.get("oauth_problem")
        request_token = read_parameter(
            self.data, "oauth_token", absent=Code.LOGIN_NOT_PENDING if refusal else Code.CALLBACK_PARAMETER_MISSING
        )
        verifier = Secret() if refusal else read_parameter(self.data, "oauth_verifier")
        if verifier == DENIED or refusal == "user_refused":
            return Callback(request_token, refusal=BitbucketServerError(Code.LOGIN_DECLINED))
        if refusal:
            return Callback(request_token, refusal=BitbucketServerError(Code.OAUTH_PROBLEM, provider_code="other"))
        return Callback(request_token, verifier)

    def exchange(
        self,
        login: ReturnedLogin[Integration],
        callback: Callback,
        pending: PendingLogin,  # noqa: ARG002  # OAuth 2's
    ) -> tuple[Integration, AccessToken]:
        """Exchange the request token and its verifier."""
        return self.ask(
            login.integration, lambda client: client.access_token(callback.token, callback.proof), login.budget
        )

    def ask(
        self, integration: Integration, question: Callable[[Any], AnswerT], budget: Budget
    ) -> tuple[Integration, AnswerT]:
        """Put *question* to the server of *integration*. Ask again with the pending credentials if necessary.

        That happens if Bitbucket refuses the signature or the consumer key. If it accepts the pending credentials,
        :meth:`pending_key_accepted` is called to put them in use. Returns the integration that got the answer, and the
        answer.
        """
        try:
            return super().ask(integration, question, budget)
        except BitbucketServerError as error:
            refusal = error
        successor = integration.successor
        if successor is None or not may_be_about_the_key(refusal.code, integration, successor):
            raise refusal
        try:
            _, answer = super().ask(successor, question, budget)
        except BitbucketServerError:
            raise refusal from None
        self.pending_key_accepted(successor)
        return successor, answer

    def may_have_begun_with(self, integration: Integration) -> Iterable[Integration]:
        """Return *integration* also with the pending credentials, and with those that were replaced meanwhile.

        A login stays with its consumer key, whatever Bitbucket says of that: its request token is no other's.
        """
        pending = integration.pending
        is_of_another_link = pending is not None and pending.consumer_key != integration.consumer_key
        own = replace(integration, pending=None) if is_of_another_link else integration
        return filter(None, (own, integration.successor, integration.predecessor))

    def pending_key_accepted(self, integration: Integration) -> None:
        """Call what ``…_PENDING_KEY_ACCEPTED`` names, so that the credentials of *integration* replace the old ones.
        They were pending, and Bitbucket accepted them after it had refused the old ones."""
        accepted = self.setting("PENDING_KEY_ACCEPTED")
        if accepted:
            (module_member(accepted) if isinstance(accepted, str) else accepted)(integration)
            tell_of(self, EventCode.KEY_PROMOTED)

    def unauthorized_token(self) -> Never:
        """Core's own way of asking signs with HMAC; begin with :meth:`auth_url`."""
        self.refuse_feature("unauthorized_token")

    def oauth_auth(self, *args: Any, **kwargs: Any) -> Never:  # noqa: ARG002  # core's signature
        """Core's own way of signing adds callback and verifier to every call; use :class:`~.oauth.Client`."""
        self.refuse_feature("oauth_auth")


class BitbucketServerOAuth2(  # type: ignore[misc]  # our EXTRA_DATA
    LoginBackend[ResponseT_co, OAuth2Integration], BitbucketDataCenterOAuth2[ResponseT_co]
):
    """Log in with Bitbucket Data Center 7.20 and later by OAuth 2 with PKCE.

    With ``SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_URL`` there is one server; with ``…_INTEGRATIONS`` there are many, and
    the request parameter ``integration`` says which. Override :meth:`get_integration` to look them up elsewhere.
    ``…_SCOPE``, a list, replaces the scope that is asked for.
    """

    name = "bitbucket-server-oauth2"
    title = "Bitbucket Server (OAuth 2)"
    LOGIN_PARAMETER = "state"

    def configured_integration(self, integration_id: str) -> OAuth2Integration | None:
        configured = self.setting("INTEGRATIONS") or {}
        return find_oauth2_integration(configured, integration_id, self.full_name("INTEGRATIONS"))

    def single_integration(self) -> OAuth2Integration:
        return single_oauth2_integration(self.setting, self.full_name)

    def client(self, integration: OAuth2Integration) -> OAuth2Client:
        """Return the client that sends requests with bearer tokens to the server of *integration*."""
        return OAuth2Client(integration)

    def get_scope(self) -> list[str]:
        """Return the scopes to ask for. A configured list replaces the default.

        At Bitbucket every other scope includes the default one. Raises ``setting_invalid``.
        """
        scope = self.setting("SCOPE") or self.DEFAULT_SCOPE or []
        if isinstance(scope, str) or not all(isinstance(one, str) and _SCOPES.fullmatch(one) for one in scope):
            raise BitbucketServerError(
                Code.SETTING_INVALID, 'It is a list of Bitbucket\'s scopes, such as ["REPO_READ"].', parameter="SCOPE"
            )
        return list(scope)

    def scope_for(self, integration: OAuth2Integration) -> str:
        """Tokens for public repositories show no others: what a person can see takes more to find out."""
        admission = self.get_admission(integration)
        is_sight_asked = bool(admission.projects or admission.repositories) or integration.roles.needs_sight
        needs_more = is_sight_asked and not self.setting("SCOPE")
        return "REPO_READ" if needs_more else self.SCOPE_SEPARATOR.join(self.get_scope())

    def auth_url(self) -> str:
        """Begin a login; returns the address on the Bitbucket Server to send the browser to."""
        with problems_at("begin", self):
            beginning = prepare_login(self)
            integration = beginning.integration
            scope = self.scope_for(integration)
            state, seed = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(32))
            remember_login(self, state, integration, beginning, seed)
            verifier = code_verifier(state, seed)
            client = self.client(integration)
            return Secret(client.authorize_url(beginning.callback, state=state, code_verifier=verifier, scope=scope))

    def read_callback(self) -> Callback:
        """Return the state with its code, or with the refusal."""
        refusal = self.data.get("error")
        state = read_parameter(
            self.data, "state", absent=Code.LOGIN_NOT_PENDING if refusal else Code.CALLBACK_PARAMETER_MISSING
        )
        code = Secret() if refusal else read_parameter(self.data, "code", shape=_CODE)
        if refusal == "access_denied":
            return Callback(state, refusal=BitbucketServerError(Code.LOGIN_DECLINED))
        if refusal:
            return Callback(state, refusal=oauth2_problem(refusal))
        return Callback(state, code)

    def exchange(
        self, login: ReturnedLogin[OAuth2Integration], callback: Callback, pending: PendingLogin
    ) -> tuple[OAuth2Integration, AccessToken]:
        """Exchange the code, with the verifier that the state and the seed in the session make."""
        verifier = code_verifier(callback.token, pending.verifier_seed)
        address = self.callback_url(login.integration)
        client = self.client(login.integration).within(login.budget)
        return login.integration, client.access_token(callback.proof, address, verifier)
