"""Identities that a table has already, carried over by the storage, and back."""

from contextlib import closing

import pytest
from sqlalchemy.exc import IntegrityError

from social_bitbucket_server.account import Outcome, Place, counts
from social_bitbucket_server.problems import BitbucketServerError
from tests.unit.sqlalchemy.test_storage import Application

SERVER = "https://bitbucket.example.com"
CORE, SINGLE = Place("bitbucket-datacenter-oauth2"), Place("bitbucket-server")
MANY = Place("bitbucket-server", "a1b2")


@pytest.fixture
def app(tmp_path):
    with closing(Application(tmp_path / "app.db")) as app:
        yield app


def add(app, name, uid, provider, **data):
    user = app.storage.user.create_user(username=name)
    identity = app.storage.user.create_social_auth(user, uid, provider)
    identity.set_extra_data({"url": f"{SERVER}/users/{name}", **data})


def rows(app):
    app.session.expire_all()
    identities = app.session.query(app.storage.user)
    return sorted((each.user.username, each.provider, each.uid, each.id_key) for each in identities)


@pytest.mark.parametrize(("source", "target", "uid"), [(CORE, SINGLE, "42"), (CORE, MANY, "a1b2:42")])
def test_identities_are_carried_over_and_back(app, source, target, uid):
    add(app, "jane", "42", source.provider, access_token="t", email="jane@example.org")
    moves = app.storage.carry_over(source, target, [SERVER], apply=True)
    assert counts(moves) == {Outcome.CARRIED_OVER: 1}
    app.session.rollback()
    assert rows(app) == [("jane", target.provider, uid, "id")]
    carried = app.storage.user.get_social_auth(target.provider, uid)
    assert carried.extra_data == {"url": f"{SERVER}/users/jane", "email": "jane@example.org"}
    app.storage.carry_over(target, source, [SERVER], apply=True)
    assert rows(app) == [("jane", source.provider, "42", "id")]


def test_from_one_server_to_many_and_back(app):
    add(app, "jane", "42", "bitbucket-server")
    add(app, "other", "c3d4:42", "bitbucket-server")
    app.storage.carry_over(SINGLE, MANY, [SERVER], apply=True)
    carried = [("jane", "bitbucket-server", "a1b2:42", "id"), ("other", "bitbucket-server", "c3d4:42", "")]
    assert rows(app) == carried
    app.storage.carry_over(MANY, SINGLE, [SERVER], apply=True)
    assert [uid for _, _, uid, _ in rows(app)] == ["42", "c3d4:42"]


def test_without_apply_it_only_counts(app):
    add(app, "jane", "42", CORE.provider)
    add(app, "mallory", "43", CORE.provider, url="https://other.example.com/users/mallory")
    before = rows(app)
    moves = app.storage.carry_over(CORE, MANY, [SERVER])
    assert counts(moves) == {Outcome.CARRIED_OVER: 1, Outcome.ON_ANOTHER_SERVER: 1}
    assert rows(app) == before


def test_an_account_that_has_the_identity_already_is_not_merged(app):
    add(app, "jane", "42", CORE.provider)
    add(app, "other", "a1b2:42", "bitbucket-server-oauth2")
    before = rows(app)
    moves = app.storage.carry_over(CORE, MANY, [SERVER], apply=True)
    assert counts(moves) == {Outcome.OF_ANOTHER_ACCOUNT: 1}
    assert rows(app) == before


def test_nothing_is_carried_over_if_one_identity_cannot_be(app, monkeypatch):
    add(app, "jane", "42", CORE.provider)
    add(app, "other", "43", CORE.provider)
    add(app, "third", "a1b2:43", "bitbucket-server")
    before = rows(app)
    monkeypatch.setattr("social_bitbucket_server.sqlalchemy.storage.backends_of", lambda _: [])
    with pytest.raises(IntegrityError):
        app.storage.carry_over(CORE, MANY, [SERVER], apply=True)
    assert rows(app) == before


def test_a_base_url_that_is_none_is_refused(app):
    with pytest.raises(BitbucketServerError, match="base URL"):
        app.storage.carry_over(CORE, MANY, ["bitbucket"])
