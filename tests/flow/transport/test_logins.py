"""Tests of the cost of one login: connections, requests, signatures, readings of keys and settings, and calls."""

import json
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import social_core
from sqlalchemy import StaticPool, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

import social_bitbucket_server
from social_bitbucket_server.any_framework import Logins, Visit
from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.login import LoginBackend
from social_bitbucket_server.sqlalchemy import make_storage
from tests.raw_server import answer
from tests.transports import forget_servers

from .asking import CONFIRMED, NAME, pem

PERSON = {"id": 42, "name": "jane", "slug": "jane", "displayName": "Jane Doe", "active": True, "type": "NORMAL"}
CALLBACK = "/complete/bitbucket-server/"
ANSWERS = {
    "/plugins/servlet/oauth/request-token": CONFIRMED,
    "/plugins/servlet/oauth/access-token": answer(b"oauth_token=A&oauth_token_secret=S&oauth_expires_in=157680000"),
    "/rest/api/latest/application-properties": answer(b'{"version":"8.19.0"}', "200 OK", "X-AUSERNAME: jane"),
    "/rest/api/latest/users/jane": answer(json.dumps(PERSON).encode()),
}


def bitbucket(peer):
    """Answer the requests of a login, and keep the connection."""
    while request := peer.read():
        peer.send(ANSWERS[urlsplit(request.split()[1]).path])


@pytest.fixture
def server(serve, names):
    return serve(bitbucket)


@pytest.fixture
def storage():
    class Base(DeclarativeBase): ...

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(unique=True)
        email: Mapped[str | None]

    engine = create_engine("sqlite://", poolclass=StaticPool)
    session = scoped_session(sessionmaker(engine))
    storage = make_storage(Base, User, session)
    Base.metadata.create_all(engine)
    yield storage
    session.remove()
    engine.dispose()


@pytest.fixture
def log_in(server, storage, authority, private_key, tmp_path):
    """Do one whole login, and return the name of the person."""
    (tmp_path / "ca.pem").write_text(pem(authority))
    settings = {
        "SOCIAL_AUTH_BITBUCKET_SERVER_URL": f"https://{NAME}:{server.port}",
        "SOCIAL_AUTH_BITBUCKET_SERVER_KEY": "the-consumer",
        "SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY": private_key.pem(),
        "SOCIAL_AUTH_BITBUCKET_SERVER_VERIFY_SSL": str(tmp_path / "ca.pem"),
        "SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN": "https://app.example",
    }

    logins = Logins(settings, storage)

    def log_in():
        session, people = {}, []
        address = logins.begin(Visit(session), CALLBACK)
        (token,) = parse_qs(urlsplit(address).query)["oauth_token"]
        fields = (("oauth_token", token), ("oauth_verifier", "AbC123"))
        logins.complete(Visit(session, fields), CALLBACK, people.append)
        return people[0].username

    return log_in


def test_a_cold_login_takes_one_connection_and_a_warm_one_takes_none(log_in, server):
    assert log_in() == "jane"
    assert (len(server.peers), len(server.requests)) == (1, 4)
    assert log_in() == "jane"
    assert (len(server.peers), len(server.requests)) == (1, 8)
    forget_servers()
    assert log_in() == "jane"
    assert (len(server.peers), len(server.requests)) == (2, 12)


def test_a_login_signs_four_times_and_reads_the_key_once_for_all(log_in, monkeypatch):
    log_in()
    signed, read = [], []
    sign, read_key = PrivateKey.sign_sha1, PrivateKey.read
    monkeypatch.setattr(PrivateKey, "sign_sha1", lambda key, message: signed.append(message) or sign(key, message))
    monkeypatch.setattr(PrivateKey, "read", lambda *given: read.append(given) or read_key(*given))
    log_in()
    assert (len(signed), len(read)) == (4, 0)


def test_a_login_reads_the_settings_of_its_server_as_often_as_it_compares_them(log_in, monkeypatch):
    log_in()
    read, setting = Counter(), LoginBackend.setting

    def counted(backend, name, default=None):
        read[name] += 1
        return setting(backend, name, default)

    monkeypatch.setattr(LoginBackend, "setting", counted)
    log_in()
    # When it begins, when it comes back, and before and after the account is written.
    for name in ("KEY", "PRIVATE_KEY", "CONNECT_TO", "ALLOW_GROUPS", "ALLOW_PROJECTS", "ALLOW_REPOSITORIES"):
        assert read[name] == 4, name
    # When it begins, and when it comes back.
    for name in ("LOGIN_SECONDS", "ON_EVENT", "PATIENCE", "SLOW_STEPS", "STORE_ACCESS_TOKEN"):
        assert read[name] == 2, name
    # As often as the server's, and when the number of conditions is checked: at the beginning and at the return.
    assert read["ROLES"] == 6
    assert read.total() <= 123


@pytest.fixture
def calls(log_in):
    """How often a login calls each function of this package and of social-core, when another login went before it.
    Under an empty name are the calls that these functions make of functions written in C."""
    folders = tuple(str(Path(package.__file__).parent) for package in (social_bitbucket_server, social_core))
    calls = Counter()

    def count(frame, event, _argument):
        if event in {"call", "c_call"} and frame.f_code.co_filename.startswith(folders):
            calls[frame.f_code.co_qualname if event == "call" else ""] += 1

    log_in()
    sys.setprofile(count)
    try:
        log_in()
    finally:
        sys.setprofile(None)
    return calls


def test_a_login_reads_nothing_again_that_does_not_change(calls):
    assert calls["LoginBackend.setting"], "it counts"
    assert calls["names_of"] == 0, "the full names of settings"
    assert calls["ServerURL.parse"] == 0
    assert calls["PrivateKey.read"] == 0
    assert calls["_ssl_context"] == 0


def test_a_login_makes_one_digest_for_each_comparison(calls):
    assert calls["configuration_of"] == 4
    assert calls["binding_of"] == 2


def test_a_login_calls_few_functions(calls):
    assert calls.total() <= 2900, calls.most_common(20)
