"""The social-core backends, one for each OAuth; what they have in common is in :mod:`.login`."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Never

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
from .login import AnswerT, BaseOAuth1, BitbucketDataCenterOAuth2, LoginBackend, ResponseT_co, code_verifier
from .oauth import DENIED, Client, OAuth2Client, oauth2_problem
from .problems import BitbucketServerError
from .transport import BEGIN, Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from social_core.storage import UserProtocol

    from .login import PendingLogin

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
        """The integration of this id in the setting ``…_INTEGRATIONS``, or ``None``."""
        return find_integration(self.setting("INTEGRATIONS") or {}, integration_id, self.full_name("INTEGRATIONS"))

    def single_integration(self) -> Integration:
        """The one server of plain settings."""
        return single_integration(self.setting, self.full_name)

    def client(self, integration: Integration) -> Client:
        """What asks the server of *integration* for things, with signed requests."""
        return Client(integration)

    def auth_url(self) -> str:
        """Begin a login; returns the address on the Bitbucket Server to send the browser to."""
        with self._problems("begin"):
            integration, callback = self._prepared()
            with self._budget(integration, BEGIN) as budget:
                integration, request_token = self.ask(
                    integration, lambda client: client.request_token(callback), budget
                )
            self._remember(request_token, integration, callback)
            return Secret(self.client(integration).authorize_url(request_token))

    def auth_complete(self, *args: Any, **kwargs: Any) -> UserProtocol | ResponseT_co | None:
        """Finish the login that the browser came back from; returns what core's pipeline returns."""
        with self._problems("callback"):
            integration, request_token, verifier, connects, budget = self._callback(kwargs.get("user"))
        with budget:
            with self._problems("token_exchange"):
                kwargs["configuration"] = self._configuration_of(integration)
                integration, access_token = self.ask(
                    integration, lambda client: client.access_token(request_token, verifier), budget
                )
            return self.do_auth(
                access_token, *args, integration=integration, connects=connects, budget=budget, **kwargs
            )

    def ask(
        self, integration: Integration, question: Callable[[Any], AnswerT], budget: Budget
    ) -> tuple[Integration, AnswerT]:
        """The same as with every OAuth; where the signature or the consumer key is refused, once more with the pending
        credentials. They are in use from then on, as far as :meth:`pending_key_accepted` sees to it."""
        try:
            return super().ask(integration, question, budget)
        except BitbucketServerError as error:
            refusal = error
        successor = integration.successor
        if successor is None or not _may_be_about_the_key(refusal, integration, successor):
            raise refusal
        try:
            _, answer = super().ask(successor, question, budget)
        except BitbucketServerError:
            raise refusal from None
        self.pending_key_accepted(successor)
        return successor, answer

    def may_have_begun_with(self, integration: Integration) -> Iterable[Integration]:
        """Also with the pending credentials, and with those that were replaced meanwhile. It stays with its consumer
        key, whatever Bitbucket says of that: its request token is no other's."""
        pending = integration.pending
        is_of_another_link = pending is not None and pending.consumer_key != integration.consumer_key
        own = replace(integration, pending=None) if is_of_another_link else integration
        return filter(None, (own, integration.successor, integration.predecessor))

    def pending_key_accepted(self, integration: Integration) -> None:
        """Bitbucket refused the credentials, and accepted those of *integration*, which were pending: it calls what
        ``…_PENDING_KEY_ACCEPTED`` names, so that they take the place of the old ones."""
        accepted = self.setting("PENDING_KEY_ACCEPTED")
        if accepted:
            (module_member(accepted) if isinstance(accepted, str) else accepted)(integration)

    def _callback(self, user: UserProtocol | None) -> tuple[Integration, Secret, Secret, bool, Budget]:
        """Compare everything before any call goes out. The login is used up, whatever the server answers."""
        refusal = self.data.get("oauth_problem")
        request_token = self._parameter(
            "oauth_token", absent="login_not_pending" if refusal else "callback_parameter_missing"
        )
        verifier = Secret() if refusal else self._parameter("oauth_verifier")
        if verifier == DENIED or refusal == "user_refused":
            raise _declined(self._finish_refused(request_token, user))
        if refusal:
            self._finish_refused(request_token, user)
            raise BitbucketServerError("oauth_problem", provider_code="other")
        integration, pending, budget = self._finish(request_token, user)
        return integration, request_token, verifier, bool(pending.connects_to), budget

    def unauthorized_token(self) -> Never:
        """Core's own way of asking signs with HMAC; begin with :meth:`auth_url`."""
        self._unsupported("unauthorized_token")

    def oauth_auth(self, *args: Any, **kwargs: Any) -> Never:  # noqa: ARG002  # core's signature
        """Core's own way of signing adds callback and verifier to every call; use :class:`~.oauth.Client`."""
        self._unsupported("oauth_auth")


