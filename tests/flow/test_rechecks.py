"""Asking between two logins whether somebody may still log in: by either OAuth, with the sandbox."""

import dataclasses
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.account import IdentityToken, Standing, tokens
from social_bitbucket_server.crypto import KeyRing, Secret
from social_bitbucket_server.integration import Admission, Integration, OAuth2Integration, Server, ServerURL
from social_bitbucket_server.sandbox import Project, Sandbox
from social_bitbucket_server.sandbox.state import grants
from social_bitbucket_server.sandbox.state.oauth1_tokens import ACCESS_TOKEN_LIFETIME, SESSION_LIFETIME
from tests.flow.test_many_integrations import ORIGIN, Browser, Host
from tests.flow.test_oauth2_login import callback
from tests.flow.test_oauth2_login import log_in as log_in_by_oauth2


class Application:
    """A Flask application that keeps tokens, with one integration by either OAuth, after Jane's login."""

    def __init__(self, path, sandbox, integration):
        self.sandbox, self.is_oauth2 = sandbox, isinstance(integration, OAuth2Integration)
        self.integrations = {"one": integration}
        prefix = "SOCIAL_AUTH_BITBUCKET_SERVER_" + ("OAUTH2_" if self.is_oauth2 else "")
        settings = {"STORE_ACCESS_TOKEN": True, "KEY_RING": KeyRing.generate(), "CALLBACK_ORIGIN": ORIGIN}
        if self.is_oauth2:
            settings["INTEGRATIONS"] = self.integrations.get
        config = {f"{prefix}{name}": value for name, value in settings.items()}
        self.host = Host(path, {} if self.is_oauth2 else self.integrations, **config)
        self.slept = []

    def allow_only(self, **admission):
        self.integrations["one"] = dataclasses.replace(self.integrations["one"], admission=Admission(**admission))

    def log_in(self):
        if self.is_oauth2:
            return log_in_by_oauth2(Browser(self.host), self.sandbox, "one")
        return Browser(self.host).log_in("one", self.sandbox)

    def recheck(self):
        with self.host.flask.app_context():
            (identity,) = self.host.session.query(self.host.storage.user)
            found = bitbucket.recheck(identity, sleep=self.slept.append)
            return found.standing, found.problem

    def ask_again_after(self, seconds):
        self.sandbox.clock.advance(seconds)
        return self.recheck()


@pytest.fixture
def sandbox():
    with Sandbox(context="/bitbucket") as sandbox:
        yield sandbox


@pytest.fixture(params=["OAuth 1", "OAuth 2"])
def app(request, tmp_path, sandbox, private_key):
    shared = {"id": "one", "server": Server(ServerURL.parse(sandbox.url), timeout=5), "namespace": "ns"}
    if request.param == "OAuth 2":
        link = sandbox.link_external_application(redirect_url=callback("one"))
        credentials = {"client_id": link.client_id, "client_secret": Secret(link.client_secret)}
        integration = OAuth2Integration(**shared, **credentials)
    else:
        sandbox.link(consumer_key="c1", public_key=private_key.public.pem)
        integration = Integration(**shared, consumer_key="c1", private_key=private_key)
    app = Application(tmp_path / "app.db", sandbox, integration)
    assert app.log_in().status_code == 303
    yield app
    app.host.engine.dispose()


USERS = "/rest/api/latest/users"
ADMITTED = (Standing.ADMITTED, "")


def test_who_is_still_there_and_may_log_in_is_admitted(app):
    assert app.recheck() == ADMITTED
    app.allow_only(groups=("developers",))
    assert app.recheck() == ADMITTED


def test_a_disabled_account_is_refused_until_it_is_enabled(app):
    app.sandbox.users.disable("jane")
    assert app.recheck() == (Standing.REFUSED, "account_not_admitted")
    app.sandbox.users.enable("jane")
    assert app.recheck() == ADMITTED


def test_a_deleted_account_is_refused(app):
    app.sandbox.users.remove("jane")
    assert app.recheck() == (Standing.REFUSED, "account_not_admitted")


def test_a_renamed_account_is_the_same(app):
    app.sandbox.users.rename("jane", "jane-smith")
    assert app.recheck() == ADMITTED


def test_who_left_the_group_is_refused(app):
    app.allow_only(groups=("developers",))
    app.sandbox.projects.take_from_group("developers", "jane")
    assert app.recheck() == (Standing.REFUSED, "person_not_allowed")


def test_where_nobody_is_told_about_groups_nobody_is_refused(app):
    app.allow_only(groups=("developers",))
    app.sandbox.faults.groups_closed = True
    assert app.recheck() == (Standing.UNANSWERED, "groups_unreadable")


def test_who_sees_the_project_no_more_is_refused(app):
    app.allow_only(projects=("WEB",))
    app.log_in()
    assert app.recheck() == ADMITTED
    app.sandbox.projects.put(Project("WEB", "Website"))
    assert app.recheck() == (Standing.REFUSED, "person_not_allowed")


