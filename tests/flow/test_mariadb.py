"""Logins on MariaDB, which compares without case and reads snapshots unless it is told otherwise."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import flask_login
import pytest
from sqlalchemy import String, create_engine, event, text
from sqlalchemy.orm import Mapped, mapped_column

from social_bitbucket_server.integration import Integration, Server, ServerURL
from tests.flow.test_many_integrations import Browser, Host
from tests.mariadb import programs

pytestmark = pytest.mark.mariadb

BACK_TO_NO_CASE = "ALTER TABLE social_auth_identities MODIFY uid varchar(255) COLLATE utf8mb4_general_ci NOT NULL"


def users_with_lengths(base):
    class User(base, flask_login.UserMixin):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(String(150), unique=True)
        email: Mapped[str | None] = mapped_column(String(254))

    return User


@pytest.fixture
def engine(request, must_be_there):
    must_be_there(programs() is not None, "MariaDB")
    server = request.getfixturevalue("mariadb")
    engine = create_engine(server.address_of(server.new_database()))
    yield engine
    engine.dispose()


@pytest.fixture
def integrations(bitbucket_sandbox, other_sandbox, private_key, other_private_key):
    made = {}
    for name, namespace, sandbox, key in (
        ("one", "acme", bitbucket_sandbox, private_key),
        ("two", "Acme", other_sandbox, other_private_key),
    ):
        sandbox.link(consumer_key=name, public_key=key.public.pem)
        server = Server(ServerURL.parse(sandbox.url))
        made[name] = Integration(id=name, server=server, consumer_key=name, private_key=key, namespace=namespace)
    return made


@pytest.fixture
def host(engine, integrations):
    return Host("", integrations, users_with_lengths, engine)


def test_namespaces_that_differ_in_case_alone_are_two(host, bitbucket_sandbox, other_sandbox):
    browsers = Browser(host), Browser(host)
    assert browsers[0].log_in("one", bitbucket_sandbox).status_code == 303
    assert browsers[1].log_in("two", other_sandbox).status_code == 303
    assert [uid for uid, _ in host.identities()] == ["acme:2", "Acme:2"]
    assert len({browser.name for browser in browsers}) == 2


def test_a_column_that_compares_without_case_takes_nobody_for_another(host, bitbucket_sandbox, other_sandbox):
    with host.engine.begin() as connection:
        connection.execute(text(BACK_TO_NO_CASE))
    jane, stranger = Browser(host), Browser(host)
    assert jane.log_in("one", bitbucket_sandbox).status_code == 303
    known = host.identities()
    assert stranger.log_in("two", other_sandbox).status_code == 503
    assert host.problem == "identity_similar"
    assert (stranger.name, host.identities()) == ("nobody", known)
    assert jane.log_in("one", bitbucket_sandbox).status_code == 303


def test_two_first_logins_at_once_make_one_person(host, bitbucket_sandbox):
    browsers = [Browser(host) for _ in range(2)]
    begun = [browser.begin("/login/bitbucket-server/one/").location for browser in browsers]
    callbacks = [bitbucket_sandbox.authorize(address, user="jane") for address in begun]
    barrier, first = threading.Barrier(2), threading.Semaphore(2)

    def wait_for_the_other(*_):
        if first.acquire(blocking=False):
            barrier.wait(60)

    users = host.storage.user.user_model()
    event.listen(users, "init", wait_for_the_other)
    with ThreadPoolExecutor(2) as threads:
        pages = list(threads.map(lambda browser, callback: browser.open(callback), browsers, callbacks))
    assert [page.status_code for page in pages] == [303, 303]
    assert [browser.name for browser in browsers] == ["jane", "jane"]
    assert [uid for uid, _ in host.identities()] == ["acme:2"]


def test_one_of_many_takes_a_nonce(host):
    nonces, barrier = host.storage.nonce, threading.Barrier(8)

    def at_once(act):
        def take(_):
            barrier.wait(60)
            try:
                return act("scope", 600, "value")
            finally:
                host.session.remove()

        with ThreadPoolExecutor(8) as threads:
            return sorted(threads.map(take, range(8)))

    assert at_once(nonces.use) == [False] * 7 + [True]
    assert at_once(nonces.consume) == [False] * 7 + [True]


def test_a_login_ends_by_the_row_of_now(host, integrations, bitbucket_sandbox, monkeypatch):
    """The look-up reads its row in the login's own session, and an admin changes the row while the account is made."""
    with host.engine.begin() as connection:
        connection.execute(text("CREATE TABLE revisions (revision int)"))
        connection.execute(text("INSERT INTO revisions VALUES (1)"))

    def find(name):
        revision = host.session.execute(text("SELECT revision FROM revisions")).scalar_one()
        return dataclasses.replace(integrations[name], revision=str(revision))

    make = host.storage.user.create_social_auth

    def make_while_an_admin_changes(*arguments, **options):
        identity = make(*arguments, **options)
        with host.engine.begin() as connection:
            connection.execute(text("UPDATE revisions SET revision = 2"))
        return identity

    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS"] = find
    monkeypatch.setattr(host.storage.user, "create_social_auth", make_while_an_admin_changes)
    browser = Browser(host)
    assert browser.log_in("one", bitbucket_sandbox).status_code == 400
    assert host.problem == "integration_changed"
    assert (browser.name, host.identities()) == ("nobody", [])


def test_a_session_of_a_connection_of_the_applications_own_works(engine, integrations, bitbucket_sandbox):
    with closing(engine.connect()) as connection:
        host = Host("", integrations, users_with_lengths, connection)
        assert Browser(host).log_in("one", bitbucket_sandbox).status_code == 303
