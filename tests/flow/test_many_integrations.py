"""Many integrations in a plain Flask application: each person with their own server, nobody mixed up."""

import dataclasses
import re
import secrets
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import flask_login
import pytest
from flask import Flask, render_template_string, url_for
from social_core.exceptions import SocialAuthBaseException
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from sqlalchemy import create_engine, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.flask import BitbucketServer
from social_bitbucket_server.integration import Credentials, Integration, Server, ServerURL, UnsafeConfigurationError
from social_bitbucket_server.login import pending
from social_bitbucket_server.oauth import Client
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sqlalchemy import make_storage

ORIGIN = "https://app.example"


def numbered(base):
    class User(base, flask_login.UserMixin):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(unique=True)
        email: Mapped[str | None]

    return User


def called(prefix):
    """Users whose primary key is a text of another name, which begins with *prefix*."""

    def make(base):
        class User(base, flask_login.UserMixin):
            __tablename__ = "users"
            handle: Mapped[str] = mapped_column(primary_key=True, default=lambda: prefix + secrets.token_hex(4))
            username: Mapped[str] = mapped_column(unique=True)
            email: Mapped[str | None]

            def get_id(self):
                return self.handle

        return User

    return make


class Host:
    """A Flask application with a database, and what a test wants to know about it."""

    def __init__(self, path, integrations, make_users=numbered, engine=None, **config):
        class Base(DeclarativeBase): ...

        User = make_users(Base)  # noqa: N806  # a class
        id_of = inspect(User).primary_key[0].type.python_type
        self.engine = engine or create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})
        self.session = scoped_session(sessionmaker(self.engine))
        self.storage = make_storage(Base, User, self.session)
        Base.metadata.create_all(self.engine)
        self.errors = []
        self.integrations = integrations
        self.flask = Flask(__name__)
        settings = {
            "SECRET_KEY": "x" * 32,
            "SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS": self.integrations.get,
            "SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN": ORIGIN,
        }
        self.flask.config.update(settings | config)
        try:
            BitbucketServer(self.flask, self.storage)
        except BaseException:
            self.engine.dispose()
            raise
        flask_login.LoginManager(self.flask).user_loader(lambda user_id: self.session.get(User, id_of(user_id)))
        self.flask.teardown_appcontext(lambda _: self.session.remove())
        self.flask.add_url_rule("/", "home", self.home)
        self.flask.add_url_rule("/report", "report", self.home)
        self.flask.add_url_rule("/connect/<integration>", "connect", self.connect, methods=["POST"])
        self.flask.add_url_rule("/try/<integration>", "try", self.try_login, methods=["POST"])
        self.flask.add_url_rule("/tried/<integration>", "tried", self.tried)
        shown = self.flask.error_handler_spec[None][None][SocialAuthBaseException]
        self.flask.register_error_handler(
            SocialAuthBaseException, lambda error: self.errors.append(error) or shown(error)
        )

    def home(self):
        return render_template_string(
            "{{ current_user.username or 'nobody' }} {{ bitbucket_server_button('Log in', 'one', '/report') }}"
        )

    def connect(self, integration):
        bitbucket.check_csrf()
        return bitbucket.connect(url_for("bitbucket_server.complete", integration=integration))

    def try_login(self, integration):
        bitbucket.check_csrf()
        return bitbucket.try_login(url_for("tried", integration=integration))

    def tried(self, integration):
        address = url_for("tried", integration=integration)
        is_trial = bitbucket.is_trial(address)
        trial = bitbucket.complete_trial(address)
        findings = {finding.name: finding.holds for finding in trial.findings}
        return {"is_trial": is_trial, "name": trial.profile.name, "findings": findings}

    def identities(self):
        with self.flask.app_context():
            query = self.session.query(self.storage.user).order_by(self.storage.user.id)
            return [(identity.uid, identity.user_id) for identity in query]

    @property
    def problem(self):
        return self.errors[-1].context["problem"]


