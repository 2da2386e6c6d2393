"""Identities that a table has already, carried over by the storage, and back."""

import re
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from social_core.exceptions import SocialAuthBaseException
from social_core.strategy import BaseStrategy
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from social_bitbucket_server.account import Outcome, Place, counts
from social_bitbucket_server.backends import BitbucketServerOAuth1
from social_bitbucket_server.pipeline import carry_over_identity
from social_bitbucket_server.problems import BitbucketServerError
from tests.unit.sqlalchemy.test_storage import Application

SERVER = "https://bitbucket.example.com"
CORE, SINGLE = Place("bitbucket-datacenter-oauth2"), Place("bitbucket-server")
MANY = Place("bitbucket-server", "a1b2")


@pytest.fixture
def app(tmp_path):
    with closing(Application(tmp_path / "app.db")) as app:
        yield app


def add(app, username, uid, provider, id_key="", **data):
    user = app.storage.user.create_user(username=username)
    identity = app.storage.user.create_social_auth(user, uid, provider, id_key)
    identity.set_extra_data({"url": f"{SERVER}/users/{username}", **data})


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
    monkeypatch.setattr("social_bitbucket_server.account.carrying_over.backends_of", lambda _: ["none"])
    with pytest.raises(IntegrityError):
        app.storage.carry_over(CORE, MANY, [SERVER], apply=True)
    assert rows(app) == before


def test_a_base_url_that_is_none_is_refused(app):
    with pytest.raises(BitbucketServerError, match="base URL"):
        app.storage.carry_over(CORE, MANY, ["bitbucket"])


JANE = {"integration": "default", "id": 42, "name": "jane", "username": "jane", "email": "jane@example.com"}


class Strategy(BaseStrategy):
    """One whose settings allow older identities of *storage* to be carried over at logins."""

    def __init__(self, storage, rsa_key, **fields):
        super().__init__(storage)
        own = {
            "URL": SERVER,
            "KEY": "packages",
            "PRIVATE_KEY": rsa_key,
            "CARRY_OVER": {"provider": "my-bitbucket", "key": "name", "url": SERVER, **fields},
        }
        self.settings = {f"SOCIAL_AUTH_BITBUCKET_SERVER_{name}": value for name, value in own.items()}

    def get_setting(self, name):
        return self.settings[name]

    def get_request_data(self, merge=True):
        return {}

    def build_absolute_uri(self, path=None):
        return path


@pytest.fixture
def log_in(app, spare_keys):
    key = spare_keys.take().pem()

    def log_in(storage=app.storage, **fields):
        backend = BitbucketServerOAuth1(Strategy(storage, key, **fields))
        return carry_over_identity(backend, "42", JANE)

    return log_in


def test_a_login_carries_an_identity_by_name_over(app, log_in):
    add(app, "jane", "jane", "my-bitbucket", email="jane@example.com", access_token="t")
    found = log_in()
    assert (found["user"].username, found["is_new"], found["new_association"]) == ("jane", False, False)
    assert rows(app) == [("jane", "bitbucket-server", "42", "id")]
    origin = {"provider": "my-bitbucket", "uid": "jane", "id_key": ""}
    kept = {"url": f"{SERVER}/users/jane", "email": "jane@example.com", "carried_over": origin}
    assert found["social"].extra_data == kept
    assert log_in() is None


@pytest.mark.parametrize(
    ("uid", "data", "fields"),
    [
        ("jane", {"email": "john@example.com"}, {}),
        ("Jane", {"email": "jane@example.com"}, {}),
        ("jane", {"email": "jane@example.com"}, {"url": "https://other.example.com"}),
        ("jane", {"email": "jane@example.com"}, {"key": "id"}),
    ],
)
def test_an_identity_of_which_too_little_agrees_stays(app, log_in, uid, data, fields):
    add(app, "jane", uid, "my-bitbucket", **data)
    before = rows(app)
    assert log_in(**fields) is None
    assert rows(app) == before


