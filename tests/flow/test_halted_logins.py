"""Pipelines that halt, such as for a mail to be confirmed, and go on in a later request."""

import dataclasses
import pickle
from urllib.parse import parse_qsl, urlsplit

import pytest
from social_core.exceptions import AuthConfigurationError, AuthInputError, AuthSessionError
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from social_core.pipeline.partial import partial
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server.any_framework import Logins, Visit
from social_bitbucket_server.integration import Integration, Server, ServerURL
from social_bitbucket_server.sqlalchemy import make_storage

ORIGIN = "https://app.example"
OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
CALLBACK = "/complete/acme/"


@partial
def ask_first(strategy, *arguments, **known):
    """Halt once, before the account is made."""
    return None if strategy.session_get("answered") else strategy.redirect("/question")


class Application:
    def __init__(self, path, integration, **settings):
        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "users"
            id: Mapped[int] = mapped_column(primary_key=True)
            username: Mapped[str] = mapped_column(unique=True)
            email: Mapped[str | None]

        self.engine = create_engine(f"sqlite:///{path}")
        self.session = scoped_session(sessionmaker(self.engine))
        self.storage = make_storage(Base, User, self.session)
        Base.metadata.create_all(self.engine)
        self.integrations = {integration.id: integration}
        steps = list(DEFAULT_AUTH_PIPELINE)
        steps.insert(steps.index("social_core.pipeline.user.get_username"), f"{__name__}.{ask_first.__name__}")
        settings |= {"INTEGRATIONS": self.integrations.get, "CALLBACK_ORIGIN": ORIGIN, "PIPELINE": steps}
        self.logins = Logins({f"{OWN}{name}": value for name, value in settings.items()}, self.storage)
        self.logged_in = []

    def begin(self, session):
        return self.logins.begin(Visit(session, (), "acme"), CALLBACK)

    def come_back(self, session, address=""):
        visit = Visit(session, parse_qsl(urlsplit(address).query), "acme")
        return self.logins.complete(visit, CALLBACK, self.logged_in.append)

    def identities(self):
        return self.session.scalar(select(func.count()).select_from(self.storage.user))

    def halted(self):
        return self.session.scalars(select(self.storage.partial)).all()


@pytest.fixture
def application(bitbucket_sandbox, tmp_path, private_key):
    bitbucket_sandbox.link(consumer_key="app", public_key=private_key.public.pem)
    integration = Integration(
        id="acme",
        server=Server(ServerURL.parse(bitbucket_sandbox.url)),
        consumer_key="app",
        private_key=private_key,
        namespace="ns",
    )
    application = Application(tmp_path / "app.db", integration)
    yield application
    application.session.remove()
    application.engine.dispose()


@pytest.fixture
def session(application, bitbucket_sandbox):
    """The session of somebody whose login has halted."""
    session = {}
    assert application.come_back(session, bitbucket_sandbox.authorize(application.begin(session))) == "/question"
    assert not application.logged_in
    session["answered"] = True
    return session


def test_a_login_goes_on_where_it_halted(application, session):
    assert application.come_back(session) == "/"
    assert len(application.logged_in) == application.identities() == 1
    assert application.halted() == []


def test_what_is_kept_of_a_halted_login_can_be_written_down_in_any_way(application, bitbucket_sandbox, monkeypatch):
    stored, session = [], {}
    store = application.storage.partial.store

    def write_down(halted):
        stored.append(pickle.dumps(halted.data))
        return store(halted)

    monkeypatch.setattr(application.storage.partial, "store", write_down)
    application.come_back(session, bitbucket_sandbox.authorize(application.begin(session)))
    assert len(stored) == 1
    assert pickle.loads(pickle.dumps(session)) == session


def test_a_login_that_halted_before_a_key_rotation_goes_on(application, session, other_private_key):
    integration = application.integrations["acme"]
    application.integrations["acme"] = dataclasses.replace(integration, private_key=other_private_key)
    assert application.come_back(session) == "/"


@pytest.mark.parametrize(
    "change",
    [
        {"server": Server(ServerURL.parse("https://right.example"))},
        {"namespace": "other"},
        {"consumer_key": "other"},
        {"revision": "2"},
    ],
)
def test_a_login_that_halted_before_its_integration_was_changed_does_not_go_on(application, session, change):
    application.integrations["acme"] = dataclasses.replace(application.integrations["acme"], **change)
    with pytest.raises(AuthSessionError) as caught:
        application.come_back(session)
    assert (caught.value.context["problem"], caught.value.stage) == ("integration_changed", "pipeline")
    assert (application.logged_in, application.identities()) == ([], 0)


def test_a_login_that_halted_before_its_integration_was_deleted_does_not_go_on(application, session):
    application.integrations.clear()
    with pytest.raises((AuthConfigurationError, AuthInputError)) as caught:
        application.come_back(session)
    assert caught.value.context["problem"] == "integration_unknown"
    assert (application.logged_in, application.identities()) == ([], 0)
