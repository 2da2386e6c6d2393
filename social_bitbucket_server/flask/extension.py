"""Log in with Bitbucket Server in Flask: a strategy that social-core 7 works with, two routes, and error pages.

social-auth-app-flask 1.0.0 fails with core 7 when a login comes back, and its routes begin logins by GET without
CSRF protection. Use these instead of its blueprint.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import flask_login
from flask import (
    Blueprint,
    current_app,
    has_request_context,
    redirect,
    render_template_string,
    request,
    session,
    url_for,
)
from flask_wtf.csrf import generate_csrf, validate_csrf
from markupsafe import Markup
from social_core.actions import do_auth, do_complete
from social_core.exceptions import AuthCanceled, SocialAuthBaseException
from social_core.strategy import BaseStrategy
from social_core.utils import module_member, setting_name
from social_flask.routes import social_auth as stock_blueprint
from social_flask.strategy import FlaskStrategy as StockFlaskStrategy
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import MethodNotAllowed
from wtforms.validators import ValidationError

from ..backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from ..crypto import Secret, opaque, plain
from ..integration import (
    SettingsOf,
    UnsafeConfigurationError,
    configured_backend,
    refuse_missing_settings,
    refuse_unsafe_settings,
    refuse_unusable_settings,
    warn_of_missing_names,
)
from ..login import LONGEST_NEXT, HostCheck, error_page, lost_sessions, page, reference, under_way
from ..problems import BitbucketServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.typing import ResponseReturnValue
    from social_core.storage import BaseStorage, UserMixin
    from werkzeug.wrappers import Response

    from ..account import Profile, Recheck, RestClient
    from ..login import LoginBackend

__all__ = [
    "BitbucketServer",
    "FlaskStrategy",
    "begin",
    "button",
    "check_csrf",
    "complete",
    "complete_trial",
    "configure",
    "connect",
    "is_trial",
    "log_in",
    "recheck",
    "reference",
    "reseal_access_token",
    "rest_client",
    "show_error",
    "try_login",
]

_PATHS = {
    backend.name: f"{backend.__module__}.{backend.__qualname__}"
    for backend in (BitbucketServerOAuth1, BitbucketServerOAuth2)
}


class FlaskStrategy(StockFlaskStrategy):  # type: ignore[misc]  # untyped
    """The stock strategy with what core 7 asks of it. The route variable ``integration`` counts as a parameter that
    no query or form field of the same name can override."""

    request_data = BaseStrategy.request_data

    @opaque
    def get_request_data(self, merge: bool = True) -> MultiDict[str, str]:
        """Form and query of the current request; without *merge* those of its method alone. A form that is sent with
        a GET counts for nothing."""
        data: MultiDict[str, str] = MultiDict()
        if not has_request_context():
            return data
        if request.method == "POST":
            data.update(_hidden(request.form))
        if merge or request.method != "POST":
            data.update(_hidden(request.args))
        chosen = (request.view_args or {}).get("integration")
        if chosen is not None:
            data["integration"] = chosen
        if len(data.get("next", "")) > LONGEST_NEXT:
            data.poplist("next")
        if not self._has_way_out:
            data.pop("partial_token", None)
        return data

    def session_set(self, name: str, value: Any) -> None:
        """Keep *value* in the session, in plain texts."""
        super().session_set(name, plain(value))

    def session_setdefault(self, name: str, value: Any) -> Any:
        """Return what the session keeps under *name*, which is *value* in plain texts where there was nothing."""
        return super().session_setdefault(name, plain(value))

    def to_session_value(self, val: Any) -> Any:
        """Return *val* for a halted pipeline, in plain texts."""
        return plain(val)

    @property
    def _has_way_out(self) -> bool:
        """Whether core knows where to go where ``partial_token`` names a login that is not there."""
        return bool(self.setting("LOGIN_ERROR_URL") or self.setting("LOGIN_URL"))

    def build_absolute_uri(self, path: str | None = None) -> str:
        """*path* on this application's host; itself where there is no request, such as in a background job."""
        return super().build_absolute_uri(path) if has_request_context() else path or ""

    def redirect(self, url: str) -> Response:
        """Send the browser to *url* by GET, also after a POST, with a body that does not repeat the address: there
        may be a token in it."""
        response = redirect(url, 303)
        response.set_data(b"")
        return response


def _hidden(values: MultiDict[str, str]) -> MultiDict[str, str]:
    """The same, in texts that do not show themselves: a callback's address holds the verifier."""
    return MultiDict((name, Secret(value)) for name, value in values.items(multi=True))


