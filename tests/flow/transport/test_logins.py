"""Tests of the cost of one login: connections, requests, signatures, and how often the private key is read."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import StaticPool, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server.any_framework import Logins, Visit
from social_bitbucket_server.crypto import PrivateKey
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

    def log_in():
        logins, session, people = Logins(settings, storage), {}, []
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
