"""Roles by groups, projects and repositories, asked at the sandbox with each person's own token, by either OAuth."""

import dataclasses
import logging
import re
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.account import roles_of, tokens
from social_bitbucket_server.crypto import KeyRing, Secret
from social_bitbucket_server.integration import (
    Admission,
    Integration,
    OAuth2Integration,
    Roles,
    Server,
    ServerURL,
    UnsafeConfigurationError,
)
from social_bitbucket_server.sandbox import Project, Sandbox
from social_bitbucket_server.sandbox.state import grants
from social_bitbucket_server.sandbox.state.oauth1_tokens import ACCESS_TOKEN_LIFETIME
from tests.flow.test_many_integrations import ORIGIN, Browser, Host
from tests.flow.test_oauth2_login import callback
from tests.flow.test_oauth2_login import log_in as log_in_by_oauth2

OAUTH1 = "SOCIAL_AUTH_BITBUCKET_SERVER_"
OAUTH2 = "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_"
PAGE = (Path(__file__).parents[2] / "docs/roles.md").read_text()
DEVELOPER = {"developer": {"groups": ["developers"]}}
READER = {"reader": {"repositories": ["WEB/website"]}}


def remember_groups(response, groups=None, **_rest):
    """A step of the pipeline that writes down what core's steps after it know."""
    groups_seen.append(groups)


groups_seen = []


class Application:
    """A Flask application with the integration "one", by either OAuth, which keeps access tokens."""

    def __init__(self, path, sandbox, integration):
        self.sandbox, self.integrations = sandbox, {"one": integration}
        self.is_oauth2 = isinstance(integration, OAuth2Integration)
        self.provider = "bitbucket-server-oauth2" if self.is_oauth2 else "bitbucket-server"
        settings = {"STORE_ACCESS_TOKEN": True, "KEY_RING": KeyRing.generate(), "CALLBACK_ORIGIN": ORIGIN}
        if self.is_oauth2:
            settings["INTEGRATIONS"] = self.integrations.get
        config = {f"{OAUTH2 if self.is_oauth2 else OAUTH1}{name}": value for name, value in settings.items()}
        self.host = Host(path, {} if self.is_oauth2 else self.integrations, **config)

    def give(self, roles, **admission):
        changes = {"roles": Roles.read(roles), "admission": Admission(**admission)}
        self.integrations["one"] = dataclasses.replace(self.integrations["one"], **changes)

    def log_in(self, user="jane"):
        """Return the roles of the person, or the problem of the login."""
        before, browser = len(self.host.errors), Browser(self.host)
        if self.is_oauth2:
            log_in_by_oauth2(browser, self.sandbox, "one", user)
        else:
            browser.log_in("one", self.sandbox, user)
        return self.host.problem if len(self.host.errors) > before else self.roles(user)

    def roles(self, user="jane"):
        return sorted(roles_of(self.identity(user)))

    def identity(self, user="jane"):
        with self.host.flask.app_context():
            (identity,) = (
                identity
                for identity in self.host.session.query(self.host.storage.user)
                if identity.extra_data["name"] == user
            )
            return identity

    def recheck(self):
        with self.host.flask.app_context():
            (identity,) = self.host.session.query(self.host.storage.user)
            return bitbucket.recheck(identity, sleep=lambda _: None)


@pytest.fixture
def sandbox():
    with Sandbox(context="/bitbucket") as sandbox:
        yield sandbox


@pytest.fixture(params=["OAuth 1", "OAuth 2"])
def app(request, tmp_path, sandbox, private_key):
    shared = {"id": "one", "server": Server(ServerURL.parse(sandbox.url)), "namespace": "ns"}
    if request.param == "OAuth 2":
        link = sandbox.link_external_application(redirect_url=callback("one"))
        credentials = {"client_id": link.client_id, "client_secret": Secret(link.client_secret)}
        integration = OAuth2Integration(**shared, **credentials)
    else:
        sandbox.link(consumer_key="c1", public_key=private_key.public.pem)
        integration = Integration(**shared, consumer_key="c1", private_key=private_key)
    app = Application(tmp_path / "app.db", sandbox, integration)
    yield app
    app.host.engine.dispose()