def _declined(pending: PendingLogin) -> BitbucketServerError:
    """Return the problem of a login that the person declined in Bitbucket."""
    return BitbucketServerError("login_declined", facts={"purpose": "connect"} if pending.connects_to else None)


def _may_be_about_the_key(refusal: BitbucketServerError, integration: Integration, successor: Integration) -> bool:
    """Bitbucket says that a signature is invalid or a consumer key unknown, and fails where it has a key of another
    size."""
    is_of_another_size = integration.private_key.public.bits != successor.private_key.public.bits
    is_of_another_link = integration.consumer_key != successor.consumer_key
    return (
        refusal.code == "signature_invalid"
        or (refusal.code == "consumer_key_unknown" and is_of_another_link)
        or (refusal.code == "server_error" and is_of_another_size)
    )


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
        """The integration of this id in the setting ``…_INTEGRATIONS``, or ``None``."""
        return find_oauth2_integration(
            self.setting("INTEGRATIONS") or {}, integration_id, self.full_name("INTEGRATIONS")
        )

    def single_integration(self) -> OAuth2Integration:
        """The one server of plain settings."""
        return single_oauth2_integration(self.setting, self.full_name)

    def client(self, integration: OAuth2Integration) -> OAuth2Client:
        """What asks the server of *integration* for things, with bearer tokens."""
        return OAuth2Client(integration)

    def get_scope(self) -> list[str]:
        """What the token shall be good for. A configured one stands alone: at Bitbucket all others include the default.

        Raises ``setting_invalid``.
        """
        scope = self.setting("SCOPE") or self.DEFAULT_SCOPE or []
        if isinstance(scope, str) or not all(isinstance(one, str) and _SCOPES.fullmatch(one) for one in scope):
            raise BitbucketServerError(
                "setting_invalid", 'It is a list of Bitbucket\'s scopes, such as ["REPO_READ"].', parameter="SCOPE"
            )
        return list(scope)

    def _scope_for(self, integration: OAuth2Integration) -> str:
        """Tokens for public repositories show no others: what a person can see takes more to find out."""
        admission = self.get_admission(integration)
        needs_more = bool(admission.projects or admission.repositories) and not self.setting("SCOPE")
        return "REPO_READ" if needs_more else self.SCOPE_SEPARATOR.join(self.get_scope())

    def auth_url(self) -> str:
        """Begin a login; returns the address on the Bitbucket Server to send the browser to."""
        with self._problems("begin"):
            integration, callback = self._prepared()
            scope = self._scope_for(integration)
            state, seed = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(32))
            self._remember(state, integration, callback, verifier_seed=seed)
            verifier = code_verifier(state, seed)
            client = self.client(integration)
            return Secret(client.authorize_url(callback, state=state, code_verifier=verifier, scope=scope))

    def auth_complete(self, *args: Any, **kwargs: Any) -> UserProtocol | ResponseT_co | None:
        """Finish the login that the browser came back from; returns what core's pipeline returns."""
        with self._problems("callback"):
            integration, code, verifier, connects, budget = self._callback(kwargs.get("user"))
        with budget:
            with self._problems("token_exchange"):
                kwargs["configuration"] = self._configuration_of(integration)
                callback = self.callback_url(integration)
                client = self.client(integration).within(budget)
                access_token = client.access_token(code, callback, verifier)
            return self.do_auth(
                access_token, *args, integration=integration, connects=connects, budget=budget, **kwargs
            )

    def _callback(self, user: UserProtocol | None) -> tuple[OAuth2Integration, Secret, Secret, bool, Budget]:
        """Compare everything before any call goes out. The login is used up, whatever the server answers."""
        refusal = self.data.get("error")
        state = self._parameter("state", absent="login_not_pending" if refusal else "callback_parameter_missing")
        code = Secret() if refusal else self._parameter("code", shape=_CODE)
        if refusal == "access_denied":
            raise _declined(self._finish_refused(state, user))
        if refusal:
            self._finish_refused(state, user)
            raise oauth2_problem(refusal)
        integration, pending, budget = self._finish(state, user)
        verifier = code_verifier(state, pending.verifier_seed)
        return integration, code, verifier, bool(pending.connects_to), budget