class Browser:
    """One person's browser."""

    def __init__(self, host):
        self._client = host.flask.test_client()

    def begin(self, path, headers=None, **fields):
        token = re.search(r'name="csrf_token" value="([^"]+)"', self._client.get("/").text)[1]
        return self._client.post(path, data={"csrf_token": token, **fields}, headers=headers)

    def open(self, address):
        parts = urlsplit(address)
        return self._client.get(f"{parts.path}?{parts.query}")

    def look_at(self, address):
        """Ask for the headers alone, as link checkers do."""
        parts = urlsplit(address)
        return self._client.head(f"{parts.path}?{parts.query}")

    def log_in(self, integration, sandbox, user="jane"):
        begun = self.begin(f"/login/bitbucket-server/{integration}/")
        return self.open(sandbox.authorize(begun.location, user=user))

    def become(self, user_id):
        """The session says that somebody else is logged in, and all else stays."""
        with self._client.session_transaction() as session:
            session["_user_id"] = str(user_id)

    @property
    def session(self):
        with self._client.session_transaction() as session:
            return dict(session)

    def log_out(self):
        with self._client.session_transaction() as session:
            del session["_user_id"]

    @property
    def name(self):
        return self._client.get("/").text.split()[0]


@pytest.fixture
def sandboxes(private_key, other_private_key):
    with Sandbox(context="/bitbucket") as first, Sandbox() as second:
        first.link(consumer_key="c1", public_key=private_key.public.pem)
        first.link(consumer_key="c3", public_key=other_private_key.public.pem)
        second.link(consumer_key="c2", public_key=other_private_key.public.pem)
        yield first, second


@pytest.fixture
def integrations(sandboxes, private_key, other_private_key):
    def make(name, sandbox, consumer_key, key):
        url = ServerURL.parse(sandbox.url)
        return Integration(
            id=name, server=Server(url), consumer_key=consumer_key, private_key=key, namespace=f"ns-{name}"
        )

    return {
        "one": make("one", sandboxes[0], "c1", private_key),
        "two": make("two", sandboxes[1], "c2", other_private_key),
        "three": make("three", sandboxes[0], "c3", other_private_key),
    }


@pytest.fixture
def host(tmp_path, integrations):
    host = Host(tmp_path / "app.db", integrations)
    yield host
    host.engine.dispose()


@pytest.fixture
def browser(host):
    return Browser(host)


def test_equal_user_ids_of_two_servers_are_two_people(host, sandboxes):
    Browser(host).log_in("one", sandboxes[0])
    Browser(host).log_in("two", sandboxes[1])
    (first, first_user), (second, second_user) = host.identities()
    assert first.startswith("ns-one:")
    assert second.startswith("ns-two:")
    assert first.split(":")[1] == second.split(":")[1]
    assert first_user != second_user


def test_one_person_through_two_integrations_with_one_server_is_two_accounts(host, sandboxes):
    Browser(host).log_in("one", sandboxes[0])
    Browser(host).log_in("three", sandboxes[0])
    assert len({user for _, user in host.identities()}) == 2


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example"}])
def test_the_callback_is_the_integrations_own_and_from_the_configured_origin(browser, sandboxes, headers):
    browser.begin("/login/bitbucket-server/one/", headers)
    (asked,) = sandboxes[0].requests.to("/request-token")
    assert asked.oauth_parameters["oauth_callback"] == f"{ORIGIN}/complete/bitbucket-server/one/"


def test_the_form_may_say_which_integration(browser, sandboxes):
    begun = browser.begin("/login/bitbucket-server/", integration="two")
    assert begun.location.startswith(sandboxes[1].url)
    browser.open(sandboxes[1].authorize(begun.location, user="jane"))
    assert browser.name == "jane"


def test_the_address_wins_over_the_form(browser, sandboxes):
    begun = browser.begin("/login/bitbucket-server/one/", integration="two")
    assert begun.location.startswith(sandboxes[0].url)


def test_an_integration_must_be_chosen(host, browser):
    assert browser.begin("/login/bitbucket-server/").status_code == 400
    assert host.problem == "integration_missing"


def test_an_unknown_integration_is_refused(host, browser):
    assert browser.begin("/login/bitbucket-server/none/").status_code == 404
    assert host.problem == "integration_unknown"