def begin(callback_path: str, backend: str = BitbucketServerOAuth1.name) -> Response:
    """Begin a login and send the browser to the Bitbucket Server. Call it for a POST whose CSRF token was checked.

    *callback_path* is where this application calls :func:`complete` with the same *backend*. Which integration is read
    from the route variable, form field or query field ``integration``. Raises ``SocialAuthBaseException``.
    """
    return _begun(_backend(callback_path, backend))


def connect(callback_path: str, backend: str = BitbucketServerOAuth1.name) -> Response:
    """Begin a login whose account is connected to whoever is logged in by Flask-Login, as another way to log in. Call
    it for a POST whose CSRF token was checked.

    It comes back to *callback_path* like any login. The account is connected if the same person is still logged in
    then, and if it is nobody else's. Raises ``SocialAuthBaseException``.
    """
    connecting = _backend(callback_path, backend)
    connecting.connect_to(_person())
    return _begun(connecting)


def log_in(backend: LoginBackend[Response, Any], user: Any, identity: Any) -> None:  # noqa: ARG001  # core's call
    """Log *user* in by Flask-Login, in a new session."""
    regenerate = getattr(current_app.session_interface, "regenerate", None)
    if regenerate is not None:
        regenerate(session)
    else:
        kept = under_way(session, _BLUEPRINTS)
        session.clear()
        session.update(kept)  # logins that are under way in other tabs
    flask_login.login_user(user)


def complete(
    callback_path: str,
    login: Callable[[Any, Any, Any], None] = log_in,
    connected: Callable[[Any, Any, Any], None] | None = None,
    backend: str = BitbucketServerOAuth1.name,
) -> Response:
    """Finish the login that came back to *callback_path*, and redirect to where it was meant to go.

    *login* is called with the backend, the user and their identity. Whoever was logged in before stays out of it: an
    identity is never attached to the account that happens to be open. Only where :func:`connect` began it, it is
    attached to the person who did, and *connected* is called instead of *login*. Raises ``SocialAuthBaseException``;
    ``MethodNotAllowed`` for a HEAD, which would use the login up.
    """
    _refuse_head()
    completing = _backend(callback_path, backend)
    if not completing.is_connecting:
        return do_complete(completing, login=login, user=None)
    person = _person()
    response = do_complete(completing, login=login, user=person)
    if connected is not None:
        connected(completing, person, person.social_user)
    return response


def try_login(callback_path: str, backend: str = BitbucketServerOAuth1.name) -> Response:
    """Begin a login by which nobody is logged in: whoever is logged in by Flask-Login wants to see whether it works.
    Call it for a POST whose CSRF token was checked. It comes back to *callback_path* like any login, where
    :func:`is_trial` tells it from others. Raises ``SocialAuthBaseException``.
    """
    trying = _backend(callback_path, backend)
    trying.try_as(_person())
    return _begun(trying)


def is_trial(callback_path: str, backend: str = BitbucketServerOAuth1.name) -> bool:
    """Whether the login that comes back to *callback_path* began with :func:`try_login`."""
    return _backend(callback_path, backend).is_trial


def complete_trial(callback_path: str, backend: str = BitbucketServerOAuth1.name) -> Profile:
    """Finish the login that began with :func:`try_login`, if the same person is still logged in. Returns whose account
    Bitbucket says it is. Raises what :func:`complete` raises."""
    _refuse_head()
    return _backend(callback_path, backend).complete_trial(_person())


def rest_client(identity: UserMixin, *, sleep: Callable[[float], None] = time.sleep) -> RestClient:
    """Calls as the person whose *identity* it is; in a background job, too, within an application context.

    Needs ``…_STORE_ACCESS_TOKEN`` of the backend that the identity is from. Waits with *sleep* where the server limits
    requests. Raises what :meth:`~social_bitbucket_server.login.LoginBackend.rest_client` raises.
    """
    return _backend("", identity.provider).rest_client(identity, sleep=sleep)


def reseal_access_token(identity: UserMixin) -> bool:
    """Seal the access token of *identity* with the ring's newest key; returns whether anything was to do."""
    return _backend("", identity.provider).reseal_access_token(identity)


def recheck(identity: UserMixin, *, sleep: Callable[[float], None] = time.sleep) -> Recheck:
    """Whether the person with this *identity* could log in now, asked with their own access token; see
    :meth:`~social_bitbucket_server.login.LoginBackend.recheck`."""
    return _backend("", identity.provider).recheck(identity, sleep=sleep)


def _begun(backend: LoginBackend[Response, Any]) -> Response:
    """Begin a login. Forget the ``next`` page of an earlier, unfinished one."""
    session.pop("next", None)
    return do_auth(backend, user=_person() if backend.setting("CONNECT_LOGGED_IN", False) else None)


def _refuse_head() -> None:
    """Reject HEAD: Flask routes it to GET views, and it would use up the login."""
    if request.method == "HEAD":
        raise MethodNotAllowed(["GET"])