def test_people_have_the_roles_whose_conditions_hold(app):
    app.give(DEVELOPER | READER | {"nobody": {"groups": ["none"], "projects": ["NONE"]}})
    assert app.log_in("jane") == ["developer", "reader"]
    assert app.log_in("kim") == []


def test_what_a_person_may_see_no_more_gives_no_role_at_the_next_login(app, sandbox):
    app.give(DEVELOPER | {"editor": {"projects": ["NOTES"]}})
    sandbox.projects.put(Project("NOTES", "Notes", users=("jane",)))
    assert app.log_in() == ["developer", "editor"]
    sandbox.projects.put(Project("NOTES", "Notes", users=("kim",)))
    sandbox.projects.take_from_group("developers", "jane")
    assert app.log_in() == []


def test_roles_that_are_configured_no_more_are_taken_away(app):
    app.give(DEVELOPER)
    assert app.log_in() == ["developer"]
    app.give(None)
    assert app.log_in() == []


def test_what_admission_asked_is_not_asked_again(app, sandbox):
    app.give(DEVELOPER | READER, groups=("developers",), repositories=("WEB/website",))
    assert app.log_in() == ["developer", "reader"]
    queries = [parse_qs(request.query_string) for request in sandbox.requests.to("/users")]
    asked = [query["group"][0] for query in queries if "group" in query]
    assert asked[0] == "developers"
    assert len(asked) == 2  # the other one is for a group that cannot exist
    assert len(list(sandbox.requests.to("/repos/website"))) == 1


def test_a_login_has_requests_enough_for_all_conditions(app):
    names = [f"group-{number}" for number in range(4)]
    app.give({"developer": {"groups": [*names, "developers"]}}, groups=("developers",))
    assert app.log_in() == ["developer"]
    app.give({name: {"groups": [name]} for name in [*names, "developers"]})
    assert app.log_in() == ["developers"]


def test_roles_by_permissions_go_to_those_who_have_them(app, sandbox):
    sandbox.projects.put(Project("WEB", "Website", ("website",), public=True, users=("jo@example",), admins=("jane",)))
    app.give({"reader": {"projects": ["WEB:read"]}, "viewer": {"repositories": ["WEB/website"]}})
    assert app.log_in("jo@example") == ["reader", "viewer"]
    assert app.log_in("kim") == ["viewer"], "what is public needs no permission"
    app.give({"writer": {"repositories": ["WEB/website:write"]}, "owner": {"projects": ["WEB:admin"]}})
    # Tokens of OAuth 2 are asked for to read, and have no permission to write.
    assert app.log_in("jane") == ([] if app.is_oauth2 else ["owner", "writer"])
    assert app.log_in("jo@example") == []


def test_a_wider_scope_shows_more_permissions(app, sandbox):
    sandbox.projects.put(Project("WEB", "Website", writers=("jane",)))
    app.give({"writer": {"projects": ["WEB:write"]}})
    if app.is_oauth2:
        link = sandbox.link_external_application(name="Wider", redirect_url=callback("one"), permissions=["REPO_WRITE"])
        credentials = {"client_id": link.client_id, "client_secret": Secret(link.client_secret)}
        app.integrations["one"] = dataclasses.replace(app.integrations["one"], **credentials)
        app.host.flask.config[f"{OAUTH2}SCOPE"] = ["REPO_WRITE"]
    assert app.log_in("jane") == ["writer"]
    assert app.log_in("kim") == []


def test_a_login_has_requests_enough_for_permissions(app, sandbox):
    sandbox.projects.put(Project("WEB", "Website", ("website",), users=("jane",)))
    app.give({"reader": {"groups": ["developers"], "projects": ["WEB:write"], "repositories": ["WEB/website:read"]}})
    sandbox.projects.take_from_group("developers", "jane")
    assert app.log_in("jane") == ["reader"]