def test_the_login_goes_where_it_was_meant_to_go(browser, sandboxes):
    begun = browser.begin("/login/bitbucket-server/one/", next="/report")
    assert browser.open(sandboxes[0].authorize(begun.location, user="jane")).location == "/report"


def test_where_an_abandoned_login_was_meant_to_go_is_forgotten(browser, sandboxes):
    browser.begin("/login/bitbucket-server/one/", next="/report")
    begun = browser.begin("/login/bitbucket-server/one/")
    assert browser.open(sandboxes[0].authorize(begun.location, user="jane")).location == "/"


def test_an_answer_at_another_integrations_address_is_refused_before_anything_is_asked(host, browser, sandboxes):
    begun = browser.begin("/login/bitbucket-server/one/")
    browser.begin("/login/bitbucket-server/two/")
    callback = sandboxes[0].authorize(begun.location, user="jane")
    assert browser.open(callback.replace("/one/", "/two/")).status_code == 400
    assert host.problem == "login_mixed_up"
    assert not sandboxes[0].requests.to("/access-token")
    assert not sandboxes[1].requests.to("/access-token")


def test_an_integration_that_changed_meanwhile_is_refused(host, browser, sandboxes, integrations):
    begun = browser.begin("/login/bitbucket-server/one/")
    callback = sandboxes[0].authorize(begun.location, user="jane")
    integrations["one"] = dataclasses.replace(integrations["three"], id="one", namespace="ns-one")
    assert browser.open(callback).status_code == 400
    assert host.problem == "integration_changed"


@pytest.fixture
def waiting(integrations, other_private_key):
    """Integration one, with the credentials of the link c3 waiting beside its own."""
    integrations["one"] = dataclasses.replace(integrations["one"], pending=Credentials("c3", other_private_key))
    return integrations["one"]


def remove_link(sandbox, consumer_key):
    (link,) = [link for link in sandbox.links.all() if link.consumer.key == consumer_key]
    sandbox.links.remove(link.id)


def consumer_keys_asked_with(sandbox):
    return [record.oauth_parameters["oauth_consumer_key"] for record in sandbox.requests.to("/request-token")]


def test_pending_credentials_are_tried_where_the_consumer_key_is_unknown(host, browser, sandboxes, waiting):
    accepted = []
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_PENDING_KEY_ACCEPTED"] = accepted.append
    assert browser.log_in("one", sandboxes[0]).status_code == 303
    assert consumer_keys_asked_with(sandboxes[0]) == ["c1"]
    remove_link(sandboxes[0], "c1")
    assert browser.log_in("one", sandboxes[0]).status_code == 303
    assert consumer_keys_asked_with(sandboxes[0]) == ["c1", "c1", "c3"]
    assert accepted == [waiting.successor]


def test_an_unknown_consumer_key_is_not_tried_again_with_another_key_pair(host, browser, sandboxes, integrations):
    pending = Credentials("c1", integrations["three"].private_key)
    integrations["one"] = dataclasses.replace(integrations["one"], pending=pending)
    remove_link(sandboxes[0], "c1")
    assert browser.begin("/login/bitbucket-server/one/").status_code == 503
    assert host.problem == "consumer_key_unknown"
    assert consumer_keys_asked_with(sandboxes[0]) == ["c1"]


def test_a_login_that_began_with_pending_credentials_ends_with_them(browser, sandboxes, waiting):
    """Although nobody made them the integration's own: there is no PENDING_KEY_ACCEPTED."""
    remove_link(sandboxes[0], "c1")
    assert browser.log_in("one", sandboxes[0]).status_code == 303


def test_a_login_that_began_with_replaced_credentials_ends_with_them(host, browser, sandboxes, integrations, waiting):
    begun = browser.begin("/login/bitbucket-server/one/")
    callback = sandboxes[0].authorize(begun.location, user="jane")
    replaced = Credentials(waiting.consumer_key, waiting.private_key)
    integrations["one"] = dataclasses.replace(waiting.successor, replaced=replaced)
    assert browser.open(callback).status_code == 303
    assert browser.name == "jane"
    assert sandboxes[0].requests.to("/access-token")[-1].oauth_parameters["oauth_consumer_key"] == "c1"
    assert Browser(host).log_in("one", sandboxes[0]).status_code == 303
    assert consumer_keys_asked_with(sandboxes[0]) == ["c1", "c3"]