def test_a_token_that_was_granted_for_less_than_is_asked_now_refuses_nobody(app):
    app.allow_only(projects=("WEB",))
    expected = (Standing.UNPROVEN, "token_missing") if app.is_oauth2 else ADMITTED
    assert app.recheck() == expected


def test_a_permission_that_was_taken_back_is_no_refusal(app):
    app.sandbox.revoke("jane")
    assert app.recheck() == (Standing.UNPROVEN, "token_revoked")
    app.log_in()
    assert app.recheck() == ADMITTED


def test_a_token_that_ended_is_renewed(app):
    lifetime = grants.ACCESS_TOKEN_LIFETIME if app.is_oauth2 else SESSION_LIFETIME - 60
    assert app.ask_again_after(lifetime + 1) == ADMITTED
    assert app.recheck() == ADMITTED
    app.allow_only(groups=("developers",))
    assert app.ask_again_after(1) == ADMITTED


@pytest.fixture
def worker(app):
    """A thread with a database session of its own, in which a test lets somebody else recheck the same person."""
    with ThreadPoolExecutor(1) as thread:
        yield lambda: thread.submit(app.recheck)


@pytest.fixture
def identity(app, monkeypatch):
    """Jane's, as a request has read it with her token, which has ended by now."""
    seconds = (grants.ACCESS_TOKEN_LIFETIME if app.is_oauth2 else ACCESS_TOKEN_LIFETIME) + 1
    app.sandbox.clock.advance(seconds)
    monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: time.time() + seconds))
    with app.host.flask.app_context():
        (identity,) = app.host.session.query(app.host.storage.user)
        yield identity


def test_of_two_who_renew_a_token_at_once_the_slower_one_takes_the_new_one_over(app, identity, worker):
    slower = bitbucket.rest_client(identity, sleep=app.slept.append)
    assert worker().result(60) == ADMITTED
    assert slower.get(f"{USERS}/jane")["name"] == "jane"
    assert app.slept == []


def test_a_token_that_is_renewed_and_not_yet_stored_is_waited_for(app, identity, worker, monkeypatch):
    renewed, may_be_stored = threading.Event(), threading.Event()
    keep = IdentityToken.keep

    def keep_later(store, token):
        renewed.set()
        may_be_stored.wait()
        keep(store, token)

    def sleep(seconds):
        app.slept.append(seconds)
        may_be_stored.set()
        assert faster.result(60) == ADMITTED

    monkeypatch.setattr(IdentityToken, "keep", keep_later)
    slower = bitbucket.rest_client(identity, sleep=sleep)
    faster = worker()
    assert renewed.wait(60)
    try:
        assert slower.get(f"{USERS}/jane")["name"] == "jane"
    finally:
        may_be_stored.set()
    assert app.slept == [1]


def test_a_token_that_cannot_be_renewed_any_more_is_no_refusal(app):
    problem = "token_revoked" if app.is_oauth2 else "token_expired"
    assert app.ask_again_after(SESSION_LIFETIME + grants.REFRESH_TOKEN_LIFETIME) == (Standing.UNPROVEN, problem)


def test_without_a_token_nobody_is_refused(app):
    with app.host.flask.app_context():
        (identity,) = app.host.session.query(app.host.storage.user)
        identity.extra_data = {}
        identity.save()
    assert app.recheck() == (Standing.UNPROVEN, "token_missing")


def test_another_key_ring_refuses_nobody(app):
    prefix = "SOCIAL_AUTH_BITBUCKET_SERVER_" + ("OAUTH2_" if app.is_oauth2 else "")
    app.host.flask.config[f"{prefix}KEY_RING"] = KeyRing.generate()
    assert app.recheck() == (Standing.UNPROVEN, "token_unopenable")


def test_a_server_that_is_gone_or_not_itself_refuses_nobody(app):
    app.sandbox.faults.interception = "page"
    assert app.recheck() == (Standing.UNANSWERED, "login_in_front")
    app.sandbox.faults.reset()
    app.sandbox.faults.server_error = True
    assert app.recheck() == (Standing.UNANSWERED, "server_error")
    app.sandbox.stop()
    assert app.recheck() == (Standing.UNANSWERED, "connection_failed")
    app.sandbox.start()


def test_a_limit_is_waited_for_and_then_left_alone(app):
    app.sandbox.faults.rate_limited, app.sandbox.faults.retry_after = True, 7
    assert app.recheck() == (Standing.UNANSWERED, "rate_limited")
    assert app.slept == [7, 7]


def test_no_token_is_in_any_log(app, caplog):
    with caplog.at_level(logging.DEBUG):
        app.recheck()
        app.sandbox.users.disable("jane")
        app.recheck()
    state = app.sandbox._state
    granted = state.grants.granted() if app.is_oauth2 else state.tokens.granted()
    secrets = [getattr(one, name) for one in granted for name in ("value", "access_token") if hasattr(one, name)]
    assert secrets
    assert not [secret for secret in secrets if secret in caplog.text]
