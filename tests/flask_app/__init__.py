"""A Flask application around the organizations, as strict as an application can be: the tests' own.

It has what the library leaves to applications: organizations and owners with passwords, rate limits, security headers
for all pages, one host, a database with the settings that it needs, and settings from the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from flask import Flask, url_for
from flask_login import LoginManager
from flask_wtf import CSRFProtect
from sqlalchemy import select
from werkzeug.middleware.proxy_fix import ProxyFix

import demo_app
from social_bitbucket_server.flask.organizations import Organizations, handle_errors, record
from social_bitbucket_server.organizations import EventCode

from . import commands, database, key_ring, navigation, owner, people, rate_limits, security_headers, start
from .config import SETTINGS, Settings
from .models import Organization, User, models

__all__ = ["create_app"]

_LOOKS = Path(demo_app.__file__).parent / "static"
_PREFIX = "SOCIAL_AUTH_BITBUCKET_SERVER_"


def create_app(config: Mapping[str, object] | None = None) -> Flask:
    """Return the application, with its tables.

    *config* overrides the environment; :data:`tests.flask_app.config.SETTINGS` names the settings, everything else goes
    to Flask's own configuration. Raises :class:`~tests.flask_app.instance_files.UnsafeSettingError`.
    """
    settings = Settings.read(config)
    app = Flask(__name__, instance_path=str(settings.instance.path), static_folder=_LOOKS)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_NAME="__Host-application_session" if settings.is_https else "application_session",
        SESSION_COOKIE_SECURE=settings.is_https,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=12),
        MAX_CONTENT_LENGTH=256 * 1024,
        WTF_CSRF_TIME_LIMIT=None,  # a token lives as long as its session
        WTF_CSRF_SSL_STRICT=False,  # it wants a Referer, and the pages' policy sends none
    )
    app.config.update({name: value for name, value in (config or {}).items() if name not in SETTINGS})
    app.extensions["settings"] = settings
    app.jinja_env.globals["application_name"] = settings.application_name
    rate_limits.set_up(app, settings)
    database.connect(app, settings.database_url)
    ring = _open_database(app, settings)
    for name, value in settings.of_the_library(ring).items():
        app.config.setdefault(f"{_PREFIX}{name}", value)
    organizations = Organizations(
        app,
        models,
        may_administer=people.may_administer,
        may_log_in=lambda organization: organization.disabled_at is None,
        belongs_to=people.belongs_to,
        may_connect=people.may_connect,
        forget=people.forget,
        limit=rate_limits.limit,
        next_page=navigation.after_login,
        admin_login=lambda organization: url_for("owner.login", slug=organization.slug),
    )
    if settings.trusted_proxy_hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # Flask's documented way to add a middleware
            app.wsgi_app, x_for=settings.trusted_proxy_hops, x_proto=0, x_host=0, x_port=0, x_prefix=0
        )
    security_headers.protect(app, settings)
    CSRFProtect(app)
    _log_in_by_session_key(app)
    handle_errors(app)
    security_headers.handle_errors(app)
    for blueprint in (start.blueprint, owner.blueprint):
        app.register_blueprint(blueprint)
    app.cli.add_command(commands.group)
    with app.app_context():
        if not organizations.store.resealing.opens_keys():
            record(EventCode.KEY_DECRYPT_FAILED, outcome="failure", code="key_ring")
    return app


def _open_database(app: Flask, settings: Settings) -> str:
    """Make the tables. Return the key ring with which their secrets are sealed."""
    try:
        with app.app_context():
            database.upgrade(app.extensions["engine"])
            return key_ring.load(settings)
    except BaseException:
        app.extensions["engine"].dispose()
        raise


def _log_in_by_session_key(app: Flask) -> None:
    login_manager = LoginManager(app)
    login_manager.session_protection = None  # a session may go on at another address

    @login_manager.user_loader  # type: ignore[untyped-decorator]
    def person_of_the_session(session_key: str) -> User | None:
        open_one = select(User).join(Organization).where(Organization.disabled_at.is_(None))
        user: User | None = database.session.scalar(open_one.where(User.session_key == session_key))
        return user