def test_an_integration_that_is_gone_meanwhile_is_refused(host, browser, sandboxes, integrations):
    begun = browser.begin("/login/bitbucket-server/one/")
    callback = sandboxes[0].authorize(begun.location, user="jane")
    del integrations["one"]
    assert browser.open(callback).status_code == 404
    assert host.problem == "integration_unknown"
    assert not sandboxes[0].requests.to("/access-token")


def test_several_tabs_log_in_side_by_side(browser, sandboxes):
    tabs = [browser.begin("/login/bitbucket-server/one/") for _ in range(3)]
    assert browser.open(sandboxes[0].authorize(tabs[1].location, user="jane")).status_code == 303
    assert browser.name == "jane"


def test_the_oldest_of_six_logins_falls_out(host, browser, sandboxes):
    begun = [browser.begin("/login/bitbucket-server/one/") for _ in range(6)]
    assert browser.open(sandboxes[0].authorize(begun[0].location, user="jane")).status_code == 400
    assert host.problem == "login_not_pending"
    assert browser.open(sandboxes[0].authorize(begun[1].location, user="jane")).status_code == 303


def test_a_login_that_took_too_long_is_refused(host, browser, sandboxes, monkeypatch):
    begun = browser.begin("/login/bitbucket-server/one/")
    callback = sandboxes[0].authorize(begun.location, user="jane")
    now = pending.time.time
    monkeypatch.setattr(pending, "time", SimpleNamespace(time=lambda: now() + 601))
    assert browser.open(callback).status_code == 400
    assert host.problem == "login_expired"
    assert not sandboxes[0].requests.to("/access-token")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda query: query.replace("oauth_token=", "x="), "callback_parameter_missing"),
        (lambda query: query.replace("oauth_verifier=", "x="), "callback_parameter_missing"),
        (lambda query: re.sub("oauth_verifier=[^&]*", "oauth_verifier=", query), "callback_parameter_missing"),
        (lambda query: re.sub("oauth_verifier=", "oauth_verifier=a%00b", query), "callback_parameter_invalid"),
        (lambda query: re.sub("oauth_verifier=", f"oauth_verifier={'x' * 300}", query), "callback_parameter_invalid"),
        (lambda query: query + "&oauth_token=T", "callback_parameter_invalid"),
        (lambda query: re.sub("oauth_token=", "oauth_token=x", query), "login_not_pending"),
        (lambda query: "oauth_problem=user_refused", "login_not_pending"),
    ],
)
def test_a_damaged_callback_is_refused_before_anything_is_asked(host, browser, sandboxes, change, problem):
    begun = browser.begin("/login/bitbucket-server/one/")
    callback = urlsplit(sandboxes[0].authorize(begun.location, user="jane"))
    assert browser.open(callback._replace(query=change(callback.query)).geturl()).status_code == 400
    assert host.problem == problem
    assert not sandboxes[0].requests.to("/access-token")


@pytest.mark.parametrize(("reported", "problem"), [("user_refused", "login_declined"), ("other", "oauth_problem")])
def test_a_problem_in_the_callback_counts_only_for_a_login_under_way(host, browser, reported, problem):
    begun = browser.begin("/login/bitbucket-server/one/")
    (token,) = parse_qs(urlsplit(begun.location).query)["oauth_token"]
    browser.open(f"/complete/bitbucket-server/one/?oauth_problem={reported}&oauth_token={token}")
    assert host.problem == problem


def test_asking_for_the_headers_of_a_callback_finishes_no_login(browser, sandboxes):
    callback = sandboxes[0].authorize(browser.begin("/login/bitbucket-server/one/").location, user="jane")
    answer = browser.look_at(callback)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert not sandboxes[0].requests.to("/access-token")
    assert browser.open(callback).status_code == 303