def _person() -> Any:
    """Whoever is logged in by Flask-Login, or its anonymous user; never the proxy for them."""
    return flask_login.current_user._get_current_object()


def check_csrf() -> None:
    """Refuse a request whose form field ``csrf_token`` is not this session's, and one that came from another site as
    its browser says. Raises ``SocialAuthBaseException``."""
    refusal = BitbucketServerError("form_expired", parameter="csrf_token")
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise refusal.as_social_error(None, "begin")
    try:
        validate_csrf(request.form.get("csrf_token"))
    except ValidationError as error:
        raise refusal.as_social_error(None, "begin") from error


def _backend(callback_path: str, name: str) -> LoginBackend[Response, Any]:
    config = current_app.config
    strategy = _member(config[setting_name("STRATEGY")])(_member(config[setting_name("STORAGE")]))
    backend_class = configured_backend(config[setting_name("AUTHENTICATION_BACKENDS")], name)
    return cast("LoginBackend[Response, Any]", backend_class(strategy, callback_path))


def _member(configured: Any) -> Any:
    return module_member(configured) if isinstance(configured, str) else configured


def _routes(blueprint: str, backend: str) -> Blueprint:
    """The two addresses of *backend*, as endpoints of *blueprint*."""
    routes = Blueprint(blueprint, __name__)
    # No redirects that mend slashes: behind a proxy that ends TLS, they would take the verifier to http://.
    as_they_are: dict[str, Any] = {"strict_slashes": False, "merge_slashes": False}

    def callback_path(integration: str | None) -> str:
        return url_for(f"{blueprint}.complete", integration=integration)

    @routes.post(f"/login/{backend}/", defaults={"integration": None}, endpoint="begin", **as_they_are)
    @routes.post(f"/login/{backend}/<integration>/", endpoint="begin", **as_they_are)
    def begin_login(integration: str | None) -> Response:
        check_csrf()
        return begin(callback_path(integration or request.form.get("integration") or None), backend)

    @routes.get(f"/login/{backend}/", defaults={"integration": None}, endpoint="page", **as_they_are)
    @routes.get(f"/login/{backend}/<integration>/", endpoint="page", **as_they_are)
    def page_with_button(integration: str | None) -> ResponseReturnValue:
        chosen = integration or request.args.get("integration") or None
        form = button(integration=chosen, next=request.args.get("next"), backend=backend)
        keeps_tokens = SettingsOf(backend, current_app.config).get("STORE_ACCESS_TOKEN")
        content = _CONTENT.format(kept="" if keeps_tokens else " No token is kept.", button=form)
        return page("Log in with Bitbucket", content), _HEADERS_OF_PAGE

    @routes.get(f"/complete/{backend}/", defaults={"integration": None}, endpoint="complete", **as_they_are)
    @routes.get(f"/complete/{backend}/<integration>/", endpoint="complete", **as_they_are)
    def complete_login(integration: str | None) -> Response:
        return complete(callback_path(integration), backend=backend)

    return routes


_BLUEPRINTS = {BitbucketServerOAuth1.name: "bitbucket_server", BitbucketServerOAuth2.name: "bitbucket_server_oauth2"}


class BitbucketServer:
    """Adds "Log in with Bitbucket Server" to *app*.

    *storage* is social-core's storage, such as
    :func:`~social_bitbucket_server.sqlalchemy.make_storage` returns.

    - ``POST /login/bitbucket-server/`` and ``…/<integration>/`` begin (endpoint ``bitbucket_server.begin``); the form
      needs a ``csrf_token`` and may say in ``next`` where to go afterwards.
    - ``GET`` of these addresses is a page with that form, for links that should have been one.
    - ``GET /complete/bitbucket-server/`` and ``…/<integration>/`` is where a login comes back to.

    Where OAuth 2 is configured, there are the same at ``/login/bitbucket-server-oauth2/`` and
    ``/complete/bitbucket-server-oauth2/`` (endpoints ``bitbucket_server_oauth2.begin`` and ``….complete``).

    In templates ``bitbucket_server_button()`` is a form with a button. Every failure of a login becomes a page with
    what happened, what to do and a reference number; an application that registers its own error handler for
    ``SocialAuthBaseException`` afterwards shows its own.
    """

    def __init__(self, app: Flask | None = None, storage: type[BaseStorage] | None = None) -> None:
        if app is not None and storage is not None:
            self.init_app(app, storage)

    def init_app(self, app: Flask, storage: type[BaseStorage]) -> None:
        """Register settings, routes, error pages and the button. A request whose ``Host`` is no host's name gets status
        400, whatever page it is for."""
        configure(app, storage)
        app.wsgi_app = HostCheck(app.wsgi_app)  # type: ignore[method-assign]  # as Flask documents it
        app.config.setdefault(setting_name("LOGIN_REDIRECT_URL"), "/")
        for backend in _configured_backends(app):
            app.register_blueprint(_routes(_BLUEPRINTS[backend], backend))
        app.register_error_handler(SocialAuthBaseException, show_error)
        app.jinja_env.globals["bitbucket_server_button"] = button


