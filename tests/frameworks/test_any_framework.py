"""Logins by plain values: the WSGI application of docs/any-framework.md, and what it does not show."""

import re
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import pytest
from social_core.exceptions import (
    AuthInputError,
    AuthPolicyError,
    AuthResponseError,
    AuthSessionError,
    SocialAuthBaseException,
)
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from werkzeug.test import Client

from social_bitbucket_server.any_framework import Logins, Visit, check_form_token, form_token
from social_bitbucket_server.integration import UnsafeConfigurationError
from social_bitbucket_server.login import error_page
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sqlalchemy import make_storage

PAGE = Path(__file__).parents[2] / "docs/any-framework.md"
ORIGIN = "https://app.example"
OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"


@pytest.fixture
def wsgi(bitbucket_sandbox, tmp_path, monkeypatch, private_key):
    """The page's application."""
    monkeypatch.chdir(tmp_path)
    Path("bitbucket.pem").write_text(private_key.pem())
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'app.db'}")
    monkeypatch.setenv("BITBUCKET_URL", bitbucket_sandbox.url)
    source = re.search(r"```python\n(import os\n.*?)```", PAGE.read_text(), re.DOTALL)[1]
    module = types.ModuleType("app")
    monkeypatch.setitem(sys.modules, "app", module)
    exec(compile(source, str(PAGE), "exec"), module.__dict__)
    module.settings.update(bitbucket_sandbox.settings())
    yield module
    module.database.remove()
    module.engine.dispose()


@pytest.fixture
def browser(wsgi):
    return Client(wsgi.app)