def test_a_callback_that_names_a_login_that_was_never_interrupted_is_refused(browser):
    assert browser.open("/complete/bitbucket-server/one/?partial_token=x").status_code == 400


def test_whoever_is_disabled_here_is_told_so(host, browser, sandboxes, monkeypatch):
    monkeypatch.setattr(host.storage.user.user_model(), "is_active", False)
    assert browser.log_in("one", sandboxes[0]).status_code == 403
    assert (host.problem, browser.name) == ("person_inactive", "nobody")


def test_whoever_is_disabled_here_goes_where_it_is_configured(host, browser, sandboxes, monkeypatch):
    monkeypatch.setattr(host.storage.user.user_model(), "is_active", False)
    host.flask.config["SOCIAL_AUTH_INACTIVE_USER_URL"] = "/sorry"
    assert browser.log_in("one", sandboxes[0]).location == "/sorry"


def test_denying_in_bitbucket_goes_to_the_login_page_where_there_is_one(host, browser, sandboxes):
    host.flask.config["SOCIAL_AUTH_LOGIN_ERROR_URL"] = "/log-in"
    begun = browser.begin("/login/bitbucket-server/one/")
    answer = browser.open(sandboxes[0].authorize(begun.location, user="jane", allow=False))
    assert (answer.status_code, answer.location) == (303, "/log-in")


def test_a_token_that_is_pending_in_another_browser_is_not_taken(host, browser, sandboxes, monkeypatch):
    monkeypatch.setattr(Client, "request_token", lambda *_: "the-same-token")
    browser.begin("/login/bitbucket-server/one/")
    assert Browser(host).begin("/login/bitbucket-server/two/").status_code == 502
    assert host.problem == "token_of_another_login"


def test_logging_in_as_somebody_else_switches_the_account_and_attaches_nothing(host, browser, sandboxes):
    browser.log_in("one", sandboxes[0], "jane")
    before = host.identities()
    browser.log_in("two", sandboxes[1], "admin")
    assert browser.name == "admin"
    assert host.identities()[:1] == before
    assert len({user for _, user in host.identities()}) == 2


def test_a_person_connects_another_account_and_logs_in_with_either(host, browser, sandboxes):
    browser.log_in("one", sandboxes[0], "jane")
    begun = browser.begin("/connect/two")
    assert browser.open(sandboxes[1].authorize(begun.location, user="admin")).status_code == 303
    assert browser.name == "jane"
    ((first, jane), (second, same)) = host.identities()
    assert (first.split(":")[0], second.split(":")[0]) == ("ns-one", "ns-two")
    assert jane == same
    other = Browser(host)
    other.log_in("two", sandboxes[1], "admin")
    assert other.name == "jane"


def test_a_login_that_ends_leaves_the_others_under_way(browser, sandboxes):
    first, second = (
        sandboxes[number].authorize(browser.begin(f"/login/bitbucket-server/{name}/").location, user="jane")
        for number, name in enumerate(("one", "two"))
    )
    assert browser.open(first).status_code == 303
    assert browser.open(second).status_code == 303


def test_the_button_itself_connects_where_the_application_wants_it(host, browser, sandboxes):
    browser.log_in("one", sandboxes[0])
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_CONNECT_LOGGED_IN"] = True
    browser.log_in("two", sandboxes[1], user="admin")
    assert len({user for _, user in host.identities()}) == 1
    assert browser.name == "jane"


def test_a_link_leads_to_a_page_with_the_button_of_its_integration(host, browser, sandboxes):
    page = browser.open("/login/bitbucket-server/one/?next=/projects/%22%3E")
    assert '<form method="post" action="/login/bitbucket-server/one/">' in page.text
    assert 'name="next" value="/projects/&quot;&gt;"' in page.text
    assert page.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert page.headers["Cache-Control"] == "no-store"
    assert "read and write access" in page.text
    assert "No token is kept." in page.text
    host.flask.config |= {"SOCIAL_AUTH_BITBUCKET_SERVER_STORE_ACCESS_TOKEN": True}
    assert "No token is kept." not in browser.open("/login/bitbucket-server/one/").text
    chosen = browser.open("/login/bitbucket-server/?integration=two")
    assert 'action="/login/bitbucket-server/two/"' in chosen.text
    assert not sandboxes[0].requests.to("/request-token")