def test_a_name_that_another_person_of_the_server_had_opens_no_account(app, log_in):
    add(app, "jane", "jane", "my-bitbucket", email="jane@example.com")
    add(app, "first", "41", "bitbucket-server-oauth2", name="jane")
    assert log_in() is None
    add(app, "elsewhere", "a1b2:41", "bitbucket-server", name="jane")
    app.session.query(app.storage.user).filter_by(uid="41").delete()
    assert log_in()["user"].username == "jane"


def test_an_identity_by_the_other_oauth_is_no_other_accounts(app, log_in):
    add(app, "jane", "jane", "my-bitbucket", email="jane@example.com")
    add(app, "other", "42", "bitbucket-server-oauth2")
    assert log_in() is None
    assert ("jane", "my-bitbucket", "jane", "") in rows(app)


def test_an_identity_that_changed_meanwhile_is_not_moved(app):
    add(app, "jane", "jane", "my-bitbucket")
    identity = app.storage.user.get_social_auth("my-bitbucket", "jane")
    table = app.storage.user
    app.session.execute(update(table).values(uid="another"), execution_options={"synchronize_session": False})
    assert not app.storage.move_identity(identity, "bitbucket-server", "42", {})
    assert rows(app) == [("jane", "my-bitbucket", "another", "")]


def test_a_storage_that_cannot_move_identities_is_named(app, log_in):
    add(app, "jane", "jane", "my-bitbucket", email="jane@example.com")
    with pytest.raises(SocialAuthBaseException) as caught:
        log_in(storage=SimpleNamespace(user=app.storage.user))
    assert "CARRY_OVER" in str(caught.value.context)


def test_identities_by_name_can_be_counted_and_given_back(app, log_in):
    add(app, "jane", "jane", "my-bitbucket", id_key="name", email="jane@example.com")
    add(app, "kim", "kim", "my-bitbucket", id_key="name")
    fields = {"provider": "my-bitbucket", "key": "name", "url": SERVER}
    before = rows(app)
    assert counts(app.storage.waiting(fields)) == {Outcome.CARRIED_OVER: 1, Outcome.WITHOUT_EMAIL: 1}
    log_in()
    carried = rows(app)
    assert counts(app.storage.give_back(SINGLE)) == {Outcome.CARRIED_OVER: 1}
    assert counts(app.storage.give_back(MANY, apply=True)) == {}
    assert rows(app) == carried
    assert counts(app.storage.give_back(SINGLE, apply=True)) == {Outcome.CARRIED_OVER: 1}
    app.session.rollback()
    assert rows(app) == before
    assert log_in()["user"].username == "jane"


def test_an_identity_is_not_given_back_over_another_one(app, log_in):
    add(app, "jane", "jane", "my-bitbucket", email="jane@example.com")
    log_in()
    add(app, "other", "jane", "my-bitbucket")
    assert counts(app.storage.give_back(SINGLE, apply=True)) == {Outcome.OF_ANOTHER_ACCOUNT: 1}
    assert ("jane", "bitbucket-server", "42", "id") in rows(app)


def test_the_documented_flask_command_counts_does_it_and_goes_back(app):
    page = (Path(__file__).parents[3] / "docs/existing-accounts.md").read_text()
    code = re.search(r"```python\n(import click\n.*?)```", page, re.DOTALL)[1]
    flask_app = Flask("documented")
    exec(code, {"app": flask_app, "storage": app.storage})
    run = flask_app.test_cli_runner().invoke
    add(app, "jane", "42", CORE.provider)
    before = rows(app)
    assert run(args=["carry-over"]).output == "carried over: 1\n"
    assert rows(app) == before
    assert run(args=["carry-over", "--apply"]).output == "carried over: 1\n"
    assert rows(app) == [("jane", "bitbucket-server", "a1b2c3:42", "id")]
    assert run(args=["carry-over", "--apply", "--back"]).output == "carried over: 1\n"
    assert [row[:3] for row in rows(app)] == [row[:3] for row in before]
