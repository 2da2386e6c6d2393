"""Sessions on the server: what a login leaves in them is taken by whatever writes them down."""

import json
import pickle
import secrets
from urllib.parse import parse_qsl, urlsplit

import flask_session
import msgspec
import pytest
import redis
from cachelib import FileSystemCache, SimpleCache
from flask.sessions import SecureCookieSession, SessionInterface
from flask_sqlalchemy import SQLAlchemy

from social_bitbucket_server.any_framework import Logins, Visit, form_token
from social_bitbucket_server.integration import Integration, Server, ServerURL
from tests import redis_server
from tests.flow.test_many_integrations import ORIGIN, Browser, Host

OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
SERIALIZERS = {
    "json": (lambda value: json.dumps(value).encode(), json.loads),
    "msgpack": (msgspec.msgpack.encode, msgspec.msgpack.decode),
    "pickle": (pickle.dumps, pickle.loads),
}
every_serializer = pytest.mark.parametrize("serializer", SERIALIZERS)


class KeptSessions(SessionInterface):
    """Sessions in a dictionary, as bytes."""

    def __init__(self, serializer):
        self.write, self.read = SERIALIZERS[serializer]
        self.kept = {}

    def open_session(self, app, request):
        return SecureCookieSession(self.read(self.kept.get(request.cookies.get("sid"), self.write({}))))

    def save_session(self, app, session, response):
        sid = secrets.token_hex(16)
        self.kept[sid] = self.write(dict(session))
        response.set_cookie("sid", sid)


@pytest.fixture
def integration(bitbucket_sandbox, private_key):
    bitbucket_sandbox.link(consumer_key="app", public_key=private_key.public.pem)
    return Integration(
        id="one",
        server=Server(ServerURL.parse(bitbucket_sandbox.url)),
        consumer_key="app",
        private_key=private_key,
        namespace="ns",
    )


@pytest.fixture
def host(tmp_path, integration):
    host = Host(tmp_path / "app.db", {"one": integration}, SOCIAL_AUTH_FIELDS_STORED_IN_SESSION=["remember"])
    yield host
    host.engine.dispose()


def log_in(host, sandbox):
    """Log in with a page to go to and a field to remember, and return the address that the login ends at."""
    browser = Browser(host)
    begun = browser.begin("/login/bitbucket-server/one/", next="/report", remember="yes")
    assert begun.status_code == 303, begun.text
    ended = browser.open(sandbox.authorize(begun.location, user="jane"))
    assert browser.open(ended.location).text.startswith("jane")
    return ended.location


@every_serializer
def test_a_login_with_a_page_to_go_to_works_whatever_writes_flasks_sessions(host, bitbucket_sandbox, serializer):
    host.flask.session_interface = KeptSessions(serializer)
    assert log_in(host, bitbucket_sandbox) == "/report"


def in_files(folder, _app):
    return {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": FileSystemCache(str(folder / "sessions"))}


def in_memory(_folder, _app):
    return {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": SimpleCache()}


def in_a_table(folder, app):
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder / 'sessions.db'}"
    return {"SESSION_TYPE": "sqlalchemy", "SESSION_SQLALCHEMY": SQLAlchemy(app)}


STORES = {"files": in_files, "memory": in_memory, "a table": in_a_table}
every_format = pytest.mark.parametrize("written_as", ["msgpack", "json"])


@every_format
@pytest.mark.parametrize("store", STORES)
def test_a_login_works_with_flask_session(host, bitbucket_sandbox, tmp_path, store, written_as):
    host.flask.config.update(STORES[store](tmp_path, host.flask), SESSION_SERIALIZATION_FORMAT=written_as)
    flask_session.Session(host.flask)
    assert log_in(host, bitbucket_sandbox) == "/report"


@every_format
@pytest.mark.program
def test_a_login_works_with_flask_session_in_redis(host, bitbucket_sandbox, must_be_there, written_as):
    must_be_there(redis_server.program() is not None, "Redis or Valkey")
    with redis_server.running() as address, redis.Redis.from_url(address) as client:
        host.flask.config.update(SESSION_TYPE="redis", SESSION_REDIS=client, SESSION_SERIALIZATION_FORMAT=written_as)
        flask_session.Session(host.flask)
        assert log_in(host, bitbucket_sandbox) == "/report"
        assert client.keys("session:*")


@every_serializer
def test_a_login_works_without_a_framework_whatever_writes_sessions(host, bitbucket_sandbox, integration, serializer):
    write, read = SERIALIZERS[serializer]
    settings = {
        f"{OWN}INTEGRATIONS": {"one": integration},
        f"{OWN}CALLBACK_ORIGIN": ORIGIN,
        f"{OWN}FIELDS_STORED_IN_SESSION": ["remember"],
    }
    logins, logged_in, session = Logins(settings, host.storage), [], {}
    form_token(session)
    session = read(write(session))
    fields = {"next": "/report", "remember": "yes"}.items()
    address = bitbucket_sandbox.authorize(logins.begin(Visit(session, fields, "one"), "/complete/one/"))
    session = read(write(session))
    visit = Visit(session, parse_qsl(urlsplit(address).query), "one")
    assert logins.complete(visit, "/complete/one/", lambda user: logged_in.append(user.username)) == "/report"
    assert logged_in == ["jane"]
    assert read(write(session))["remember"] == "yes"
    host.session.remove()
