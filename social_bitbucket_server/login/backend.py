"""The backend of social-core that both OAuths share. It hands each step of a login to the module that knows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Generic, Never, TypeVar, cast

from social_core.exceptions import AuthConfigurationError
from social_core.storage import PartialMixin, UserMixin, UserProtocol
from social_core.utils import user_is_authenticated

from ..account import (
    EXTRA_DATA_KEY,
    ROLES_KEY,
    Finding,
    Membership,
    Profile,
    Recheck,
    RestClient,
    fetch_profile,
    findings,
    given_roles,
    require_admission,
    reseal,
)
from ..crypto import plain
from ..integration import SINGLE_INTEGRATION_ID, Admission, ServerURL, base_url, names_of
from ..oauth import AccessToken, Person, PersonalClient
from ..organizations import EventCode
from ..problems import BitbucketServerError
from ..transport import Budget, Limits, Share, default_transport
from . import choice, profile_fields, stored_tokens
from .callback_address import callback_address
from .choice import IntegrationT
from .core_6 import BaseStrategy, OAuthAuth, ResponseT_co
from .identity import find_person, write_identity
from .logged_in_person import id_of, refuse_another_person, refuse_inactive, refuse_to_go_on, user_of_post
from .parameters import find_token
from .pending import PendingLogin, PendingLogins
from .purpose import TO_LOG_IN, Intent, Purpose
from .returning import Callback, ReturnedLogin, granted_login, login_by_token
from .roles import integration_in, mapping_of
from .social_errors import failed_steps, failure_told, problems_at, tell_of, tell_of_person

AnswerT = TypeVar("AnswerT")

_OWN_STEPS = {
    f"social_core.pipeline.user.{name}": f"social_bitbucket_server.pipeline.{name}"
    for name in ("create_user", "user_details")
}


@dataclass(frozen=True, slots=True)
class Trial:
    """The *profile* of the Bitbucket account that came back, and the *findings* about it.

    There is a finding for each condition on who may log in, in their order. Without conditions there is none. *roles*
    are the names of those that a login would give; ``None`` if the integration gives no roles.
    """

    profile: Profile
    findings: tuple[Finding, ...] = ()
    roles: tuple[str, ...] | None = None


class LoginBackend(OAuthAuth[ResponseT_co], Generic[ResponseT_co, IntegrationT]):
    """One way to log in with Bitbucket Server. What is different with each OAuth is left to the two in
    :mod:`~social_bitbucket_server.backends`."""

    icon = "bitbucket.svg"
    ID_KEY = "id"
    MUTABLE_ID_KEYS = ("name", "slug", "username", "email", "display_name")
    REQUIRES_USER_ID = True
    EXTRA_DATA: ClassVar[list[str | tuple[str, str] | tuple[str, str, bool]] | None] = profile_fields.KEPT  # type: ignore[misc]

    LOGIN_PARAMETER = ""
    """The parameter of the callback that says which login comes back."""

    intent = TO_LOG_IN
    """Why the login that :meth:`auth_url` begins does so; see :meth:`set_purpose`."""

    known_integration_id = ""
    """The id of the integration that the request is about, as soon as it was found."""

    # What each OAuth does in its own way

    def configured_integration(self, integration_id: str) -> IntegrationT | None:
        """Return the integration of this id in the setting ``…_INTEGRATIONS``, or ``None``."""
        raise NotImplementedError

    def single_integration(self) -> IntegrationT:
        """Return the integration for the one server of plain settings."""
        raise NotImplementedError

    def client(self, integration: IntegrationT) -> PersonalClient:
        """Return the client that sends requests to the server of *integration*."""
        raise NotImplementedError

    def read_callback(self) -> Callback:
        """Return what the request says, as Bitbucket sent the browser back with it. Raises
        ``callback_parameter_missing``, ``callback_parameter_invalid`` and ``login_not_pending``."""
        raise NotImplementedError

    def exchange(
        self, login: ReturnedLogin[IntegrationT], callback: Callback, pending: PendingLogin
    ) -> tuple[IntegrationT, AccessToken]:
        """Exchange the proof of the *callback* for an access token; returns also the integration that got it.

        Raises the problems of the conversation."""
        raise NotImplementedError

    def ask(
        self, integration: IntegrationT, question: Callable[[Any], AnswerT], budget: Budget
    ) -> tuple[IntegrationT, AnswerT]:
        """Put *question* to the client of *integration*, within the *budget* of this step; returns the answer, and the
        integration that got it."""
        return integration, question(self.client(integration).within(budget))

    def may_have_begun_with(self, integration: IntegrationT) -> Iterable[IntegrationT]:
        """Return *integration* with each of the credentials that a login under way may have begun with."""
        return (integration,)

    def scope_for(self, integration: IntegrationT) -> str:  # noqa: ARG002  # OAuth 2's
        """Return the scope that a login asks a token for; empty with OAuth 1."""
        return ""

    # Settings

    def setting(self, name: str, default: Any = None) -> Any:
        """Return the value of the setting *name*, looked up as social-core does it, or *default* if it is not set."""
        strategy = self.strategy
        if getattr(strategy.setting, "__func__", None) is not BaseStrategy.setting:  # it has a look-up of its own
            return super().setting(name, default)
        # Core makes the names anew each time, which takes as many calls as all the rest of a login's checks.
        for full in names_of(self.name, name):
            try:
                return strategy.get_setting(full)
            except (AttributeError, KeyError):
                continue
        return default

    @property
    def limits(self) -> Limits:
        """How long a server may keep threads waiting, by the settings. Raises ``setting_invalid``."""
        return default_transport().limits.with_settings(self.setting)

    def budget(self, integration: IntegrationT, share: Share) -> Budget:
        """Begin a step at the server of *integration*. Raises ``server_busy``."""
        return default_transport().begin_step(integration.tenant, self.limits, share)

    def full_name(self, name: str) -> str:
        """Return the full name of the setting *name*: the one that it is set by, or else this backend's own."""
        names = names_of(self.name, name)
        for full in names:
            try:
                self.strategy.get_setting(full)
            except (AttributeError, KeyError):
                continue
            return full
        return names[0]

    # Which server

    def get_integration(self, integration_id: str) -> IntegrationT | None:
        """Return the integration of this id, or ``None``. Override it to look integrations up elsewhere."""
        return self.configured_integration(integration_id)

    def chosen_integration(self) -> IntegrationT:
        """Return the integration for the one server of plain settings, or the one that the request names.

        Raises ``integration_missing``, ``integration_unknown`` and the problems of a bad configuration.
        """
        has_own_look_up = type(self).get_integration is not LoginBackend.get_integration
        integration = choice.chosen(self, has_own_look_up=has_own_look_up)
        self.known_integration_id = plain(integration.id)
        return integration

    @property
    def has_single_server(self) -> bool:
        """Whether there is one server, by plain settings."""
        return bool(self.setting("URL")) and not self.setting("INTEGRATIONS")

    def authorization_url(self) -> str:
        """Return the origin of the one server, for a Content-Security-Policy: its ``form-action`` must name where the
        form that begins a login leads to. Nothing where there are several servers, or none that can be used."""
        try:
            return _single_server_url(self).origin if self.has_single_server else ""
        except BitbucketServerError:
            return ""

    def callback_url(self, integration: IntegrationT) -> str:
        """Return the absolute address that Bitbucket sends the browser back to.

        It names *integration*: in its path if the application's route does so, otherwise in its query.

        Scheme and host are ``SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN``, required with many integrations; with
        one server the framework's own host checks may serve.
        """
        return callback_address(self, integration)

    def identity_space(self, integration_id: str) -> tuple[str, str] | None:
        """Return base URL and namespace of this integration. If two backends agree on both, equal uids are one person.

        Return ``None`` if this backend has no such integration, or has several and this one has no namespace.
        """
        if self.has_single_server:
            return (str(_single_server_url(self)), "") if integration_id == SINGLE_INTEGRATION_ID else None
        integration = self.get_integration(integration_id)
        if integration is None or not integration.namespace:
            return None
        return str(integration.server.url), integration.namespace

    # Who may log in

    def get_admission(self, integration: IntegrationT) -> Admission:
        """Return the conditions on who may log in: those of *integration*, or, if it has none, those of the settings
        ``…_ALLOW_GROUPS``, ``…_ALLOW_PROJECTS`` and ``…_ALLOW_REPOSITORIES``. Raises ``setting_invalid``."""
        if integration.admission.conditions:
            return integration.admission
        names = ("ALLOW_GROUPS", "ALLOW_PROJECTS", "ALLOW_REPOSITORIES")
        return Admission.read(*(self.setting(name) for name in names))

    def get_group_setting(self, name: str, response: dict[str, Any], default: Any = None) -> Any:
        """Keep ``ALLOW_GROUPS`` from core's pipeline, which knows neither projects nor repositories. It was decided on
        before."""
        if name == "ALLOW_GROUPS":
            return ()
        value = self.setting(name, default)
        is_shared = name != "GROUPS_MAP" or self.has_single_server
        return value if is_shared else mapping_of(value, response.get("integration", ""))

    # Roles, which core's pipeline calls groups

    def get_user_groups(self, response: dict[str, Any]) -> list[str] | None:
        """Return the roles of the person who logs in, for core's ``GROUPS_MAP``; ``None`` with one server that gives
        no roles. With several servers each begins with its integration's id and a colon."""
        roles = response.get("roles")
        if self.has_single_server:
            return roles
        return [f"{response.get('integration', '')}:{role}" for role in roles or ()]

    def get_group_source(self, response: dict[str, Any]) -> str:
        """Return the id of the integration that gives the roles; empty with one server."""
        return "" if self.has_single_server else response.get("integration", "")

    def get_group_mappings(self) -> list[tuple[str, Any]]:
        """Return the part of core's ``GROUPS_MAP`` for each integration, by its id. Core refuses to let two of them
        give one group."""
        mapping = self.setting("GROUPS_MAP", {})
        if self.has_single_server or not isinstance(mapping, dict):  # core checks a value of another kind
            return [("", mapping)]
        ids = dict.fromkeys(map(integration_in, mapping))
        return [(integration_id, mapping_of(mapping, integration_id)) for integration_id in ids]

    # The way of a login

    def prepare_auth(self, user: UserProtocol | None = None) -> None:
        """Let a login without another purpose connect its account to *user*, who is logged in, if
        ``…_CONNECT_LOGGED_IN`` is ``True``; with ``None``, to the user of the request. A framework calls it for a POST
        whose CSRF token was checked."""
        super().prepare_auth(user)
        person = user if user is not None else user_of_post(self.strategy)
        if self.intent is not TO_LOG_IN or person is None or not user_is_authenticated(person):
            return
        if self.setting("CONNECT_LOGGED_IN", False) is True:
            self.set_purpose(Purpose.CONNECT, person)

    def set_purpose(self, purpose: Purpose, user: UserProtocol | None) -> None:
        """Let the login that :meth:`auth_url` begins have this *purpose*, for which *user* asked. Unless it is
        :attr:`Purpose.LOG_IN`, the login must come back to this very user.

        Raises the social error of ``person_changed`` if nobody is logged in who could have asked for it.
        """
        with failure_told(self, purpose), problems_at("begin", self):
            self.intent = Intent.of(purpose, id_of(self.strategy.storage.user, user))

    def start(self) -> ResponseT_co:
        """Begin the login; returns core's answer, which sends the browser to Bitbucket."""
        with failure_told(self, self.intent.purpose):
            answer = super().start()
        if self.intent.purpose is not Purpose.TRY:
            tell_of(self, EventCode.LOGIN_BEGIN)
        return answer

    @property
    def returning_purpose(self) -> Purpose | None:
        """The purpose of the login that comes back with this request; ``None`` if no such login is pending.

        A framework hands the user who is logged in to :meth:`auth_complete` only for :attr:`Purpose.CONNECT`, and calls
        :meth:`complete_trial` for :attr:`Purpose.TRY`.
        """
        token = find_token(self.data, self.LOGIN_PARAMETER)
        pending = None if token is None else PendingLogins(self.strategy, self.name).find(token)
        return None if pending is None else pending.intent.purpose

    def auth_complete(self, *args: Any, **kwargs: Any) -> UserProtocol | ResponseT_co | None:
        """Finish the login that the browser came back from; returns what core's pipeline returns."""
        purposes = (Purpose.LOG_IN, Purpose.CONNECT)
        with failure_told(self), granted_login(self, kwargs.get("user"), purposes) as (login, access_token):
            found = self.do_auth(access_token, *args, login=login, **kwargs)
        tell_of_person(self, found, connects=login.intent.purpose is Purpose.CONNECT)
        return found

    def complete_trial(self, user: UserProtocol | None) -> Trial:
        """Finish the trial that the browser of *user* came back from. No pipeline runs, and nobody is logged in.

        Raises the social errors of a login that fails.
        """
        purposes = (Purpose.TRY,)
        with granted_login(self, user, purposes) as (login, access_token), problems_at("user_info", self):
            _, (owner, profile) = self._identify(login, access_token)
            membership = Membership(owner, profile)
            roles = tuple(given_roles(membership, login.roles)) if login.roles.named else None
            return Trial(profile, tuple(findings(membership, login.admission)), roles)

    def _identify(
        self, login: ReturnedLogin[IntegrationT], access_token: AccessToken
    ) -> tuple[IntegrationT, tuple[Person, Profile]]:
        """Find out whose *access_token* it is. Return the integration that got the answer, what asks the server as this
        person, and their profile."""

        def identified(client: PersonalClient) -> tuple[Person, Profile]:
            person = client.as_person(access_token)
            return person, fetch_profile(person)

        return self.ask(login.integration, identified, login.budget)

    def do_auth(self, access_token: AccessToken, *args: Any, **kwargs: Any) -> UserProtocol | ResponseT_co | None:
        """Log in the person whose *access_token* it is, issued by the server of the integration that the request names.
        *login* is the one that came back with it; without one, an application got the token by itself.
        """
        login: ReturnedLogin[IntegrationT] | None = kwargs.pop("login", None)
        with problems_at("user_info", self):
            login = login or login_by_token(self)
            # Ended before the pipeline, which waits for no server.
            with login.budget:
                integration, (owner, profile) = self._identify(login, access_token)
                membership = Membership(owner, profile)
                require_admission(membership, login.admission)
                roles = given_roles(membership, login.roles) if login.roles.named else None
            response = profile_fields.response_of(profile, integration, roles)
            refuse_another_person(self, kwargs.get("user"), response["uid"], login.intent.purpose)
            if stored_tokens.keeps_tokens(self):
                response[EXTRA_DATA_KEY] = stored_tokens.sealed_token(self, access_token, integration, response["uid"])
        kwargs.update(
            response=response,
            integration_id=integration.id,
            integration_configuration=login.configuration,
            connects_to=login.intent.person,
        )
        with failed_steps(self):
            authenticate = partial(self.strategy.authenticate, self, *args, **kwargs)
            person = find_person(self, authenticate, response["uid"], kwargs.get("user"))
        with problems_at("pipeline", self):
            refuse_inactive(self, person)
        return person

    def pipeline(
        self, pipeline: Sequence[str], pipeline_index: int = 0, *args: Any, **kwargs: Any
    ) -> UserProtocol | ResponseT_co | None:
        """Run the steps of *pipeline*; where core has one that fails at odd columns of users, run ours instead."""
        steps = [_OWN_STEPS.get(step, step) for step in pipeline]
        return super().pipeline(steps, pipeline_index, *args, **kwargs)

    def continue_pipeline(self, partial: PartialMixin) -> UserProtocol | ResponseT_co | None:
        """Go on with a pipeline that was halted. Raises what :meth:`do_auth` raises after the person is known."""
        with failure_told(self), failed_steps(self):
            found = super().continue_pipeline(partial)
        tell_of_person(self, found, connects=bool(partial.kwargs.get("connects_to")))
        return found

    def validate_partial_pipeline(self, partial: PartialMixin, user: UserProtocol | None = None) -> None:
        """Let a halted pipeline go on for *user*, who is logged in now, only if the login began as theirs or its steps
        found them. Raises the social error of ``another_person``."""
        super().validate_partial_pipeline(partial, user)
        self.known_integration_id = partial.kwargs.get("integration_id", "")
        with failure_told(self), problems_at("callback", self):
            refuse_to_go_on(self.strategy.storage.user, partial, user)

    def run_authentication(self, *args: Any, **kwargs: Any) -> UserProtocol | ResponseT_co | None:
        """Run core's pipeline while the integration is the one that the login began with; see
        :func:`~.identity.write_identity`."""
        return write_identity(
            self,
            partial(super().run_authentication, *args, **kwargs),
            kwargs["response"]["uid"],
            kwargs.get("integration_id", ""),
            kwargs.get("integration_configuration", ""),
        )

    # What core asks for

    def get_user_id(self, details: dict[str, Any], response: dict[str, Any]) -> str:  # noqa: ARG002  # core's signature
        """Return the uid: the numeric user id, in the integration's own namespace if there are many."""
        return cast("str", response["uid"])

    def id_key(self) -> str:
        """Return the name of the numeric id, because names and addresses change hands."""
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
        """Return the profile and the roles to keep. With ``…_STORE_ACCESS_TOKEN`` it holds the access token as a sealed
        record, and the id of the token's integration. Otherwise nothing is kept of the token."""
        data = super().extra_data(user, uid, response, details, pipeline_kwargs)
        kept = {name: value for name, value in data.items() if name not in {"access_token", "token_type"}}
        if EXTRA_DATA_KEY in response:
            kept |= {EXTRA_DATA_KEY: response[EXTRA_DATA_KEY], "integration": response["integration"]}
        # Always there, so that a login also takes away roles that were given before.
        return kept | {ROLES_KEY: response.get("roles") or []}

    # Calling Bitbucket after the login

    def rest_client(self, identity: UserMixin, *, sleep: Callable[[float], None] = time.sleep) -> RestClient:
        """Signed calls as the person whose *identity* it is, with the access token kept at their last login.

        Raises ``token_missing``, ``token_unopenable``, ``integration_unknown``, ``setting_missing`` and
        ``key_ring_invalid``.
        """
        return stored_tokens.rest_client(self, identity, sleep=sleep)

    def reseal_access_token(self, identity: UserMixin) -> bool:
        """Seal the access token of *identity* with the ring's newest key, so that an older one can be taken off.

        Returns whether anything was to do. Raises ``token_missing``, ``token_unopenable``, ``setting_missing`` and
        ``key_ring_invalid``.
        """
        return reseal(identity, stored_tokens.key_ring_of(self))

    def revoke_access_token(self, identity: UserMixin) -> bool:
        """Erase the access token of *identity*, if there is one. With OAuth 2, ask the server to revoke it before.
        Return whether the server did: OAuth 1 has no way to do that.

        Raises nothing: if the server cannot be asked, the log says so, and the token is erased all the same.
        """
        return stored_tokens.revoke(self, identity)

    def recheck(self, identity: UserMixin, *, sleep: Callable[[float], None] = time.sleep) -> Recheck:
        """Ask, with the access token kept at their last login, whether the person with this *identity* could log in
        now: the account is there, active and the same, and may. Changes nothing but a token that has to be renewed, and
        the roles that the identity keeps.

        Raises nothing: what keeps the server from being asked is said in the result.
        """
        return stored_tokens.recheck(self, identity, sleep=sleep)

    def request(self, *args: Any, **kwargs: Any) -> Never:  # noqa: ARG002  # core's signature
        """Core's own way of asking follows redirects and listens to the environment; use :class:`~.oauth.Client`."""
        self.refuse_feature("request")

    def refuse_feature(self, feature: str) -> Never:
        """Raise core's error for a *feature* of core's that this backend does not have."""
        raise AuthConfigurationError(self, code="unsupported_feature", parameter=feature)


def _single_server_url(backend: LoginBackend[Any, Any]) -> ServerURL:
    """Return the base URL of the one server, without its credentials. Raises ``invalid_base_url``."""
    return base_url({"url": backend.setting("URL"), "allow_http": backend.setting("ALLOW_HTTP", False)})