def test_a_person_logs_in_without_any_framework(browser, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(browser, "jane")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert browser.get("/").text == "Hello jane"


def test_the_session_is_new_after_the_login(wsgi, browser, bitbucket_sandbox):
    before = browser.get("/").headers["Set-Cookie"]
    assert bitbucket_sandbox.login(browser, "jane").headers["Set-Cookie"] != before
    assert list(wsgi.sessions.values()) == [{"username": "jane"}]


def test_a_failure_is_a_page(browser, bitbucket_sandbox):
    answer = bitbucket_sandbox.login(browser, "jane", allow=False)
    assert answer.status_code == 400
    assert "Access was declined in Bitbucket." in answer.text


def test_another_site_begins_no_login(browser, bitbucket_sandbox):
    for form in (b"", b"form_token=guessed", b"form_token=\xff"):
        assert browser.post("/login/bitbucket-server/", data=form).status_code == 400
    assert not list(bitbucket_sandbox.requests)


class Application:
    """One with many integrations, without requests."""

    def __init__(self, path, integrations):
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
        settings = {f"{OWN}INTEGRATIONS": integrations, f"{OWN}CALLBACK_ORIGIN": ORIGIN}
        self.logins = Logins(settings, self.storage)
        self.logged_in = []

    def begin(self, session, integration, /, **fields):
        visit = Visit(session, fields.items(), integration)
        return self.logins.begin(visit, f"/complete/{integration}/")

    def come_back(self, session, callback, user=None):
        parts = urlsplit(callback)
        visit = Visit(session, parse_qsl(parts.query), parts.path.split("/")[2])
        return self.logins.complete(visit, parts.path, self.logged_in.append, user)

    def identities(self):
        rows = self.session.scalars(select(self.storage.user).order_by(self.storage.user.id))
        return [(row.uid.partition(":")[0], row.user.username) for row in rows]


@pytest.fixture
def servers():
    with Sandbox() as one, Sandbox() as two:
        yield {"one": one, "two": two}


@pytest.fixture
def application(servers, tmp_path):
    fields = {}
    for name, server in servers.items():
        settings = server.settings()
        names = {"URL": "url", "KEY": "consumer_key", "PRIVATE_KEY": "private_key"}
        fields[name] = {field: settings[OWN + setting] for setting, field in names.items()}
    application = Application(tmp_path / "app.db", fields)
    yield application
    application.session.remove()
    application.engine.dispose()


def test_each_integration_has_a_callback_of_its_own(application, servers):
    callback = servers["one"].authorize(application.begin({}, "one"))
    assert callback.startswith(f"{ORIGIN}/complete/one/?oauth_token=")


def test_people_of_two_servers_are_two_people(application, servers):
    for name, server in servers.items():
        session = {}
        assert application.come_back(session, server.authorize(application.begin(session, name))) == "/"
    assert [user.username for user in application.logged_in] == ["jane", application.logged_in[1].username]
    assert [namespace for namespace, _ in application.identities()] == ["one", "two"]
    assert application.logged_in[0] != application.logged_in[1]


def test_no_field_names_another_integration(application, servers):
    application.begin({}, "one", integration="two")
    assert not list(servers["two"].requests)
    with pytest.raises(AuthInputError):
        application.begin({}, "", integration="two")


def test_a_login_goes_where_it_was_meant_to_go_on_this_host_alone(application, servers):
    for wanted, address in {"/report": "/report", "https://evil.example/": "/", f"{ORIGIN}/x": f"{ORIGIN}/x"}.items():
        session = {}
        callback = servers["one"].authorize(application.begin(session, "one", next=wanted))
        assert application.come_back(session, callback) == address


def test_where_an_abandoned_login_was_meant_to_go_is_forgotten(application, servers):
    session = {}
    application.begin(session, "one", next="/report")
    callback = servers["one"].authorize(application.begin(session, "one"))
    assert application.come_back(session, callback) == "/"


def test_a_field_that_is_there_twice_is_refused(application, servers):
    session = {}
    callback = servers["one"].authorize(application.begin(session, "one"))
    with pytest.raises(AuthInputError):
        application.come_back(session, f"{callback}&oauth_token=T")


def test_a_callback_works_once_and_in_its_own_session(application, servers):
    session = {}
    callback = servers["one"].authorize(application.begin(session, "one"))
    with pytest.raises(AuthSessionError):
        application.come_back({}, callback)
    application.come_back(session, callback)
    with pytest.raises(AuthSessionError):
        application.come_back(session, callback)
    assert len(application.logged_in) == 1


def test_a_callback_that_names_a_login_that_was_never_interrupted_is_refused(application):
    with pytest.raises(AuthInputError):
        application.come_back({}, f"{ORIGIN}/complete/one/?partial_token=x")


def test_whoever_is_disabled_here_is_told_so(application, servers, monkeypatch):
    monkeypatch.setattr(application.storage.user.user_model(), "is_active", False, raising=False)
    session = {}
    callback = servers["one"].authorize(application.begin(session, "one"))
    with pytest.raises(AuthPolicyError):
        application.come_back(session, callback)
    assert application.logged_in == []


def test_whoever_is_logged_in_stays_out_of_a_login(application, servers):
    first, second = {}, {}
    application.come_back(first, servers["one"].authorize(application.begin(first, "one")))
    jane = application.logged_in[0]
    application.come_back(second, servers["two"].authorize(application.begin(second, "two")), user=jane)
    assert len(application.identities()) == len({user.id for user in application.logged_in}) == 2


def test_a_person_connects_another_account(application, servers):
    session = {}
    application.come_back(session, servers["one"].authorize(application.begin(session, "one")))
    (jane,) = application.logged_in
    address = application.logins.connect(Visit(session, (), "two"), "/complete/two/", jane)
    assert application.come_back(session, servers["two"].authorize(address, user="admin"), user=jane) == "/"
    assert application.identities() == [("one", "jane"), ("two", "jane")]
    assert application.logged_in == [jane]


def test_the_session_holds_no_token(application):
    session = {}
    address = application.begin(session, "one")
    assert dict(parse_qsl(urlsplit(address).query))["oauth_token"] not in repr(session)


@pytest.mark.parametrize(
    "settings",
    [{}, {f"{OWN}CALLBACK_ORIGIN": "app.example"}, {f"{OWN}CALLBACK_ORIGIN": ORIGIN, f"{OWN}VERIFY_SSL": False}],
)
def test_unsafe_settings_are_refused_at_start(settings):
    with pytest.raises(UnsafeConfigurationError):
        Logins(settings, SimpleNamespace())


def test_a_sessions_form_token_stays_the_same():
    session = {}
    token = form_token(session)
    assert form_token(session) == token
    check_form_token(session, token)


@pytest.mark.parametrize("given", [None, "", "wrong", "é", "\udcff"])
def test_another_form_token_is_refused(given):
    session = {}
    form_token(session)
    for kept in (session, {}):
        with pytest.raises(SocialAuthBaseException):
            check_form_token(kept, given)


def test_an_error_page_repeats_nothing_of_the_providers():
    page = error_page(AuthResponseError(None, "<script>"), '/"login')
    assert "<script>" not in page.body
    assert 'href="/&quot;login"' in page.body
    assert page.status == 502


def test_an_error_page_says_whose_turn_it_is_and_when_to_try_again():
    error = BitbucketServerError("signature_invalid", parameter="public_key").as_social_error(None, "begin")
    page = error_page(error)
    assert "This is for " in page.body
    assert page.headers["Retry-After"] == "60"