def test_a_server_that_does_not_tell_groups_gives_no_role_by_them(app, sandbox, caplog):
    app.give(DEVELOPER | {"member": {"groups": ["developers"], "projects": ["WEB"]}})
    assert app.log_in() == ["developer", "member"]
    sandbox.faults.groups_closed = True
    caplog.set_level(logging.WARNING)
    assert app.log_in() == ["member"]
    assert "The role developer was not given" in caplog.text


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"server_error": True}, "server_error"),
        ({"rate_limited": True}, "rate_limited"),
        ({"interception": "page"}, "login_in_front"),
    ],
)
def test_a_server_that_fails_at_a_question_about_roles_ends_the_login(app, sandbox, fault, problem):
    app.give(READER)
    assert app.log_in() == ["reader"]
    sandbox.faults.update(fault | {"only_path": "/repos/website"})
    assert app.log_in() == problem
    assert app.roles() == ["reader"]


def test_roles_that_change_during_a_login_end_it(app, sandbox):
    app.give(DEVELOPER)
    browser = Browser(app.host)
    begun = browser.begin(f"/login/{app.provider}/one/")
    app.give({"owner": {"groups": ["developers"]}})
    browser.open(sandbox.authorize(begun.location, user="jane"))
    assert app.host.problem == "integration_changed"


def test_who_may_not_log_in_gets_no_role(app):
    app.give({"anybody": {"groups": ["bitbucket-users"]}}, groups=("developers",))
    assert app.log_in("kim") == "person_not_allowed"
    assert app.host.identities() == []


def test_a_recheck_gives_and_takes_roles(app, sandbox):
    app.give(DEVELOPER)
    assert app.log_in() == ["developer"]
    assert app.recheck().roles == ("developer",)
    sandbox.projects.take_from_group("developers", "jane")
    assert app.recheck().roles == ()
    assert app.roles() == []
    app.give({"member": {"groups": ["bitbucket-users"]}})
    assert app.recheck().roles == ("member",)
    assert app.roles() == ["member"]


def test_a_recheck_that_refuses_takes_all_roles(app, sandbox):
    app.give(DEVELOPER)
    app.log_in()
    sandbox.users.disable("jane")
    assert app.recheck().roles == ()
    assert app.roles() == []


def test_a_recheck_without_an_answer_leaves_the_roles(app, sandbox):
    app.give(DEVELOPER)
    app.log_in()
    sandbox.faults.update({"server_error": True})
    assert app.recheck().roles is None
    assert app.roles() == ["developer"]


def test_a_recheck_keeps_the_token_that_it_renewed(app, sandbox, monkeypatch):
    app.give(DEVELOPER)
    app.log_in()
    before = app.identity().extra_data["sealed_access_token"]
    app.give({"member": {"groups": ["bitbucket-users"]}})
    seconds = (grants.ACCESS_TOKEN_LIFETIME if app.is_oauth2 else ACCESS_TOKEN_LIFETIME) + 1
    sandbox.clock.advance(seconds)
    monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: time.time() + seconds))
    assert app.recheck().roles == ("member",)
    assert app.roles() == ["member"]
    assert app.identity().extra_data["sealed_access_token"] != before
    assert app.recheck().roles == ("member",)


def test_a_token_for_groups_alone_does_not_show_what_a_person_can_see(app):
    app.give(DEVELOPER)
    app.log_in()
    app.give(DEVELOPER | READER)
    found = app.recheck()
    assert found.roles == (None if app.is_oauth2 else ("developer", "reader"))
    assert app.log_in() == ["developer", "reader"]
    assert app.recheck().roles == ("developer", "reader")


class Single:
    """A Flask application with one server by plain settings."""

    def __init__(self, path, sandbox, private_key, **settings):
        sandbox.link(consumer_key="c1", public_key=private_key.public.pem)
        self.sandbox = sandbox
        servers = {"URL": sandbox.url, "KEY": "c1", "PRIVATE_KEY": private_key.pem(), "INTEGRATIONS": None}
        self.host = Host(path, {}, **{f"{OAUTH1}{name}": value for name, value in (servers | settings).items()})

    def log_in(self, user):
        browser = Browser(self.host)
        begun = browser.begin("/login/bitbucket-server/")
        assert browser.open(self.sandbox.authorize(begun.location, user=user)).status_code == 303
        with self.host.flask.app_context():
            identities = self.host.session.query(self.host.storage.user)
            return next(roles_of(identity) for identity in identities if identity.extra_data["name"] == user)


