"""Databases that compare without case, as MariaDB does by default: nobody is taken for a person of another server."""

import dataclasses

import pytest
from sqlalchemy import String, func, select

from social_bitbucket_server.integration import Integration, Server, ServerURL
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sqlalchemy import storage as sqlalchemy_storage
from tests.flow import test_many_integrations
from tests.flow.test_many_integrations import Browser, Host


def make_caseless_storage(*arguments):
    storage = sqlalchemy_storage.make_storage(*arguments)
    storage.user.__table__.c.uid.type = String(255, collation="NOCASE")
    return storage


@pytest.fixture
def sandboxes():
    with Sandbox() as one, Sandbox() as two:
        yield one, two


@pytest.fixture
def integrations(sandboxes, private_key, other_private_key):
    made = {}
    for name, namespace, sandbox, key in zip(
        ("one", "two"), ("acme", "Acme"), sandboxes, (private_key, other_private_key), strict=True
    ):
        sandbox.link(consumer_key=name, public_key=key.public.pem)
        made[name] = Integration(
            id=name,
            server=Server(ServerURL.parse(sandbox.url)),
            consumer_key=name,
            private_key=key,
            namespace=namespace,
        )
    return made


@pytest.fixture
def host(tmp_path, integrations, monkeypatch):
    monkeypatch.setattr(test_many_integrations, "make_storage", make_caseless_storage)
    host = Host(tmp_path / "app.db", integrations)
    yield host
    host.engine.dispose()


@pytest.fixture
def jane(host, sandboxes):
    """The browser of somebody who logged in with the first server."""
    browser = Browser(host)
    assert browser.log_in("one", sandboxes[0]).status_code == 303
    return browser


def people(host):
    with host.flask.app_context():
        return host.session.scalar(select(func.count()).select_from(host.storage.user.user_model()))


def test_somebody_with_the_same_number_in_a_namespace_of_other_case_is_refused(host, jane, sandboxes):
    known = host.identities()
    stranger = Browser(host)
    assert stranger.log_in("two", sandboxes[1]).status_code == 503
    assert host.problem == "identity_similar"
    assert stranger.open("/").text.startswith("nobody")
    assert host.identities() == known
    assert people(host) == 1
    assert jane.open("/").text.startswith("jane")


def test_people_of_both_servers_log_in_where_the_namespaces_differ(host, jane, sandboxes, integrations):
    integrations["two"] = dataclasses.replace(integrations["two"], namespace="globex")
    assert Browser(host).log_in("two", sandboxes[1]).status_code == 303
    assert [uid for uid, _ in host.identities()] == ["acme:2", "globex:2"]
    assert jane.log_in("one", sandboxes[0]).status_code == 303
    assert people(host) == 2


def test_an_account_that_cannot_be_told_from_another_is_not_connected(host, jane, sandboxes):
    known = host.identities()
    begun = jane.begin("/connect/two")
    assert jane.open(sandboxes[1].authorize(begun.location, user="jane")).status_code == 503
    assert host.problem == "identity_similar"
    assert host.identities() == known


@pytest.mark.parametrize("has_transactions", [True, False])
def test_a_storage_that_believes_its_database_logs_nobody_in(host, jane, sandboxes, monkeypatch, has_transactions):
    user = host.storage.user
    monkeypatch.setattr(user, "get_social_auth", lambda *key, **_: host.session.scalars(user._like(*key)).first())
    if not has_transactions:
        monkeypatch.delattr(sqlalchemy_storage.SQLAlchemyStorage, "all_or_nothing")
    with host.flask.app_context():
        before = host.session.scalar(select(user)).extra_data
    stranger = Browser(host)
    assert stranger.log_in("two", sandboxes[1], user="jane").status_code == 503
    assert host.problem == "identity_similar"
    assert stranger.open("/").text.startswith("nobody")
    with host.flask.app_context():
        assert host.session.scalar(select(user)).extra_data == before
    assert jane.log_in("one", sandboxes[0]).status_code == 303
