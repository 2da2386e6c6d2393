"""A plain Flask application with many organizations, each with a server of another manner.

The environment has ``BITBUCKET``, the address that the servers' context paths are below, and ``FOLDER``, for the
database and the private key.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import flask_login
from flask import Flask, render_template_string
from sqlalchemy import NullPool, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.flask import BitbucketServer
from social_bitbucket_server.integration import Integration, Server, ServerURL
from social_bitbucket_server.sqlalchemy import make_storage

from .bitbucket import MANNERS

ALICE = "alice"
"""The integration of an organization that does no harm, with a fast server."""


class Base(DeclarativeBase):
    """The application's tables."""


class User(Base, flask_login.UserMixin):  # type: ignore[misc]  # it is untyped
    """A person."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str | None]


def create_app() -> Flask:
    """Make the application; its database is made with it."""
    folder, bitbucket = Path(os.environ["FOLDER"]), os.environ["BITBUCKET"]
    key = PrivateKey.read((folder / "key.pem").read_text())
    engine = create_engine(f"sqlite:///{folder / 'people.sqlite'}", poolclass=NullPool, connect_args={"timeout": 60})
    session = scoped_session(sessionmaker(engine))
    storage = make_storage(Base, User, session)
    Base.metadata.create_all(engine)

    def find(integration_id: str) -> Integration | None:
        manner = "fast" if integration_id == ALICE else integration_id
        if manner not in MANNERS:
            return None
        return Integration(
            id=integration_id,
            server=Server(ServerURL.parse(f"{bitbucket}/{manner}")),
            consumer_key="the-consumer",
            private_key=key,
            namespace=integration_id,
        )

    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secrets.token_hex(32),
        SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS=find,
        SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN="http://127.0.0.1",
        SOCIAL_AUTH_LOGIN_ERROR_URL="/",
    )
    BitbucketServer(app, storage)
    users = flask_login.LoginManager(app)
    users.user_loader(lambda user_id: session.get(User, int(user_id)))
    app.teardown_appcontext(lambda _: session.remove())
    app.add_url_rule("/", "home", lambda: render_template_string("{{ bitbucket_server_button() }}"))
    return app
