"""A Flask application in which organizations let their people log in with their own Bitbucket Server."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.organizations import SealedKeys

from . import (
    account,
    add_integration,
    audit,
    commands,
    configuration,
    database,
    errors,
    event_pages,
    integrations,
    key_pair_pages,
    key_rotation,
    login,
    login_settings,
    oauth2,
    onboarding,
    operation,
    organization,
    pipeline,
    rate_limits,
    security_headers,
    settings,
    setup,
    start,
    templating,
)
from .access import login_manager
from .browser_session import ABSOLUTE_LIMIT
from .config import SETTINGS, Settings
from .models import SocialStorage
from .routing import RowNumber

__all__ = ["create_app"]


def create_app(config: Mapping[str, object] | None = None) -> Flask:
    """The application, with its database up to date.

    *config* overrides the environment; :data:`demo_app.config.SETTINGS` names the settings, everything else goes to
    Flask's own configuration. Raises :class:`~demo_app.instance_files.UnsafeSettingError` where the settings cannot be
    used together.
    """
    app_settings = Settings.read(config)
    app = Flask(__name__, instance_path=str(app_settings.instance.path))
    app.url_map.converters["int"] = RowNumber
    app.config.update(
        SECRET_KEY=app_settings.secret_key,
        SESSION_COOKIE_NAME="__Host-demo_session" if app_settings.is_https else "demo_session",
        SESSION_COOKIE_SECURE=app_settings.is_https,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=ABSOLUTE_LIMIT,
        MAX_CONTENT_LENGTH=256 * 1024,
        WTF_CSRF_TIME_LIMIT=None,  # a token lives as long as its session
        WTF_CSRF_SSL_STRICT=False,  # it wants a Referer, and the pages' policy sends none
        SOCIAL_AUTH_PIPELINE=pipeline.STEPS,
        SOCIAL_AUTH_LOGIN_REDIRECT_URL="/",
        SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS=integrations.for_login,
        SOCIAL_AUTH_BITBUCKET_SERVER_PENDING_KEY_ACCEPTED=key_rotation.promote_after_a_login,
        SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN=app_settings.public_base_url,
        SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_INTEGRATIONS=integrations.for_oauth2_login,
        SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_CALLBACK_ORIGIN=app_settings.public_base_url,
    )
    app.config.update({name: value for name, value in (config or {}).items() if name not in SETTINGS})
    app.extensions["settings"] = app_settings
    templating.set_up(app, app_settings)

    audit.set_up(app)
    rate_limits.set_up(app, app_settings)
    if app_settings.trusted_proxy_hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # Flask's documented way to add a middleware
            app.wsgi_app, x_for=app_settings.trusted_proxy_hops, x_proto=0, x_host=0, x_port=0, x_prefix=0
        )
    security_headers.protect(app, app_settings)
    CSRFProtect(app)
    login_manager.init_app(app)
    bitbucket.configure(app, SocialStorage)
    errors.handle_errors(app)
    for module in (
        start,
        organization,
        login,
        login_settings,
        configuration,
        account,
        settings,
        event_pages,
        add_integration,
        onboarding,
        key_pair_pages,
        oauth2,
        setup,
        operation,
        commands,
    ):
        app.register_blueprint(module.blueprint)

    _open_database(app, app_settings)
    return app


def _open_database(app: Flask, app_settings: Settings) -> None:
    """Bring the database up to date, and take the key ring into use with which its secrets are sealed."""
    database.connect(app, app_settings.database_url)
    try:
        with app.app_context():
            database.upgrade(app.extensions["engine"])
            key_ring = integrations.load_key_ring(app_settings)
            app.extensions["sealed_keys"] = SealedKeys(KeyRing.parse(key_ring))
            operation.check_key_ring()
    except BaseException:
        app.extensions["engine"].dispose()
        raise
    for prefix in ("SOCIAL_AUTH_BITBUCKET_SERVER_", "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_"):
        app.config[f"{prefix}KEY_RING"] = key_ring
        app.config[f"{prefix}STORE_ACCESS_TOKEN"] = app_settings.store_access_tokens
