"""The social-core backend: session, client, profile, and core's contract around them."""

from __future__ import annotations

import hashlib
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Never, cast
from urllib.parse import urlencode, urlsplit

from social_core.backends.base import ResponseT_co
from social_core.backends.oauth import BaseOAuth1
from social_core.exceptions import AuthConfigurationError, ErrorStage
from social_core.utils import user_is_authenticated

from .client import DENIED, AccessToken, Client
from .configuration import SINGLE_INTEGRATION_ID, callback_origin, find_integration, single_integration
from .key_ring import KeyRing
from .pending import PendingLogins
from .problems import BitbucketServerError
from .profile import Profile, fetch_profile
from .rest import RestClient
from .secret import Secret, opaque
from .tokens import EXTRA_DATA_KEY, IdentityToken, StoredToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from social_core.storage import UserMixin, UserProtocol

    from .integration import Integration

_TOKEN = re.compile(r"[!-~]{1,255}")


class BitbucketServerOAuth1(BaseOAuth1[ResponseT_co]):
    """Log in with Bitbucket Server / Data Center by OAuth 1.0a with RSA-SHA1.

    With ``SOCIAL_AUTH_BITBUCKET_SERVER_URL`` there is one server; with ``…_INTEGRATIONS`` there are many, and the
    request parameter ``integration`` says which. Override :meth:`get_integration` to look integrations up elsewhere.
    """

    name = "bitbucket-server"
    title = "Bitbucket Server"
    icon = "bitbucket.svg"
    ID_KEY = "id"
    MUTABLE_ID_KEYS = ("name", "slug", "username", "email", "display_name")
    REQUIRES_USER_ID = True
    REQUEST_TOKEN_METHOD = "POST"  # noqa: S105  # not a token
    # The names that core's own bitbucket-datacenter-oauth2 uses.
    EXTRA_DATA: ClassVar[list[str | tuple[str, str] | tuple[str, str, bool]] | None] = [  # type: ignore[misc]
        "first_name",
        "last_name",
        "email",
        "name",
        "username",
        "display_name",
        "type",
        "active",
        "url",
        "avatar_url",
    ]

    _connects_to = ""

    # Which server

    def get_integration(self, integration_id: str) -> Integration | None:
        """The integration of this id, or ``None``. Override it to look integrations up in a place of your own."""
        return find_integration(self.setting("INTEGRATIONS") or {}, integration_id)

    def chosen_integration(self) -> Integration:
        """The one server of plain settings, or the integration that the request names.

        Raises ``integration_missing``, ``integration_unknown`` and the problems of a bad configuration.
        """
        if self._has_single_server:
            return single_integration(self.setting)
        integration_id = self._parameter("integration", absent="integration_missing")
        integration = self.get_integration(integration_id)
        if integration is None:
            raise BitbucketServerError("integration_unknown", parameter="integration")
        return integration

    @property
    def _has_single_server(self) -> bool:
        return bool(self.setting("URL")) and not self.setting("INTEGRATIONS")

    def callback_url(self, integration: Integration) -> str:
        """The absolute address that Bitbucket sends the browser back to: *integration*'s own, in its path where the
        application's route names it there, else in its query.

        Scheme and host are ``SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN``, required with many integrations; with
        one server the framework's own host checks may serve.
        """
        uri = cast("str", self.redirect_uri)
        origin = self.setting("CALLBACK_ORIGIN")
        if origin:
            uri = callback_origin(origin) + urlsplit(uri).path
        if self._has_single_server:
            return uri
        if not origin:
            raise BitbucketServerError(
                "setting_missing",
                "With several integrations the callback's scheme and host must be configured.",
                parameter="CALLBACK_ORIGIN",
            )
        if integration.id in urlsplit(uri).path.split("/"):
            return uri
        return f"{uri}?{urlencode({'integration': integration.id})}"

    # The way of a login

    def connect_to(self, user: UserProtocol | None) -> None:
        """Make the login that :meth:`auth_url` begins one whose account is connected to *user*, who is logged in and
        asked for it. Whoever it comes back to must be this very user.

        Raises the social error of ``person_changed`` where nobody is logged in.
        """
        with self._problems("begin"):
            self._connects_to = _user_id(user)
            if not self._connects_to:
                raise BitbucketServerError("person_changed")

    @property
    def is_connecting(self) -> bool:
        """Whether the login that comes back began with :meth:`connect_to`. Only then may a framework hand the user who
        is logged in to :meth:`auth_complete` in order to connect the account."""
        request_token = self.data.get("oauth_token")
        if not isinstance(request_token, str) or not _TOKEN.fullmatch(request_token):
            return False
        pending = PendingLogins(self.strategy).find(request_token)
        return pending is not None and bool(pending.connects_to)

    def auth_url(self) -> str:
        """Begin a login; returns the address on the Bitbucket Server to send the browser to."""
        with self._problems("begin"):
            integration = self.chosen_integration()
            callback = self.callback_url(integration)
            if self._keeps_tokens:
                self._key_ring()
            client = Client(integration)
            request_token = client.request_token(callback)
            PendingLogins(self.strategy).begin(
                request_token, integration.id, _binding(integration, callback), self._connects_to
            )
            return Secret(client.authorize_url(request_token))

    def auth_complete(self, *args: Any, **kwargs: Any) -> UserProtocol | ResponseT_co | None:
        """Finish the login that the browser came back from; returns what core's pipeline returns."""
        with self._problems("callback"):
            integration, request_token, verifier, connects = self._callback(kwargs.get("user"))
        with self._problems("token_exchange"):
            access_token = Client(integration).access_token(request_token, verifier)
        return self.do_auth(access_token, *args, integration=integration, connects=connects, **kwargs)

    def do_auth(self, access_token: AccessToken, *args: Any, **kwargs: Any) -> UserProtocol | ResponseT_co | None:
        """Log in the person whose *access_token* it is, issued by the server of *integration*, or of the one that
        the request names; with *connects*, connect their account to the *user* who is logged in and asked for it."""
        integration, connects = kwargs.pop("integration", None), kwargs.pop("connects", False)
        with self._problems("user_info"):
            integration = integration or self.chosen_integration()
            profile = fetch_profile(Client(integration), access_token)
            self._refuse_another_person(kwargs.get("user"), integration.uid(profile.id), connects=connects)
            response = _response(profile, integration)
            if self._keeps_tokens:
                stored = StoredToken.granted(access_token, integration)
                response[EXTRA_DATA_KEY] = stored.seal(self._key_ring(), integration, response["uid"])
        kwargs.update(response=response, integration_id=integration.id)
        return self.strategy.authenticate(self, *args, **kwargs)

    def _callback(self, user: UserProtocol | None) -> tuple[Integration, Secret, Secret, bool]:
        """Everything is compared before any call goes out, and the login is consumed whatever the outcome."""
        refusal = self.data.get("oauth_problem")
        request_token = self._parameter(
            "oauth_token", absent="login_not_pending" if refusal else "callback_parameter_missing"
        )
        verifier = Secret() if refusal else self._parameter("oauth_verifier")
        pending = PendingLogins(self.strategy).finish(request_token)
        integration = self.chosen_integration()
        binding = _binding(integration, self.callback_url(integration))
        if pending.integration_id != integration.id:
            raise BitbucketServerError("login_mixed_up")
        if pending.binding != binding:
            raise BitbucketServerError("integration_changed")
        connects = bool(pending.connects_to)
        if connects and _user_id(user) != pending.connects_to:
            raise BitbucketServerError("person_changed")
        if verifier == DENIED or refusal == "user_refused":
            raise BitbucketServerError("login_declined", facts={"purpose": "connect"} if connects else None)
        if refusal:
            raise BitbucketServerError("oauth_problem", provider_code="other")
        return integration, request_token, verifier, connects

    @opaque
    def _parameter(self, name: str, *, absent: str = "callback_parameter_missing") -> Secret:
        """One value of the request, given once, of the characters that tokens are made of."""
        values = self.data.getlist(name) if hasattr(self.data, "getlist") else [self.data.get(name)]
        if len(values) > 1:
            raise BitbucketServerError("callback_parameter_invalid", f"{name} is there twice.", parameter=name)
        value = values[0] if values else None
        if not value:
            raise BitbucketServerError(absent, parameter=name)
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise BitbucketServerError("callback_parameter_invalid", parameter=name)
        return Secret(value)

    def _refuse_another_person(self, user: UserProtocol | None, uid: str, *, connects: bool) -> None:
        """A login never attaches an identity to whoever happens to be logged in, and connecting takes none away."""
        if not user_is_authenticated(user):
            return
        identity = self.strategy.storage.user.get_social_auth(self.name, uid)
        if identity is not None and identity.user == user:
            return
        if not connects:
            raise BitbucketServerError("another_person")
        if identity is not None:
            raise BitbucketServerError("identity_in_use")

    # What core asks for

    def get_user_id(self, details: dict[str, Any], response: dict[str, Any]) -> str:  # noqa: ARG002  # core's signature
        """The identity: the numeric user id, in the integration's own namespace where there are many."""
        return cast("str", response["uid"])

    def id_key(self) -> str:
        """The numeric id, always: names and addresses change hands."""
        return self.ID_KEY

    def get_user_details(self, response: dict[str, Any]) -> dict[str, Any]:
        """Names and e-mail address as core's pipeline knows them. Nobody has verified the e-mail address."""
        return {
            "username": response["username"],
            "email": response["email"],
            "fullname": response["display_name"],
            "first_name": None,
            "last_name": None,
        }

    def extra_data(
        self,
        user: UserProtocol | None,
        uid: str,
        response: dict[str, Any],
        details: dict[str, Any],
        pipeline_kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        """The profile. Of the access token nothing is kept, or with ``…_STORE_ACCESS_TOKEN`` a sealed record, together
        with the integration that it belongs to."""
        data = super().extra_data(user, uid, response, details, pipeline_kwargs)
        data.pop("access_token", None)
        if EXTRA_DATA_KEY in response:
            data.update({EXTRA_DATA_KEY: response[EXTRA_DATA_KEY], "integration": response["integration"]})
        return data

    # Calling Bitbucket after the login

    def rest_client(self, identity: UserMixin, *, sleep: Callable[[float], None] = time.sleep) -> RestClient:
        """Signed calls as the person whose *identity* it is, with the access token kept at their last login.

        Raises ``token_missing``, ``token_unopenable``, ``integration_unknown``, ``setting_missing`` and
        ``key_ring_invalid``.
        """
        integration = self._integration_of(identity)
        return RestClient(integration, self._stored_token(identity, integration), sleep=sleep)

    def reseal_access_token(self, identity: UserMixin) -> bool:
        """Seal the access token of *identity* with the ring's newest key, so that an older one can be taken off.

        Returns whether anything was to do. Raises what :meth:`rest_client` raises.
        """
        return self._stored_token(identity, self._integration_of(identity)).reseal()

    def _integration_of(self, identity: UserMixin) -> Integration:
        if EXTRA_DATA_KEY not in identity.extra_data:
            raise BitbucketServerError("token_missing")
        integration_id = identity.extra_data.get("integration", "")
        if not self._has_single_server:
            integration = self.get_integration(integration_id)
        else:
            integration = single_integration(self.setting) if integration_id == SINGLE_INTEGRATION_ID else None
        if integration is None:
            raise BitbucketServerError("integration_unknown", parameter="integration")
        return integration

    def _stored_token(self, identity: UserMixin, integration: Integration) -> IdentityToken:
        uid = identity.uid

        def find() -> UserMixin | None:
            return cast("UserMixin | None", self.strategy.storage.user.get_social_auth(self.name, uid))

        return IdentityToken(find, self._key_ring(), integration, uid)

    @property
    def _keeps_tokens(self) -> bool:
        return bool(self.setting("STORE_ACCESS_TOKEN", False))

    def _key_ring(self) -> KeyRing:
        text = self.setting("KEY_RING")
        if not text:
            raise BitbucketServerError(
                "setting_missing", "Access tokens are kept sealed, and need a key ring.", parameter="KEY_RING"
            )
        return KeyRing.parse(text)

    def unauthorized_token(self) -> Never:
        """Core's own way of asking signs with HMAC; begin with :meth:`auth_url`."""
        self._unsupported("unauthorized_token")

    def oauth_auth(self, *args: Any, **kwargs: Any) -> Never:  # noqa: ARG002  # core's signature
        """Core's own way of signing adds callback and verifier to every call; use :class:`~.client.Client`."""
        self._unsupported("oauth_auth")

    def request(self, *args: Any, **kwargs: Any) -> Never:  # noqa: ARG002  # core's signature
        """Core's own way of asking follows redirects and listens to the environment; use :class:`~.client.Client`."""
        self._unsupported("request")

    def _unsupported(self, feature: str) -> Never:
        raise AuthConfigurationError(self, code="unsupported_feature", parameter=feature)

    @contextmanager
    def _problems(self, stage: ErrorStage) -> Iterator[None]:
        try:
            yield
        except BitbucketServerError as error:
            # Without the way it came: the variables of the functions on it hold tokens.
            raise error.as_social_error(self, stage) from None


def _user_id(user: UserProtocol | None) -> str:
    """The id of a user who is logged in, and nothing for nobody."""
    return str(user.id) if user is not None and user_is_authenticated(user) else ""


def _binding(integration: Integration, callback: str) -> str:
    return hashlib.sha256(f"{integration.fingerprint}\n{callback}".encode()).hexdigest()[:32]


def _response(profile: Profile, integration: Integration) -> dict[str, Any]:
    return {
        "id": profile.id,
        "uid": integration.uid(profile.id),
        "integration": integration.id,
        "name": profile.name,
        "slug": profile.slug,
        "username": profile.slug or profile.name,
        "display_name": profile.display_name,
        "email": profile.email,
        "type": "NORMAL",
        "active": True,
        "url": profile.url,
        "avatar_url": profile.avatar_url,
    }