def configure(app: Flask, storage: type[BaseStorage]) -> None:
    """The settings alone, for an application with routes of its own around :func:`begin` and :func:`complete`.

    Raises :class:`~social_bitbucket_server.integration.UnsafeConfigurationError`, now or with the first request.
    """
    app.config.setdefault(setting_name("STRATEGY"), FlaskStrategy)
    paths = [_PATHS[backend] for backend in _configured_backends(app)]
    app.config.setdefault(setting_name("AUTHENTICATION_BACKENDS"), paths)
    app.config[setting_name("STORAGE")] = storage
    _refuse_unsafe_application(app)
    refuse_missing_settings(app.config, app.config[setting_name("AUTHENTICATION_BACKENDS")])
    warn_of_missing_names(app.config, storage)
    _refuse_lost_sessions(app)
    unchecked = [app]

    @app.before_request
    def check_what_was_configured_later() -> None:
        """Check once. If the check fails, fail every request."""
        if unchecked:
            _refuse_unsafe_application(app)
            refuse_unusable_settings(app.config, app.config[setting_name("AUTHENTICATION_BACKENDS")])
            _refuse_lost_sessions(app)
            unchecked.clear()


def _configured_backends(app: Flask) -> list[str]:
    """OAuth 1, and OAuth 2 where it has a server."""
    oauth2 = BitbucketServerOAuth2.name
    return [BitbucketServerOAuth1.name, oauth2] if _has_server(app, oauth2) else [BitbucketServerOAuth1.name]


def _has_server(app: Flask, backend: str) -> bool:
    return SettingsOf(backend, app.config).has_own("URL", "INTEGRATIONS")


def _refuse_unsafe_application(app: Flask) -> None:
    refuse_unsafe_settings(app.config)
    for name, blueprint in app.blueprints.items():
        if blueprint is stock_blueprint:
            raise UnsafeConfigurationError(
                f"Do not register social_flask's blueprint ({name}) but the routes of social_bitbucket_server.flask, "
                "because with the stock ones another site can begin a login and connect an account."
            )


def _refuse_lost_sessions(app: Flask) -> None:
    for backend in _configured_backends(app):
        origin = SettingsOf(backend, app.config).get("CALLBACK_ORIGIN") or ""
        for sentence in lost_sessions(app.config, str(origin)):
            raise UnsafeConfigurationError(sentence)


def button(
    label: str = "",
    integration: str | None = None,
    next: str | None = None,  # noqa: A002  # the field's name
    backend: str = BitbucketServerOAuth1.name,
) -> Markup:
    """A form with a button that begins a login with *backend*, at *integration* where there are many, and goes to the
    path *next* afterwards. Without a *label* the button says "Log in with Bitbucket". If the application has both
    backends, that of OAuth 2 says "Log in with Bitbucket (OAuth 2)"."""
    return Markup(  # noqa: S704  # the template escapes
        render_template_string(
            _BUTTON,
            action=url_for(f"{_BLUEPRINTS[backend]}.begin", integration=integration),
            label=label or _label(backend),
            next=next,
            csrf=generate_csrf,
        )
    )


def _label(backend: str) -> str:
    has_another = backend == BitbucketServerOAuth2.name and _has_server(current_app, BitbucketServerOAuth1.name)
    return "Log in with Bitbucket (OAuth 2)" if has_another else "Log in with Bitbucket"


def show_error(error: SocialAuthBaseException) -> ResponseReturnValue:
    """The page for a login that failed; a declined one goes to ``SOCIAL_AUTH_LOGIN_ERROR_URL`` where it is set."""
    login_page = current_app.config.get(setting_name("LOGIN_ERROR_URL"))
    if isinstance(error, AuthCanceled) and login_page:
        return redirect(login_page, 303)
    answer = error_page(error, login_page or "/")
    return answer.body, answer.status, dict(answer.headers)


_HEADERS_OF_PAGE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_CONTENT = """\
<p>You log in with your Bitbucket account. This application never sees your password.</p>
<p>Bitbucket then asks whether this application may have access to your account, perhaps read and write access:
it knows no smaller permission for this. This application only asks who you are.{kept}</p>
{button}"""
_BUTTON = """\
<form method="post" action="{{ action }}">
<input type="hidden" name="csrf_token" value="{{ csrf() }}">
{% if next %}<input type="hidden" name="next" value="{{ next }}">{% endif %}
<button type="submit">{{ label }}</button>
</form>"""