@pytest.fixture
def single(tmp_path, sandbox, private_key):
    made = []

    def application(**settings):
        made.append(Single(tmp_path / "single.db", sandbox, private_key, **settings))
        return made[-1]

    yield application
    for each in made:
        each.host.engine.dispose()


def test_the_documented_roles_are_given(single):
    settings = {}
    exec(re.search(r"```python\n(SOCIAL_AUTH_BITBUCKET_SERVER_ROLES = .*?)```", PAGE, re.DOTALL)[1], settings)
    app = single(ROLES=settings[f"{OAUTH1}ROLES"])
    assert app.log_in("jane") == {"developer", "editor"}
    assert app.log_in("kim") == {"editor"}


def test_the_documented_question_about_a_person_is_answered(single):
    app = single(ROLES={"editor": {"groups": ["developers"]}})
    app.log_in("jane")
    app.log_in("kim")
    names = {"storage": app.host.storage}
    exec(re.search(r"```python\n(from social_bitbucket_server.account import .*?)```", PAGE, re.DOTALL)[1], names)
    with app.host.flask.app_context():
        users = app.host.session.query(app.host.storage.user.user_model())
        assert {user.username: names["has_role"](user, "editor") for user in users} == {"jane": True, "kim": False}


def test_an_applications_own_roles_are_no_concern_of_bitbucket(single):
    app = single()
    app.host.flask.config["ROLES"] = {"developer": {"groups": ["developers"]}}
    assert app.log_in("jane") == frozenset()


@pytest.mark.parametrize("prefix", [OAUTH1, "SOCIAL_AUTH_"])
def test_roles_for_one_server_are_refused_with_several(tmp_path, prefix):
    with pytest.raises(UnsafeConfigurationError, match="It is for one server"):
        Host(tmp_path / "app.db", {}, **{f"{prefix}ROLES": DEVELOPER})


def test_a_login_is_refused_if_roles_for_one_server_come_later(app):
    browser = Browser(app.host)
    browser.look_at("/")
    app.host.flask.config[f"{OAUTH2 if app.is_oauth2 else OAUTH1}ROLES"] = DEVELOPER
    browser.begin(f"/login/{app.provider}/one/")
    assert app.host.problem == "setting_invalid"


def test_no_server_gives_the_roles_of_another(tmp_path, sandbox, private_key):
    with Sandbox(context="/bitbucket") as other:
        integrations = {}
        for name, server, roles in (("acme", sandbox, DEVELOPER), ("globex", other, {"reader": {"projects": ["WEB"]}})):
            server.link(consumer_key=name, public_key=private_key.public.pem)
            integrations[name] = Integration(
                id=name,
                server=Server(ServerURL.parse(server.url)),
                namespace=name,
                consumer_key=name,
                private_key=private_key,
                roles=Roles.read(roles),
            )
        settings = {f"{OAUTH1}PIPELINE": [*_steps(), f"{__name__}.remember_groups"]}
        host = Host(tmp_path / "app.db", integrations, **settings)
        groups_seen.clear()
        Browser(host).log_in("acme", sandbox)
        Browser(host).log_in("globex", other)
        with host.flask.app_context():
            roles = {identity.uid: roles_of(identity) for identity in host.session.query(host.storage.user)}
        host.engine.dispose()
    assert roles == {"acme:2": {"developer"}, "globex:2": {"reader"}}
    assert groups_seen == [["acme:developer"], ["globex:reader"]]


def _steps():
    social_auth, user = "social_core.pipeline.social_auth", "social_core.pipeline.user"
    of_accounts = ("social_details", "social_uid", "social_user")
    return [
        *(f"{social_auth}.{step}" for step in of_accounts),
        f"{user}.get_username",
        f"{user}.create_user",
        f"{social_auth}.associate_user",
        f"{social_auth}.load_extra_data",
    ]
