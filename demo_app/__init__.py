"""A minimal Flask application whose organizations let their people log in with their own Bitbucket Server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask, Response, url_for
from flask_login import LoginManager

from social_bitbucket_server.flask.organizations import Organizations, form_targets, handle_errors
from social_bitbucket_server.sqlalchemy import set_up_sqlite

from . import limits, organizations, people
from .kept import Kept
from .models import User, db, models

__all__ = ["create_app"]

_SETTING = "SOCIAL_AUTH_BITBUCKET_SERVER_"


def create_app(origin: str = "http://127.0.0.1:8000", folder: Path = Path("instance"), **config: Any) -> Flask:
    """Return the application, which browsers reach at *origin*. *folder* keeps its database and secrets. Everything
    else goes to Flask's configuration."""
    kept = Kept(folder.resolve())
    app = Flask(__name__)
    app.config.from_mapping(
        {
            "SECRET_KEY": kept.text("secret_key"),
            "SESSION_COOKIE_SAMESITE": "Lax",
            "SESSION_COOKIE_SECURE": origin.startswith("https://"),
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{kept.file('demo.sqlite')}",
            f"{_SETTING}CALLBACK_ORIGIN": origin,
            f"{_SETTING}APPLICATION_NAME": "Demo App",
            f"{_SETTING}KEY_RING": kept.key_ring(),
            **config,
        }
    )
    db.init_app(app)
    with app.app_context():
        set_up_sqlite(db.engine)
        db.create_all()
    limits.limiter.init_app(app)
    LoginManager(app).user_loader(_user)
    Organizations(
        app,
        models,
        may_administer=people.may_administer,
        belongs_to=people.belongs_to,
        may_connect=people.may_connect,
        forget=people.forget,
        limit=limits.limit,
        next_page=people.next_page,
        admin_login=lambda organization: url_for("organizations.owner_login", slug=organization.slug),
    )
    handle_errors(app)
    app.register_blueprint(organizations.blueprint)
    app.after_request(_send_security_headers)
    return app


def _user(session_key: str) -> User | None:
    user: User | None = db.session.scalar(db.select(User).where(User.session_key == session_key))
    return user


def _send_security_headers(response: Response) -> Response:
    targets = " ".join(["'self'", *form_targets()])
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        f"form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