@pytest.mark.parametrize("prefix", ["u-", "ü" * 100], ids=["short", "long"])
def test_a_person_with_a_primary_key_of_any_name_and_length_connects_an_account(
    tmp_path, integrations, sandboxes, prefix
):
    host = Host(tmp_path / "other.db", integrations, called(prefix))
    browser, other = Browser(host), Browser(host)
    other.log_in("one", sandboxes[0], "natasha")
    browser.log_in("one", sandboxes[0], "jane")
    (_, natasha), (_, jane) = host.identities()
    callbacks = [
        sandboxes[1].authorize(browser.begin("/connect/two").location, user="admin") for _ in ("refused", "connected")
    ]
    browser.become(natasha)
    assert browser.open(callbacks[0]).status_code == 400
    assert host.problem == "person_changed"
    browser.become(jane)
    assert browser.open(callbacks[1]).status_code == 303
    assert [user for _, user in host.identities()] == [natasha, jane, jane]
    host.engine.dispose()


def test_a_trial_says_whose_account_it_is_and_logs_nobody_in(host, browser, sandboxes):
    browser.log_in("one", sandboxes[0], "jane")
    before = host.identities()
    sandboxes[1].projects.add_to_group("developers", "admin")
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_ALLOW_GROUPS"] = ["guests", "developers"]
    begun = browser.begin("/try/two")
    trial = browser.open(sandboxes[1].authorize(begun.location, user="admin"))
    assert trial.json == {"is_trial": True, "name": "admin", "findings": {"guests": False, "developers": True}}
    assert (browser.name, host.identities()) == ("jane", before)


def test_a_trial_stays_one_where_the_button_itself_connects(host, browser, sandboxes):
    browser.log_in("one", sandboxes[0], "jane")
    before = host.identities()
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_CONNECT_LOGGED_IN"] = True
    begun = browser.begin("/try/two")
    assert browser.open(sandboxes[1].authorize(begun.location, user="admin")).json["is_trial"] is True
    assert host.identities() == before


def test_a_trial_is_not_finished_as_a_login_and_a_login_not_as_a_trial(host, browser, sandboxes):
    browser.log_in("one", sandboxes[0], "jane")
    tried = sandboxes[1].authorize(browser.begin("/try/two").location, user="admin")
    callback = sandboxes[1].authorize(browser.begin("/login/bitbucket-server/two/").location, user="admin")
    for mixed_up in (
        tried.replace("/tried/two", "/complete/bitbucket-server/two/"),
        callback.replace("/complete/bitbucket-server/two/", "/tried/two"),
    ):
        assert browser.open(mixed_up).status_code == 400
        assert host.problem == "login_mixed_up"
    assert not sandboxes[1].requests.to("/access-token")
    assert browser.open(tried).json["name"] == "admin"
    assert browser.open(callback).status_code == 303


def test_connecting_an_account_again_changes_nothing(host, browser, sandboxes):
    browser.log_in("one", sandboxes[0], "jane")
    for _ in range(2):
        begun = browser.begin("/connect/two")
        assert browser.open(sandboxes[1].authorize(begun.location, user="admin")).status_code == 303
    assert len(host.identities()) == 2


def test_connecting_goes_where_it_was_meant_to_go(browser, sandboxes):
    browser.log_in("one", sandboxes[0], "jane")
    begun = browser.begin("/connect/two", next="/report")
    assert browser.open(sandboxes[1].authorize(begun.location, user="admin")).location == "/report"


def test_an_account_of_somebody_else_is_not_connected(host, browser, sandboxes):
    Browser(host).log_in("two", sandboxes[1], "admin")
    browser.log_in("one", sandboxes[0], "jane")
    before = host.identities()
    begun = browser.begin("/connect/two")
    assert browser.open(sandboxes[1].authorize(begun.location, user="admin")).status_code == 409
    assert host.problem == "identity_in_use"
    assert host.identities() == before
    assert browser.name == "jane"


