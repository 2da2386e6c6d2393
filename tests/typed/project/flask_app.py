"""A Flask application with routes of its own."""

from __future__ import annotations

from typing import Any

from flask import Flask, url_for
from flask.typing import ResponseReturnValue
from social_core.exceptions import SocialAuthBaseException
from social_core.storage import UserMixin
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.account import Profile, Recheck, RestClient, Standing, roles_of
from social_bitbucket_server.flask import BitbucketServer, FlaskStrategy
from social_bitbucket_server.login import Trial
from social_bitbucket_server.sqlalchemy import make_storage


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]


class Strategy(FlaskStrategy):
    """Strategy of the application's own."""


storage = make_storage(Base, User, scoped_session(sessionmaker(create_engine("sqlite://"))))


def ready_made() -> Flask:
    app = Flask(__name__)
    BitbucketServer(app, storage)
    return app


def with_own_routes() -> Flask:
    app = Flask(__name__)
    app.config["SOCIAL_AUTH_STRATEGY"] = Strategy
    bitbucket.configure(app, storage)
    app.register_error_handler(SocialAuthBaseException, show_error)
    return app


def show_error(error: SocialAuthBaseException) -> ResponseReturnValue:
    print(bitbucket.reference(error))
    return bitbucket.show_error(error)


def begin() -> ResponseReturnValue:
    bitbucket.check_csrf()
    return bitbucket.begin(url_for("complete"))


def connect() -> ResponseReturnValue:
    bitbucket.check_csrf()
    return bitbucket.connect(url_for("complete"))


def try_it() -> ResponseReturnValue:
    bitbucket.check_csrf()
    return bitbucket.try_login(url_for("complete"))


def log_in(backend: Any, user: Any, identity: Any) -> None:
    bitbucket.log_in(backend, user, identity)


def complete() -> ResponseReturnValue:
    path = url_for("complete")
    if bitbucket.is_trial(path):
        trial: Trial = bitbucket.complete_trial(path)
        profile: Profile = trial.profile
        print([finding.holds for finding in trial.findings])
        return f"{profile.display_name} has the id {profile.id}"
    return bitbucket.complete(path, log_in)


def login_page() -> str:
    return bitbucket.button("Log in", integration="acme", next="/report")


def repositories(identity: UserMixin) -> list[str]:
    client: RestClient = bitbucket.rest_client(identity)
    bitbucket.reseal_access_token(identity)
    bitbucket.revoke_access_token(identity)
    return [repository["slug"] for repository in client.pages("/rest/api/latest/repos")]


def may_edit(identity: UserMixin) -> bool:
    return "editor" in roles_of(identity)


def has_left(identity: UserMixin) -> bool:
    found: Recheck = bitbucket.recheck(identity)
    return found.standing is Standing.REFUSED
