"""What the backends have in common: the choice of an integration, pending logins, the identity, and tokens kept."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
import traceback
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

from social_core.exceptions import AuthConfigurationError, ErrorStage, SocialAuthBaseException
from social_core.utils import setting_name, setting_url, user_is_active, user_is_authenticated

from ..account import (
    EXTRA_DATA_KEY,
    IdentityToken,
    Recheck,
    RestClient,
    Standing,
    StoredToken,
    ask_whether_admitted,
    fetch_profile,
    findings,
    is_named_by_email,
    require_admission,
    reseal,
)
from ..crypto import KeyRing, Secret, opaque
from ..integration import (
    SINGLE_INTEGRATION_ID,
    Admission,
    AnyIntegration,
    base_url,
    callback_origin,
    refuse_unsafe_login,
    setting_of_field,
)
from ..oauth import admit
from ..problems import BitbucketServerError, reference_of
from ..transport import CALLBACK, WHOLE, Budget, Limits, Share, default_transport
from .core_6 import OAuthAuth, ResponseT_co
from .pending import LONGEST_PERSON, PendingLogin, PendingLogins
from .session_cookies import host_of, is_shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from social_core.storage import PartialMixin, UserMixin, UserProtocol

    from ..account import Profile
    from ..integration import ServerURL
    from ..oauth import AccessToken, PersonalClient

IntegrationT = TypeVar("IntegrationT", bound=AnyIntegration)
AnswerT = TypeVar("AnswerT")

_LOG = logging.getLogger(__name__)
_DJANGO = "social_django.storage"
_TOKEN = re.compile(r"[!-~]{1,255}")
_ABOUT_SETTINGS = frozenset({"ca_certificate_invalid", "key_ring_invalid", "setting_invalid", "setting_missing"})
_OWN_STEPS = {
    f"social_core.pipeline.user.{name}": f"social_bitbucket_server.pipeline.{name}"
    for name in ("create_user", "user_details")
}
_ANSWERS = frozenset(
    {
        "aiohttp.web_exceptions.HTTPException",
        "django.core.exceptions.BadRequest",
        "django.core.exceptions.PermissionDenied",
        "django.core.exceptions.SuspiciousOperation",
        "django.http.response.Http404",
        "pyramid.httpexceptions.HTTPException",
        "starlette.exceptions.HTTPException",
        "werkzeug.exceptions.HTTPException",
    }
)
"""The errors by which frameworks answer a request; a step may raise one on purpose."""


class LoginBackend(OAuthAuth[ResponseT_co], Generic[ResponseT_co, IntegrationT]):
    """One way to log in with Bitbucket Server. What is different with each OAuth is left to the two in
    :mod:`~social_bitbucket_server.backends`."""

    icon = "bitbucket.svg"
    ID_KEY = "id"
    MUTABLE_ID_KEYS = ("name", "slug", "username", "email", "display_name")
    REQUIRES_USER_ID = True
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

    LOGIN_PARAMETER = ""
    """The parameter of the callback that says which login comes back."""

    _connects_to = ""
    _is_trial = False

    # What each OAuth does in its own way

    def configured_integration(self, integration_id: str) -> IntegrationT | None:
        """The integration of this id in the setting ``…_INTEGRATIONS``, or ``None``."""
        raise NotImplementedError

    def single_integration(self) -> IntegrationT:
        """The one server of plain settings."""
        raise NotImplementedError

    def client(self, integration: IntegrationT) -> PersonalClient:
        """What asks the server of *integration* for things."""
        raise NotImplementedError

    def ask(
        self, integration: IntegrationT, question: Callable[[Any], AnswerT], budget: Budget
    ) -> tuple[IntegrationT, AnswerT]:
        """Put *question* to the client of *integration*, within the *budget* of this step; returns the answer, and the
        integration that got it."""
        return integration, question(self.client(integration).within(budget))

    def may_have_begun_with(self, integration: IntegrationT) -> Iterable[IntegrationT]:
        """*integration* with each of the credentials that a login under way may have begun with."""
        return (integration,)

    @property
    def limits(self) -> Limits:
        """How long a server may keep threads waiting, by the settings. Raises ``setting_invalid``."""
        return Limits.read(self.setting)

    def _budget(self, integration: IntegrationT, share: Share) -> Budget:
        """Begin a step at the server of *integration*. Raises ``server_busy``."""
        return default_transport().begin_step(integration.tenant, self.limits, share)

    def full_name(self, name: str) -> str:
        """Return the full name of the setting *name*: the one that it is set by, or else this backend's own."""
        own = setting_name(self.name, name)
        names = (own, setting_name(name), name)
        return next((full for full in names if self._is_set(full)), own)

    def _is_set(self, full_name: str) -> bool:
        try:
            self.strategy.get_setting(full_name)
        except (AttributeError, KeyError):
            return False
        return True

    # Which server

    def get_integration(self, integration_id: str) -> IntegrationT | None:
        """The integration of this id, or ``None``. Override it to look integrations up in a place of your own."""
        return self.configured_integration(integration_id)

    def chosen_integration(self) -> IntegrationT:
        """The one server of plain settings, or the integration that the request names.

        Raises ``integration_missing``, ``integration_unknown`` and the problems of a bad configuration.
        """
        if self.has_single_server:
            return self.single_integration()
        if self.setting("INTEGRATIONS") is None and type(self).get_integration is LoginBackend.get_integration:
            url, integrations = setting_name(self.name, "URL"), setting_name(self.name, "INTEGRATIONS")
            raise BitbucketServerError(
                "setting_missing",
                f"Neither {url} nor {integrations} is configured.",
                parameter="URL",
                setting=url,
            )
        integration_id = self._parameter("integration", absent="integration_missing")
        integration = self.get_integration(integration_id)
        if integration is None:
            raise BitbucketServerError("integration_unknown", parameter="integration")
        return integration

    @property
    def has_single_server(self) -> bool:
        """Whether there is one server, by plain settings."""
        return bool(self.setting("URL")) and not self.setting("INTEGRATIONS")

    def authorization_url(self) -> str:
        """Return the origin of the one server, for a Content-Security-Policy: its ``form-action`` must name where the
        form that begins a login leads to. Nothing where there are several servers, or none that can be used."""
        if not self.has_single_server:
            return ""
        try:
            return self._single_server_url().origin
        except BitbucketServerError:
            return ""

    def _single_server_url(self) -> ServerURL:
        """Return the base URL of the one server, without its credentials. Raises ``invalid_base_url``."""
        return base_url({"url": self.setting("URL"), "allow_http": self.setting("ALLOW_HTTP", False)})

    def callback_url(self, integration: IntegrationT) -> str:
        """The absolute address that Bitbucket sends the browser back to: *integration*'s own, in its path where the
        application's route names it there, else in its query.

        Scheme and host are ``SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN``, required with many integrations; with
        one server the framework's own host checks may serve.
        """
        uri = cast("str", self.redirect_uri)
        origin = self.setting("CALLBACK_ORIGIN")
        if origin:
            uri = callback_origin(origin) + urlsplit(uri).path
        if self.has_single_server:
            return uri
        if not origin:
            raise BitbucketServerError(
                "setting_missing",
                "With several integrations the callback's scheme and host must be configured.",
                parameter="CALLBACK_ORIGIN",
            )
        # Core's own route names the backend there, which an integration may be called like.
        path = urlsplit(uri).path.rstrip("/").removesuffix(f"/complete/{self.name}")
        if integration.id in path.split("/"):
            return uri
        return f"{uri}?{urlencode({'integration': integration.id})}"

    def identity_space(self, integration_id: str) -> tuple[str, str] | None:
        """Base URL and namespace: where two backends agree on both, equal uids are equal people.

        ``None`` where this backend has no such integration, or has several and this one without a namespace.
        """
        if self.has_single_server:
            return (str(self._single_server_url()), "") if integration_id == SINGLE_INTEGRATION_ID else None
        integration = self.get_integration(integration_id)
        if integration is None or not integration.namespace:
            return None
        return str(integration.server.url), integration.namespace

    # Who may log in

    def get_admission(self, integration: IntegrationT) -> Admission:
        """Who of the server's people may log in: as *integration* says, or, where it says nothing, the settings
        ``…_ALLOW_GROUPS``, ``…_ALLOW_PROJECTS`` and ``…_ALLOW_REPOSITORIES``. Raises ``setting_invalid``."""
        if integration.admission.conditions:
            return integration.admission
        names = ("ALLOW_GROUPS", "ALLOW_PROJECTS", "ALLOW_REPOSITORIES")
        return Admission.read(*(self.setting(name) for name in names))

    def get_group_setting(self, name: str, response: dict[str, Any], default: Any = None) -> Any:
        """``ALLOW_GROUPS`` was decided on before core's pipeline, which knows neither projects nor repositories."""
        return () if name == "ALLOW_GROUPS" else super().get_group_setting(name, response, default)

    # The way of a login

    def prepare_auth(self, user: UserProtocol | None = None) -> None:
        """Let the login that begins connect its account to *user*, who is logged in, if ``…_CONNECT_LOGGED_IN`` is
        ``True``. A framework calls it for a POST whose CSRF token was checked."""
        super().prepare_auth(user)
        if user is not None and self.setting("CONNECT_LOGGED_IN", False) is True and user_is_authenticated(user):
            self.connect_to(user)

    def connect_to(self, user: UserProtocol | None) -> None:
        """Make the login that :meth:`auth_url` begins one whose account is connected to *user*, who is logged in and
        asked for it. Whoever it comes back to must be this very user.

        Raises the social error of ``person_changed`` where nobody is logged in.
        """
        with self._problems("begin"):
            self._connects_to = self._id_of(user)
            if not self._connects_to:
                raise BitbucketServerError("person_changed")

    def try_as(self, user: UserProtocol | None) -> None:
        """Make the login that :meth:`auth_url` begins a trial by *user*, who is logged in: it ends with
        :meth:`complete_trial` and with nothing else. Raises the social error of ``person_changed`` where nobody is."""
        self.connect_to(user)
        self._is_trial = True

    @property
    def is_connecting(self) -> bool:
        """Whether the login that comes back began with :meth:`connect_to`. Only then may a framework hand the user who
        is logged in to :meth:`auth_complete` in order to connect the account."""
        pending = self._coming_back()
        return pending is not None and bool(pending.connects_to) and not pending.is_trial

    @property
    def is_trial(self) -> bool:
        """Whether the login that comes back began with :meth:`try_as`."""
        pending = self._coming_back()
        return pending is not None and pending.is_trial

    def complete_trial(self, user: UserProtocol | None) -> Profile:
        """Finish the trial that the browser of *user* came back from. Returns whose account Bitbucket says it is, with
        what is so of each condition on who may log in; no pipeline runs, and nobody is logged in."""
        self._is_trial = True
        return cast("Profile", self.auth_complete(user=user))

    def _coming_back(self) -> PendingLogin | None:
        token = self.data.get(self.LOGIN_PARAMETER)
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return None
        return self._pending_logins.find(token)

    @property
    def _pending_logins(self) -> PendingLogins:
        return PendingLogins(self.strategy, self.name)

    def _prepared(self) -> tuple[IntegrationT, str]:
        """Which integration a login begins with, and where it comes back to."""
        integration = self.chosen_integration()
        callback = self.callback_url(integration)
        self.get_admission(integration)
        if self._keeps_tokens:
            self._key_ring()
        refuse_unsafe_login(self)
        self._note_another_host()
        return integration, callback

    def _note_another_host(self) -> None:
        """Write to the log that this browser's session will be missing, because the login comes back to another host.

        The person is not stopped: a proxy in front of the application may have changed the ``Host``.
        """
        origin = self.setting("CALLBACK_ORIGIN")
        try:
            host = self.strategy.request_host()
        except NotImplementedError:
            return
        if origin and not is_shared(self._cookie_domain(), host_of(str(origin)), host_of(str(host))):
            _LOG.warning(
                "A login began at %r and comes back to %s, as %s says; a browser keeps a session for each host, so the "
                "login will not be under way there. Let people open %s, or let the proxy pass on the Host header.",
                str(host)[:255],
                origin,
                self.full_name("CALLBACK_ORIGIN"),
                origin,
            )

    def _cookie_domain(self) -> str:
        try:
            return str(self.strategy.get_setting("SESSION_COOKIE_DOMAIN") or "")
        except (AttributeError, KeyError):
            return ""

    def _remember(self, token: str, integration: IntegrationT, callback: str, *, verifier_seed: str = "") -> None:
        binding = self._binding(integration, callback)
        self._pending_logins.begin(
            token, integration.id, binding, self._connects_to, verifier_seed, is_trial=self._is_trial
        )

    def _finish(self, token: str, user: UserProtocol | None) -> tuple[IntegrationT, PendingLogin, Budget]:
        """Take the login with this *token* out, and compare everything that must be as it was when the login began.
        Returns the budget for what has to be asked now; the caller ends it.

        At another integration's address, while there are too many steps at the server, and while the server is left
        alone because it failed, it stays under way: then the right address, or the next attempt, still finishes it.
        Raises ``login_mixed_up``, ``server_busy``, ``server_overloaded``, ``integration_changed``, ``person_changed``
        and the problems of a login that is not pending.
        """
        integration = self._coming_back_to(token)
        budget = self._budget(integration, CALLBACK)
        try:
            admit(integration, budget)
            begun, pending = self._take_out(token, integration, user)
        except BaseException:
            budget.end()
            raise
        return begun, pending, budget

    def _finish_refused(self, token: str, user: UserProtocol | None) -> PendingLogin:
        """Take out the login with this *token*, for which no server has to be asked. Raises the same, but for
        ``server_busy`` and ``server_overloaded``."""
        return self._take_out(token, self._coming_back_to(token), user)[1]

    def _coming_back_to(self, token: str) -> IntegrationT:
        """Return the integration of the login that is pending with this *token*, as it is now."""
        pending = self._pending_logins.find(token)
        if pending is None:
            raise BitbucketServerError("login_not_pending")
        if not self._is_at_its_own_address(pending):
            raise BitbucketServerError("login_mixed_up")
        return self.chosen_integration()

    def _take_out(
        self, token: str, integration: IntegrationT, user: UserProtocol | None
    ) -> tuple[IntegrationT, PendingLogin]:
        """Return also the *integration* with the credentials that the login began with."""
        pending = self._pending_logins.finish(token)
        callback = self.callback_url(integration)
        known = self.may_have_begun_with(integration)
        begun = next((one for one in known if self._binding(one, callback) == pending.binding), None)
        if begun is None:
            raise BitbucketServerError("integration_changed")
        if pending.connects_to and self._id_of(user) != pending.connects_to:
            raise BitbucketServerError("person_changed")
        return begun, pending

    def _is_at_its_own_address(self, pending: PendingLogin) -> bool:
        """Return whether the request names the integration of *pending*, and finishes this kind of login."""
        chosen = (
            SINGLE_INTEGRATION_ID
            if self.has_single_server
            else self._parameter("integration", absent="integration_missing")
        )
        return pending.integration_id == chosen and pending.is_trial == self._is_trial

    def _configuration_of(self, integration: IntegrationT) -> str:
        """Return a digest of what must not change while a login is under way."""
        conditions = self.get_admission(integration).conditions
        return hashlib.sha256(json.dumps([integration.fingerprint, conditions]).encode()).hexdigest()

    def _binding(self, integration: IntegrationT, callback: str) -> str:
        return hashlib.sha256(f"{self._configuration_of(integration)}\n{callback}".encode()).hexdigest()[:32]

    def _id_of(self, user: UserProtocol | None) -> str:
        """What tells a user who is logged in from everybody else, short enough for a session; nothing for nobody."""
        if user is None or not user_is_authenticated(user):
            return ""
        text = str(self._primary_key_of(user))
        is_short = len(quote(text, safe="")) < LONGEST_PERSON  # no shorter one looks like a digest
        return text if is_short else hashlib.sha256(text.encode()).hexdigest()

    def _primary_key_of(self, user: UserProtocol) -> object:
        """As the storage knows it, or as Django and social-core call it. Raises ``setting_invalid``."""
        own = getattr(self.strategy.storage.user, "primary_key_of", None)
        if own is not None:
            return own(user)
        name = next((name for name in ("pk", "id") if hasattr(user, name)), None)
        if name is None:
            raise BitbucketServerError(
                "setting_invalid",
                "Its users have neither id nor pk, and its user class has no primary_key_of().",
                parameter="STORAGE",
            )
        return getattr(user, name)

    def do_auth(self, access_token: AccessToken, *args: Any, **kwargs: Any) -> UserProtocol | ResponseT_co | None:
        """Log in the person whose *access_token* it is, issued by the server of *integration*, or of the one that
        the request names; with *connects*, connect their account to the *user* who is logged in and asked for it.

        *configuration* is a digest of the integration that the login began with, by default the present one.
        """
        integration, connects = kwargs.pop("integration", None), kwargs.pop("connects", False)
        configuration = kwargs.pop("configuration", "")
        budget: Budget | None = kwargs.pop("budget", None)
        with self._problems("user_info"):
            integration = integration or self.chosen_integration()
            configuration = configuration or self._configuration_of(integration)
            admission = self.get_admission(integration)
            # Ended before the pipeline, which waits for no server.
            with budget or self._budget(integration, CALLBACK) as budget:
                integration, profile = self.ask(
                    integration, lambda client: fetch_profile(client.as_person(access_token)), budget
                )
                owner = self.client(integration).within(budget).as_person(access_token)
                if self._is_trial:
                    found = tuple(findings(owner, profile, admission))
                    return cast("ResponseT_co", replace(profile, findings=found))
                require_admission(owner, profile, admission)
            self._refuse_another_person(kwargs.get("user"), integration.uid(profile.id), connects=connects)
            response = _response(profile, integration)
            if self._keeps_tokens:
                stored = StoredToken.granted(access_token, integration, self._scope_for(integration))
                response[EXTRA_DATA_KEY] = stored.seal(self._key_ring(), integration, response["uid"])
        kwargs.update(
            response=response,
            integration_id=integration.id,
            integration_configuration=configuration,
            connects_to=self._id_of(kwargs.get("user")) if connects else "",
        )
        with self._failed_steps():
            person = self._person(*args, **kwargs)
        with self._problems("pipeline"):
            self._refuse_the_inactive(person)
        return person

    def _person(self, *args: Any, **kwargs: Any) -> UserProtocol | ResponseT_co | None:
        """What core's pipeline returns."""
        try:
            return self.strategy.authenticate(self, *args, **kwargs)
        except SocialAuthBaseException as error:
            if kwargs.get("user") is not None or not self._has_lost_a_race(error, kwargs["response"]["uid"]):
                raise
        # Of two first logins of one person at once, one makes the account, and now the other one finds it.
        return self.strategy.authenticate(self, *args, **kwargs)

    def _has_lost_a_race(self, error: SocialAuthBaseException, uid: str) -> bool:
        """Return whether the database refused what another login had just written: this identity, or the user name."""
        cause = error.__cause__ or error.__context__
        if cause is None or not self.strategy.storage.is_integrity_error(cause):
            return False
        users = self.strategy.storage.user
        is_about_the_name = error.code == "username_in_use" and not is_named_by_email(users)
        return is_about_the_name or users.get_social_auth(self.name, uid) is not None

    def pipeline(
        self, pipeline: Sequence[str], pipeline_index: int = 0, *args: Any, **kwargs: Any
    ) -> UserProtocol | ResponseT_co | None:
        """Run the steps of *pipeline*; where core has one that fails at odd columns of users, run ours instead."""
        steps = [_OWN_STEPS.get(step, step) for step in pipeline]
        return super().pipeline(steps, pipeline_index, *args, **kwargs)

    def continue_pipeline(self, partial: PartialMixin) -> UserProtocol | ResponseT_co | None:
        """Go on with a pipeline that was halted. Raises what :meth:`do_auth` raises after the person is known."""
        with self._failed_steps():
            return super().continue_pipeline(partial)

    def validate_partial_pipeline(self, partial: PartialMixin, user: UserProtocol | None = None) -> None:
        """Let a halted pipeline go on for *user*, who is logged in now, only if the login began as theirs or its steps
        found them. Raises the social error of ``another_person``."""
        super().validate_partial_pipeline(partial, user)
        if user is None or not user_is_authenticated(user):
            return
        own = {partial.kwargs.get("connects_to"), self._id_of(partial.kwargs.get("user"))}
        if self._id_of(user) not in own:
            with self._problems("callback"):
                raise BitbucketServerError("another_person")

    @contextmanager
    def _failed_steps(self) -> Iterator[None]:
        """Turn whatever a step of the pipeline raises into ``step_failed``, but for core's errors and those by which a
        framework answers. The log says where it was, without the error's text: that may be about a person."""
        try:
            yield
        except SocialAuthBaseException as error:
            if error.code == "username_in_use" and is_named_by_email(self.strategy.storage.user):
                raise BitbucketServerError("email_in_use").as_social_error(self, "pipeline") from None
            raise
        except Exception as error:
            if _ANSWERS.intersection(f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__):
                raise
            failed = BitbucketServerError("step_failed", f"It raised {type(error).__qualname__}.")
            failure = failed.as_social_error(self, "pipeline")
            place = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("reference=%s: %s at\n%s", reference_of(failure), type(error).__qualname__, place)
            raise failure from None

    def run_authentication(self, *args: Any, **kwargs: Any) -> UserProtocol | ResponseT_co | None:
        """Run core's pipeline while the integration is the one that the login began with.

        Bitbucket may take seconds to answer, and a halted pipeline may go on days later. Meanwhile an admin may have
        corrected the base URL, and then the answers are those of the wrong server. So the integration is looked up
        again before and after the pipeline, in its transaction where the storage has one.

        Some databases compare without case. So the identity that was found must have exactly this login's uid.

        Raises the social errors of ``integration_changed``, ``integration_unknown`` and ``identity_similar``; then
        nothing is written.
        """
        uid: str = kwargs["response"]["uid"]
        hold_integration = getattr(self.strategy, "hold_integration", None)
        # A strategy that holds the integration has a transaction around all of this.
        all_or_nothing = self._of_the_storage("all_or_nothing") if hold_integration is None else None
        try:
            with (all_or_nothing or nullcontext)():
                self._refuse_changed_integration(**kwargs)
                if all_or_nothing is None and hold_integration is None:  # what the pipeline writes is not taken back
                    self._refuse_similar_identity(self.strategy.storage.user.get_social_auth(self.name, uid), uid)
                person = super().run_authentication(*args, **kwargs)
                self._refuse_similar_identity(getattr(person, "social_user", None), uid)
                if hold_integration is not None:
                    hold_integration(kwargs["integration_id"])
                self._refuse_changed_integration(**kwargs)
        except Exception as error:
            if all_or_nothing is not None and self._is_about_similar_identity(error, uid):
                problem = BitbucketServerError("identity_similar", parameter="namespace")
                raise problem.as_social_error(self, "pipeline") from error
            raise
        return person

    def _of_the_storage(self, name: str) -> Callable[..., Any] | None:
        """Return what the storage does besides social-core's interface: by itself, or for social_django's by
        :mod:`~social_bitbucket_server.django.storage`."""
        storage = self.strategy.storage
        own = getattr(storage, name, None)
        if own is not None or not any(base.__module__ == _DJANGO for base in getattr(storage, "__mro__", ())):
            return cast("Callable[..., Any] | None", own)
        of_django = getattr(import_module("social_bitbucket_server.django.storage"), name, None)
        return None if of_django is None else partial(of_django, storage)

    def _is_about_similar_identity(self, error: Exception, uid: str) -> bool:
        has_similar_identity = self._of_the_storage("has_similar_identity")
        is_refused_by_the_database = self.strategy.storage.is_integrity_error(error)
        return is_refused_by_the_database and has_similar_identity is not None and has_similar_identity(self.name, uid)

    def _refuse_similar_identity(self, identity: UserMixin | None, uid: str) -> None:
        if identity is not None and identity.provider == self.name and str(identity.uid) != uid:
            raise BitbucketServerError("identity_similar", parameter="namespace").as_social_error(self, "pipeline")

    def _refuse_changed_integration(
        self, *, integration_id: str = "", integration_configuration: str = "", **_kwargs: Any
    ) -> None:
        read_anew = getattr(self.strategy.storage, "read_anew", None)
        if read_anew is not None:
            read_anew()
        with self._problems("pipeline"):
            integration = self._integration_with(integration_id)
            if integration is None:
                raise BitbucketServerError("integration_unknown", parameter="integration")
            if integration_configuration not in map(self._configuration_of, self.may_have_begun_with(integration)):
                raise BitbucketServerError("integration_changed")

    def _refuse_the_inactive(self, person: object) -> None:
        """Core sends whoever is disabled here to an address that is configured for them, and fails without one."""
        is_person = isinstance(person, self.strategy.storage.user.user_model())
        if not is_person or user_is_active(cast("UserProtocol", person)) or self.setting("ALLOW_INACTIVE_USERS_LOGIN"):
            return
        if setting_url(self, "INACTIVE_USER_URL", "LOGIN_ERROR_URL", "LOGIN_URL") is None:
            raise BitbucketServerError("person_inactive")

    @opaque
    def _parameter(
        self, name: str, *, absent: str = "callback_parameter_missing", shape: re.Pattern[str] = _TOKEN
    ) -> Secret:
        """One value of the request, given once, of the characters that tokens are made of."""
        values = self.data.getlist(name) if hasattr(self.data, "getlist") else [self.data.get(name)]
        if len(values) > 1:
            raise BitbucketServerError("callback_parameter_invalid", f"{name} is there twice.", parameter=name)
        value = values[0] if values else None
        if not value:
            raise BitbucketServerError(absent, parameter=name)
        if not isinstance(value, str) or not shape.fullmatch(value):
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
        for name in ("access_token", "token_type"):
            data.pop(name, None)
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
        store = self._stored_token(identity, integration)
        return RestClient(self.client(integration), store, sleep=sleep, limits=self.limits)

    def reseal_access_token(self, identity: UserMixin) -> bool:
        """Seal the access token of *identity* with the ring's newest key, so that an older one can be taken off.

        Returns whether anything was to do. Raises ``token_missing``, ``token_unopenable``, ``setting_missing`` and
        ``key_ring_invalid``.
        """
        return reseal(identity, self._key_ring())

    def recheck(self, identity: UserMixin, *, sleep: Callable[[float], None] = time.sleep) -> Recheck:
        """Ask, with the access token kept at their last login, whether the person with this *identity* could log in
        now: the account is there, active and the same, and may. Changes nothing but a token that has to be renewed.

        Raises nothing: what keeps the server from being asked is said in the result.
        """
        try:
            integration = self._integration_of(identity)
            admission = self.get_admission(integration)
            store, scope = self._stored_token(identity, integration), self._scope_for(integration)
            with self._budget(integration, WHOLE) as budget:
                self.ask(
                    integration,
                    lambda client: ask_whether_admitted(
                        RestClient(client, store, sleep=sleep, budget=budget), identity.uid, admission, scope
                    ),
                    budget,
                )
        except BitbucketServerError as error:
            return Recheck.failed(error)
        return Recheck(Standing.ADMITTED)

    def _scope_for(self, integration: IntegrationT) -> str:  # noqa: ARG002  # OAuth 2's
        """What a login asks a token for; nothing in OAuth 1."""
        return ""

    def _integration_of(self, identity: UserMixin) -> IntegrationT:
        if EXTRA_DATA_KEY not in identity.extra_data:
            raise BitbucketServerError("token_missing")
        integration = self._integration_with(identity.extra_data.get("integration", ""))
        if integration is None:
            raise BitbucketServerError("integration_unknown", parameter="integration")
        return integration

    def _integration_with(self, integration_id: str) -> IntegrationT | None:
        """Return the integration of this id as it is now, without a look at the request."""
        if not self.has_single_server:
            return self.get_integration(integration_id)
        return self.single_integration() if integration_id == SINGLE_INTEGRATION_ID else None

    def _stored_token(self, identity: UserMixin, integration: IntegrationT) -> IdentityToken:
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

    def request(self, *args: Any, **kwargs: Any) -> Never:  # noqa: ARG002  # core's signature
        """Core's own way of asking follows redirects and listens to the environment; use :class:`~.oauth.Client`."""
        self._unsupported("request")

    def _unsupported(self, feature: str) -> Never:
        raise AuthConfigurationError(self, code="unsupported_feature", parameter=feature)

    @contextmanager
    def _problems(self, stage: ErrorStage) -> Iterator[None]:
        try:
            yield
        except BitbucketServerError as error:
            # Without the way it came: the variables of the functions on it hold tokens.
            raise self._named(error).as_social_error(self, stage) from None

    def _named(self, error: BitbucketServerError) -> BitbucketServerError:
        """Return *error* with the full name of the setting that it is about."""
        name = error.parameter or ""
        if error.setting or error.code not in _ABOUT_SETTINGS:
            return error
        if name.isupper():
            return error.in_setting(self.full_name(name))
        return error.in_setting(self.full_name(setting_of_field(name))) if self.has_single_server else error


def _response(profile: Profile, integration: AnyIntegration) -> dict[str, Any]:
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