def test_nobody_who_is_logged_out_connects_an_account(host, browser, sandboxes):
    assert browser.begin("/connect/two").status_code == 400
    assert host.problem == "person_changed"
    assert not sandboxes[1].requests


def test_whoever_logged_out_meanwhile_connects_no_account(host, browser, sandboxes):
    browser.log_in("one", sandboxes[0], "jane")
    callback = sandboxes[1].authorize(browser.begin("/connect/two").location, user="admin")
    browser.log_out()
    assert browser.open(callback).status_code == 400
    assert host.problem == "person_changed"
    assert not sandboxes[1].requests.to("/access-token")


def test_whoever_is_somebody_else_meanwhile_connects_no_account(host, browser, sandboxes):
    Browser(host).log_in("one", sandboxes[0], "admin")
    browser.log_in("one", sandboxes[0], "jane")
    callback = sandboxes[1].authorize(browser.begin("/connect/two").location, user="admin")
    (_, admin), (_, jane) = host.identities()
    assert admin != jane
    browser.become(admin)
    assert browser.open(callback).status_code == 400
    assert host.problem == "person_changed"
    assert not sandboxes[1].requests.to("/access-token")
    assert len(host.identities()) == 2


def test_declining_to_connect_leaves_everything_as_it_was(host, browser, sandboxes):
    browser.log_in("one", sandboxes[0], "jane")
    begun = browser.begin("/connect/two")
    browser.open(sandboxes[1].authorize(begun.location, user="admin", allow=False))
    assert host.problem == "login_declined"
    assert browser.name == "jane"
    assert len(host.identities()) == 1


@pytest.mark.parametrize("path", ["/connect/two", "/try/two"])
def test_declining_as_a_person_who_is_logged_in_does_not_lead_to_the_login_page(host, browser, sandboxes, path):
    host.flask.config["SOCIAL_AUTH_LOGIN_ERROR_URL"] = "/log-in"
    browser.log_in("one", sandboxes[0], "jane")
    callback = sandboxes[1].authorize(browser.begin(path).location, user="admin", allow=False)
    assert browser.open(callback).status_code == 400
    assert host.problem == "login_declined"


WORDS = ["about a person"]


def fail(**_):
    raise KeyError(*WORDS)


def test_a_step_that_fails_ends_in_a_page_and_leaves_nobody(host, browser, sandboxes, caplog):
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_PIPELINE"] = [*DEFAULT_AUTH_PIPELINE, f"{__name__}.fail"]
    page = browser.log_in("one", sandboxes[0])
    assert (page.status_code, host.problem) == (503, "step_failed")
    assert host.errors[-1].context["reference"] in page.text
    assert "in fail" in caplog.text
    assert WORDS[0] not in caplog.text
    assert host.identities() == []
    assert browser.name == "nobody"


def test_a_disabled_account_is_not_logged_in(host, browser, sandboxes):
    begun = browser.begin("/login/bitbucket-server/one/")
    callback = sandboxes[0].authorize(begun.location, user="jane")
    sandboxes[0].users.disable("jane")
    assert browser.open(callback).status_code == 403
    assert host.problem == "account_not_admitted"
    assert host.identities() == []


def test_a_callback_origin_that_goes_missing_is_the_operators_problem(host, browser):
    browser.open("/")
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN"] = None
    assert browser.begin("/login/bitbucket-server/one/").status_code == 503
    assert host.problem == "setting_missing"


@pytest.mark.parametrize("origin", ["app.example", "https://app.example/path", "https://u@app.example"])
def test_a_callback_origin_is_scheme_and_host_alone(host, browser, origin):
    browser.open("/")
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN"] = origin
    assert browser.begin("/login/bitbucket-server/one/").status_code == 503
    assert host.problem == "setting_invalid"


def test_an_application_that_becomes_unsafe_before_its_first_request_answers_none(host, browser):
    host.flask.config["SOCIAL_AUTH_SANITIZE_REDIRECTS"] = False
    host.flask.testing = True
    for _ in range(2):
        with pytest.raises(UnsafeConfigurationError):
            browser.open("/")
