"""The application's own function that is told of logins, in the frameworks where nothing is recorded."""

import dataclasses
import logging
import re

import pytest
from flask import Flask
from flask_login import LoginManager, UserMixin
from social_core.exceptions import SocialAuthBaseException
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from werkzeug.test import Client

from social_bitbucket_server.any_framework import Logins, Visit
from social_bitbucket_server.flask import BitbucketServer, try_login
from social_bitbucket_server.integration import Credentials, Integration, Server, ServerURL
from social_bitbucket_server.organizations import EventCode
from social_bitbucket_server.sqlalchemy import make_storage
from tests.flow.test_halted_logins import Application as HaltingApplication
from tests.frameworks.test_any_framework import wsgi  # noqa: F401  # a fixture
from tests.frameworks.test_starlette import Site

OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
TOLD = []


def listen(event, details):
    TOLD.append((event, details))


def fail(event, details):
    text = "".join(("ja", "ne"))
    raise ValueError(text)


@pytest.fixture(autouse=True)
def told():
    TOLD.clear()
    return TOLD


class FlaskSite:
    """A Flask application with one server."""

    def __init__(self, settings):
        class Base(DeclarativeBase): ...

        class User(UserMixin, Base):
            __tablename__ = "users"
            id: Mapped[int] = mapped_column(primary_key=True)
            username: Mapped[str] = mapped_column(unique=True)

        self.engine = create_engine("sqlite://")
        self.session = scoped_session(sessionmaker(self.engine))
        storage = make_storage(Base, User, self.session)
        Base.metadata.create_all(self.engine)
        self.app = Flask(__name__)
        self.app.config.update(SECRET_KEY="x" * 32, **settings)
        LoginManager(self.app).user_loader(lambda key: self.session.get(User, key))
        BitbucketServer(self.app, storage)
        self.app.get("/")(lambda: self.app.jinja_env.globals["bitbucket_server_button"]())

    def browser(self):
        return self.app.test_client()

    def close(self):
        self.session.remove()
        self.engine.dispose()


@pytest.fixture(params=["flask", "starlette", "any framework"])
def browser(request, bitbucket_sandbox, tmp_path):
    """A browser at an application with one server, in each framework."""
    listener = {f"{OWN}ON_EVENT": f"{__name__}.listen"}
    if request.param == "any framework":
        module = request.getfixturevalue("wsgi")
        module.settings.update(listener)
        yield Client(module.app)
        return
    settings = bitbucket_sandbox.settings() | listener
    site = FlaskSite(settings) if request.param == "flask" else Site(tmp_path / "app.db", settings)
    yield site.browser()
    site.close()


def test_a_login_is_told_when_it_began_and_when_it_succeeded(browser, bitbucket_sandbox, told):
    assert bitbucket_sandbox.login(browser, "jane").status_code < 400
    assert told == [
        (EventCode.LOGIN_BEGIN, {"integration_id": "default"}),
        (EventCode.LOGIN_SUCCESS, {"integration_id": "default"}),
    ]
    assert type(told[0][1]["integration_id"]) is str


def test_a_failed_login_is_told_with_the_reference_that_its_page_shows(browser, bitbucket_sandbox, told):
    page = bitbucket_sandbox.login(browser, "jane", allow=False).text
    event, details = told[-1]
    assert event is EventCode.LOGIN_FAILURE
    assert re.search(r"Reference ([0-9A-F]{8})", page)[1] == details.pop("reference")
    assert details == {"integration_id": "default", "problem": "login_declined", "stage": "callback"}


def test_a_login_that_cannot_begin_is_told(browser, bitbucket_sandbox, told):
    bitbucket_sandbox.faults.server_error = True
    bitbucket_sandbox.login(browser, "jane")
    ((event, details),) = told
    assert (event, details["stage"]) == (EventCode.LOGIN_FAILURE, "begin")
    assert details["problem"]


@pytest.mark.parametrize("is_logged_in", [True, False])
def test_a_trial_is_not_told_also_if_it_cannot_begin(bitbucket_sandbox, told, is_logged_in):
    site = FlaskSite(bitbucket_sandbox.settings() | {f"{OWN}ON_EVENT": listen})
    site.app.post("/try", endpoint="try")(lambda: try_login("/complete/bitbucket-server/"))
    browser = site.browser()
    if is_logged_in:
        bitbucket_sandbox.login(browser, "jane")
        told.clear()
        assert browser.post("/try").location.startswith(bitbucket_sandbox.url)
        bitbucket_sandbox.faults.server_error = True
    assert browser.post("/try").status_code >= 400
    site.close()
    assert told == []


