"""The Flask extension: settings, two routes for each OAuth, error pages and the button.

The routes of social-auth-app-flask 1.0.0 begin logins by GET without CSRF protection. Use these instead of its
blueprint.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup
from social_core.exceptions import SocialAuthBaseException
from social_core.storage import BaseStorage
from social_core.utils import setting_name
from social_flask.routes import social_auth as stock_blueprint
from werkzeug.wrappers import Response

from ..backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from ..integration import (
    BACKENDS,
    SettingsOf,
    UnsafeConfigurationError,
    refuse_missing_settings,
    refuse_unsafe_settings,
    refuse_unusable_settings,
    warn_of_missing_names,
)
from ..login import (
    HEADERS_OF_LOGIN_PAGE,
    HostCheck,
    button_label,
    error_page,
    form_with_button,
    has_server,
    is_declined_login,
    login_page,
    lost_sessions,
)
from .logins import begin, check_csrf, complete
from .strategy import FlaskStrategy

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
    """Apply the settings alone, for an application with routes of its own around :func:`begin` and :func:`complete`.

    Raises :class:`~social_bitbucket_server.integration.UnsafeConfigurationError`, now or with the first request.
    """
    app.config.setdefault(setting_name("STRATEGY"), FlaskStrategy)
    paths = [BACKENDS[backend] for backend in _configured_backends(app)]
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


def _routes(blueprint: str, backend: str) -> Blueprint:
    """Return the two addresses of *backend*, as endpoints of *blueprint*."""
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
        return login_page(backend, current_app.config, form), HEADERS_OF_LOGIN_PAGE

    @routes.get(f"/complete/{backend}/", defaults={"integration": None}, endpoint="complete", **as_they_are)
    @routes.get(f"/complete/{backend}/<integration>/", endpoint="complete", **as_they_are)
    def complete_login(integration: str | None) -> Response:
        return complete(callback_path(integration), backend=backend)

    return routes


def _configured_backends(app: Flask) -> list[str]:
    """Return the names of OAuth 1, and of OAuth 2 if it has a server."""
    oauth2 = BitbucketServerOAuth2.name
    return [BitbucketServerOAuth1.name, oauth2] if has_server(oauth2, app.config) else [BitbucketServerOAuth1.name]


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
    """Return a form with a button that begins a login with *backend*.

    *integration* is the id of one of many, or ``None``. *next* is the path to go to afterwards. Without a *label* the
    button says "Log in with Bitbucket". If the application has both backends, that of OAuth 2 says "Log in with
    Bitbucket (OAuth 2)".
    """
    form = form_with_button(
        url_for(f"{_BLUEPRINTS[backend]}.begin", integration=integration),
        label or button_label(backend, current_app.config),
        {"csrf_token": generate_csrf(), "next": next},
    )
    return Markup(form)  # noqa: S704  # its parts are escaped


def show_error(error: SocialAuthBaseException) -> ResponseReturnValue:
    """Return the page for a login that failed, or a redirect to ``SOCIAL_AUTH_LOGIN_ERROR_URL`` for a declined one.

    Without this setting, and for a person who is logged in and connects an account, a declined login has a page, too.
    """
    login_page = current_app.config.get(setting_name("LOGIN_ERROR_URL"))
    if is_declined_login(error) and login_page:
        return redirect(login_page, 303)
    answer = error_page(error, login_page or "/")
    return answer.body, answer.status, dict(answer.headers)