def test_a_function_that_fails_ends_no_login(bitbucket_sandbox, tmp_path, caplog):
    site = Site(tmp_path / "app.db", {**bitbucket_sandbox.settings(), f"{OWN}ON_EVENT": fail})
    browser = site.browser()
    assert bitbucket_sandbox.login(browser, "jane").status_code == 303
    assert browser.get("/").text.startswith("Hello jane")
    site.close()
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [error.partition(" at\n")[0] for error in errors] == [
        "ON_EVENT failed at login.begin: ValueError",
        "ON_EVENT failed at login.success: ValueError",
    ]
    assert "in fail" in errors[0]
    assert "jane" not in "".join(errors)


class ManyIntegrations:
    """An application with integrations by id, and one person's session."""

    def __init__(self, path, integrations, **settings):
        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "users"
            id: Mapped[int] = mapped_column(primary_key=True)
            username: Mapped[str] = mapped_column(unique=True)

        self.engine = create_engine(f"sqlite:///{path}")
        self.database = scoped_session(sessionmaker(self.engine))
        storage = make_storage(Base, User, self.database)
        Base.metadata.create_all(self.engine)
        own = {
            "INTEGRATIONS": integrations.get,
            "CALLBACK_ORIGIN": "https://app.example",
            "ON_EVENT": listen,
            **settings,
        }
        self.logins = Logins({f"{OWN}{name}": value for name, value in own.items()}, storage)
        self.session = {}

    def begin(self, integration):
        return self.logins.begin(Visit(self.session, (), integration), f"/complete/{integration}/")

    def complete(self, integration, **fields):
        return self.logins.complete(Visit(self.session, fields.items(), integration), "/complete/", lambda user: None)


@pytest.fixture
def acme(bitbucket_sandbox, private_key):
    bitbucket_sandbox.link(consumer_key="app", public_key=private_key.public.pem)
    server = Server(ServerURL.parse(bitbucket_sandbox.url))
    return Integration(id="acme", server=server, consumer_key="app", private_key=private_key, namespace="ns")


@pytest.fixture
def make_application(tmp_path):
    made = []

    def make(integrations, **settings):
        made.append(ManyIntegrations(tmp_path / "app.db", integrations, **settings))
        return made[-1]

    yield make
    for application in made:
        application.database.remove()
        application.engine.dispose()


@pytest.mark.parametrize("name", ["<another>", "unknown", ""])
def test_only_the_id_of_an_integration_that_there_is_is_told(make_application, acme, told, name):
    application = make_application({"acme": acme})
    with pytest.raises(SocialAuthBaseException):
        application.begin(name)
    with pytest.raises(SocialAuthBaseException):
        application.complete(name, oauth_token="invented", oauth_verifier="invented")
    assert [event for event, _ in told] == [EventCode.LOGIN_FAILURE] * 2
    assert [details for _, details in told if "integration_id" in details or "invented" in str(details)] == []


def test_a_new_key_pair_is_told_when_it_replaces_the_old_one(make_application, acme, told, other_private_key):
    integrations, promoted = {}, []
    integrations["acme"] = dataclasses.replace(
        acme, private_key=other_private_key, pending=Credentials("app", acme.private_key)
    )
    make_application(integrations, PENDING_KEY_ACCEPTED=promoted.append).begin("acme")
    assert len(promoted) == 1
    assert told == [
        (EventCode.KEY_PROMOTED, {"integration_id": "acme"}),
        (EventCode.LOGIN_BEGIN, {"integration_id": "acme"}),
    ]


def test_a_login_that_halts_is_told_when_it_has_gone_on(acme, bitbucket_sandbox, tmp_path, told):
    application = HaltingApplication(tmp_path / "app.db", acme, ON_EVENT=listen)
    session = {}
    application.come_back(session, bitbucket_sandbox.authorize(application.begin(session), user="jane"))
    assert [event for event, _ in told] == [EventCode.LOGIN_BEGIN]
    session["answered"] = True
    application.come_back(session)
    application.session.remove()
    application.engine.dispose()
    assert told[1:] == [(EventCode.LOGIN_SUCCESS, {"integration_id": "acme"})]
