"""Logging in by OAuth 2: one server by settings, many integrations, and the same people after the upgrade."""

import base64
import dataclasses
import hashlib
import http.client
import json
import logging
import re
import traceback
from types import SimpleNamespace
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import pytest
from social_core.exceptions import AuthCanceled
from social_core.pipeline import DEFAULT_AUTH_PIPELINE

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.crypto import KeyRing, Secret
from social_bitbucket_server.integration import (
    Integration,
    OAuth2Integration,
    Server,
    ServerURL,
    UnsafeConfigurationError,
)
from social_bitbucket_server.login import backend as login_backend
from social_bitbucket_server.login import pending, profile_fields
from social_bitbucket_server.oauth import oauth2 as oauth2_client
from social_bitbucket_server.oauth.sending import Sender
from social_bitbucket_server.problems import PROBLEMS, BitbucketServerError, Who
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sandbox.state.grants import ACCESS_TOKEN_LIFETIME, REFRESH_TOKEN_LIFETIME
from social_bitbucket_server.transport import Transport, breaker
from social_bitbucket_server.transport.bulkhead import Bulkhead
from tests.flow.test_many_integrations import ORIGIN, Browser, Host
from tests.scripted_server import Reply, ScriptedServer
from tests.transports import forget_servers

OAUTH2 = "bitbucket-server-oauth2"
SETTING = "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_"
OLD_SETTING = "SOCIAL_AUTH_BITBUCKET_SERVER_"
USERS = "/rest/api/latest/users"
STEP = "social_bitbucket_server.pipeline.associate_by_bitbucket_identity"
PIPELINE = list(DEFAULT_AUTH_PIPELINE)
PIPELINE.insert(PIPELINE.index("social_core.pipeline.social_auth.social_user") + 1, STEP)


def begin_path(integration=""):
    return f"/login/{OAUTH2}/{integration}/" if integration else f"/login/{OAUTH2}/"


def callback(integration=""):
    return ORIGIN + begin_path(integration).replace("/login/", "/complete/")


def integration_for(name, sandbox, link, **changes):
    fields = {
        "id": name,
        "server": Server(ServerURL.parse(sandbox.url)),
        "client_id": link.client_id,
        "client_secret": Secret(link.client_secret),
        "namespace": f"ns-{name}",
    }
    return OAuth2Integration(**fields | changes)


def log_in(browser, sandbox, integration="", user="jane", **options):
    begun = browser.begin(begin_path(integration))
    return browser.open(sandbox.authorize(begun.location, user=user, **options))


def identities(host):
    with host.flask.app_context():
        query = host.session.query(host.storage.user).order_by(host.storage.user.id)
        return [(identity.provider, identity.uid, identity.user_id) for identity in query]


@pytest.fixture
def make_host(tmp_path):
    hosts = []

    def make(old_integrations=None, **config):
        hosts.append(Host(tmp_path / "app.db", old_integrations or {}, **config))
        return hosts[-1]

    yield make
    for host in hosts:
        host.engine.dispose()


@pytest.fixture
def sandboxes():
    with Sandbox(context="/bitbucket") as first, Sandbox() as second:
        yield first, second


@pytest.fixture
def sandbox(sandboxes):
    return sandboxes[0]


# One server, by settings


@pytest.fixture
def single(sandbox):
    """The settings of an application with one server."""
    link = sandbox.link_external_application(redirect_url=callback())
    return {
        f"{SETTING}URL": sandbox.url,
        f"{SETTING}KEY": link.client_id,
        f"{SETTING}SECRET": link.client_secret,
        f"{SETTING}CALLBACK_ORIGIN": ORIGIN,
        "SOCIAL_AUTH_PIPELINE": PIPELINE,
    }


@pytest.fixture
def host(make_host, single):
    return make_host(**single)


@pytest.fixture
def browser(host):
    return Browser(host)


def test_a_person_logs_in_by_settings_alone(host, browser, sandbox):
    assert log_in(browser, sandbox).status_code == 303
    assert browser.name == "jane"
    assert [(provider, uid) for provider, uid, _ in identities(host)] == [(OAUTH2, "2")]


def test_the_same_person_is_the_same_user_the_next_time(host, sandbox):
    for _ in range(2):
        log_in(Browser(host), sandbox)
    assert len(identities(host)) == 1


def test_a_person_with_another_slug_than_name_logs_in(host, sandbox):
    log_in(Browser(host), sandbox, user="jo@example")
    assert identities(host)[0][1] == "3"


def test_there_are_no_routes_where_it_is_not_configured(make_host):
    host = make_host()
    assert Browser(host).begin(begin_path()).status_code == 404


def test_a_login_never_begins_by_get_or_without_the_csrf_token(host, browser, sandbox):
    page = browser.open(begin_path())
    assert f'<form method="post" action="{begin_path()}">' in page.text
    assert browser.begin(begin_path(), csrf_token="wrong").status_code == 400
    assert not list(sandbox.requests)


def test_no_call_goes_out_when_a_login_begins(browser, sandbox):
    browser.begin(begin_path())
    assert not list(sandbox.requests)


def test_pkce_is_sent_and_matches(browser, sandbox):
    begun = browser.begin(begin_path())
    asked = {name: value for name, (value,) in parse_qs(urlsplit(begun.location).query).items()}
    browser.open(sandbox.authorize(begun.location))
    (exchange,) = sandbox.requests.to("/token")
    digest = hashlib.sha256(exchange.form["code_verifier"].encode()).digest()
    assert asked["code_challenge_method"] == "S256"
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert exchange.form["redirect_uri"] == asked["redirect_uri"] == callback()
    assert asked["scope"] == "PUBLIC_REPOS"


def test_neither_the_session_nor_an_address_is_enough_to_make_the_verifier(host, browser, sandbox):
    begun = browser.begin(begin_path())
    (text,) = browser.session["bitbucket-server-oauth2_pending"]
    address = sandbox.authorize(begun.location)
    browser.open(address)
    verifier = sandbox.requests.to("/token")[0].form["code_verifier"]
    (state,) = parse_qs(urlsplit(address).query)["state"]
    seed = text.rpartition("seed:")[2]
    assert verifier == pending.code_verifier(state, seed)
    assert verifier not in f"{text} {begun.location} {address}"
    assert state not in text
    assert len({verifier, pending.code_verifier(state, "x" * 43), pending.code_verifier("x" * 43, seed)}) == 3


def test_a_code_does_not_work_with_another_logins_verifier(host, browser, sandbox):
    """As where an attacker puts a code of their own into the callback of somebody's login."""
    mine, theirs = (sandbox.authorize(each.begin(begin_path()).location) for each in (browser, Browser(host)))
    code = re.search("code=[^&]*", theirs)[0]
    assert browser.open(re.sub("code=[^&]*", code, mine)).status_code == 502
    assert host.problem == "code_refused"


@pytest.mark.parametrize("tab", [0, 1, 2])
def test_several_tabs_log_in_side_by_side_each_with_a_state_and_verifier_of_its_own(browser, sandbox, tab):
    tabs = [browser.begin(begin_path()).location for _ in range(3)]
    asked = [parse_qs(urlsplit(location).query) for location in tabs]
    assert len({parameters["state"][0] for parameters in asked}) == 3
    assert len({parameters["code_challenge"][0] for parameters in asked}) == 3
    assert browser.open(sandbox.authorize(tabs[tab])).status_code == 303
    assert browser.name == "jane"


def test_the_oldest_of_six_logins_falls_out(host, browser, sandbox):
    begun = [browser.begin(begin_path()) for _ in range(6)]
    assert browser.open(sandbox.authorize(begun[0].location)).status_code == 400
    assert host.problem == "login_not_pending"


def test_denying_logs_nobody_in(host, browser, sandbox):
    log_in(browser, sandbox, allow=False)
    assert host.problem == "login_declined"
    assert isinstance(host.errors[-1], AuthCanceled)
    assert not sandbox.requests.to("/token")
    assert browser.name == "nobody"


@pytest.mark.parametrize(
    ("error", "problem", "provider_code"),
    [
        ("invalid_request", "oauth_problem", "invalid_request"),
        ("invalid_scope", "scope_refused", "invalid_scope"),
        ("unauthorized_client", "oauth_problem", "unauthorized_client"),
        ("server_error", "oauth_problem", "server_error"),
        ("%3Cscript%3E", "oauth_problem", "other"),
    ],
)
def test_other_errors_become_problems_from_a_known_list(host, browser, error, problem, provider_code):
    begun = browser.begin(begin_path())
    (state,) = parse_qs(urlsplit(begun.location).query)["state"]
    page = browser.open(f"{callback()}?error={error}&state={state}&error_description=%3Cb%3E")
    assert host.problem == problem
    assert host.errors[-1].provider_code == provider_code
    assert "<script>" not in page.text
    assert "<b>" not in page.text


def test_a_scope_wider_than_the_link_is_named(make_host, single, sandbox):
    host = make_host(**single, **{f"{SETTING}SCOPE": ["REPO_WRITE"]})
    assert log_in(Browser(host), sandbox).status_code == 503
    assert host.problem == "scope_refused"


def test_a_configured_scope_stands_alone(make_host, single):
    host = make_host(**single, **{f"{SETTING}SCOPE": ["REPO_READ"]})
    begun = Browser(host).begin(begin_path())
    assert parse_qs(urlsplit(begun.location).query)["scope"] == ["REPO_READ"]


def test_a_scope_that_is_none_is_a_bad_setting(make_host, single):
    host = make_host(**single, **{f"{SETTING}SCOPE": "REPO_READ"})
    assert Browser(host).begin(begin_path()).status_code == 503
    assert host.problem == "setting_invalid"


def test_a_replayed_callback_is_refused_before_anything_is_asked(host, browser, sandbox):
    address = sandbox.authorize(browser.begin(begin_path()).location)
    assert browser.open(address).status_code == 303
    assert browser.open(address).status_code == 400
    assert host.problem == "login_not_pending"
    assert len(sandbox.requests.to("/token")) == 1


def test_a_callback_that_found_no_room_can_be_opened_again(host, browser, sandbox, monkeypatch):
    address = sandbox.authorize(browser.begin(begin_path()).location)
    with monkeypatch.context() as full:
        full.setattr(Bulkhead, "enter", Mock(side_effect=BitbucketServerError("server_busy")))
        assert browser.open(address).status_code == 503
    assert not sandbox.requests.to("/token")
    assert browser.open(address).status_code == 303


def test_a_callback_to_a_server_that_is_left_alone_can_be_opened_again(host, browser, sandbox, monkeypatch):
    monkeypatch.setattr(breaker, "SECONDS_OPEN", 600)
    browsers = [Browser(host) for _ in range(3)]
    *others, address = [sandbox.authorize(each.begin(begin_path()).location) for each in (*browsers, browser)]
    sandbox.stop()
    assert [each.open(other).status_code for each, other in zip(browsers, others, strict=True)] == [502] * 3
    sandbox.start()
    for _ in range(2):
        answer = browser.open(address)
        assert (answer.status_code, host.problem) == (503, "server_overloaded")
        assert answer.headers["Refresh"] == "5"
    forget_servers()
    assert browser.open(address).status_code == 303


def test_a_callback_in_another_browser_is_refused(host, browser, sandbox):
    address = sandbox.authorize(browser.begin(begin_path()).location)
    assert Browser(host).open(address).status_code == 400
    assert host.problem == "login_not_pending"
    assert browser.open(address).status_code == 303


def test_a_login_that_took_too_long_is_refused(host, browser, sandbox, monkeypatch):
    address = sandbox.authorize(browser.begin(begin_path()).location)
    now = pending.time.time
    monkeypatch.setattr(pending, "time", SimpleNamespace(time=lambda: now() + 601))
    assert browser.open(address).status_code == 400
    assert host.problem == "login_expired"
    assert not sandbox.requests.to("/token")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda query: query.replace("state=", "x="), "callback_parameter_missing"),
        (lambda query: query.replace("code=", "x="), "callback_parameter_missing"),
        (lambda query: re.sub("code=[^&]*", "code=", query), "callback_parameter_missing"),
        (lambda query: query.replace("code=", "code=a%00b"), "callback_parameter_invalid"),
        (lambda query: query.replace("code=", f"code={'x' * 1100}"), "callback_parameter_invalid"),
        (lambda query: query + "&code=X", "callback_parameter_invalid"),
        (lambda query: query + "&state=X", "callback_parameter_invalid"),
        (lambda query: query.replace("state=", "state=x"), "login_not_pending"),
        (lambda query: "error=access_denied", "login_not_pending"),
        (lambda query: "error=access_denied&state=unknown", "login_not_pending"),
    ],
)
def test_a_damaged_callback_is_refused_before_anything_is_asked(host, browser, sandbox, change, problem):
    address = urlsplit(sandbox.authorize(browser.begin(begin_path()).location))
    assert browser.open(address._replace(query=change(address.query)).geturl()).status_code == 400
    assert host.problem == problem
    assert not sandbox.requests.to("/token")


def test_an_expired_code_says_to_begin_again(host, browser, sandbox):
    address = sandbox.authorize(browser.begin(begin_path()).location)
    sandbox.clock.advance(11)
    assert browser.open(address).status_code == 502
    assert host.problem == "code_refused"
    assert host.errors[-1].provider_code == "invalid_request"


def test_an_unknown_code_says_to_begin_again(host, browser, sandbox):
    address = sandbox.authorize(browser.begin(begin_path()).location)
    assert browser.open(re.sub("code=[^&]*", "code=unknown", address)).status_code == 502
    assert host.problem == "code_refused"
    assert PROBLEMS["code_refused"].who is Who.PERSON


def test_a_wrong_client_secret_is_named(make_host, single, sandbox):
    host = make_host(**single | {f"{SETTING}SECRET": "wrong"})
    assert log_in(Browser(host), sandbox).status_code == 503
    assert host.problem == "client_refused"
    assert host.errors[-1].parameter == "client_secret"


@pytest.mark.parametrize("name", ["KEY", "SECRET"])
def test_a_missing_credential_is_named(make_host, single, name):
    with pytest.raises(UnsafeConfigurationError, match=f"Set {SETTING}{name}"):
        make_host(**single | {f"{SETTING}{name}": ""})


def test_plain_http_is_for_this_machine_alone(make_host, single, caplog):
    host = make_host(**single | {f"{SETTING}URL": "http://bitbucket.example.com"})
    assert Browser(host).open("/").status_code == 500
    assert f"Correct {SETTING}URL: It begins with http://" in caplog.text


def test_a_server_without_the_header_names_nobody_because_whoami_takes_no_bearer_token(host, browser, sandbox):
    sandbox.faults.user_headers_removed = True
    assert log_in(browser, sandbox).status_code == 502
    assert host.problem == "identity_missing"


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"interception": "page"}, "login_in_front"),
        ({"interception": "redirect"}, "login_in_front"),
        ({"rate_limited": True}, "rate_limited"),
        ({"server_error": True}, "server_error"),
    ],
)
def test_what_stands_in_the_way_of_the_exchange_is_named(host, browser, sandbox, fault, problem):
    sandbox.faults.update(fault)
    log_in(browser, sandbox)
    assert host.problem == problem


def test_a_disabled_account_is_not_logged_in(host, browser, sandbox):
    address = sandbox.authorize(browser.begin(begin_path()).location)
    sandbox.users.disable("jane")
    assert browser.open(address).status_code == 403
    assert host.problem == "account_not_admitted"


def test_no_secret_is_in_any_log_or_page_or_row(host, browser, sandbox, single, caplog, tmp_path):
    with caplog.at_level(logging.DEBUG):
        page = log_in(browser, sandbox)
    (grant,) = sandbox._state.grants.granted()
    (exchange,) = sandbox.requests.to("/token")
    secrets = [grant.access_token, grant.refresh_token, exchange.form["code"], exchange.form["code_verifier"]]
    secrets.append(single[f"{SETTING}SECRET"])
    stored = (tmp_path / "app.db").read_bytes()
    for secret in secrets:
        assert secret not in caplog.text
        assert secret not in page.text
        assert secret.encode() not in stored


# Hostile answers to the token call


@pytest.fixture
def hostile(make_host, single):
    """A login that comes back from a server that answers the token call with what the test says."""
    with ScriptedServer() as server:
        host = make_host(**single | {f"{SETTING}URL": server.url})

        def come_back(reply):
            server.scripts["/rest/oauth2/latest/token"] = reply
            browser = Browser(host)
            (state,) = parse_qs(urlsplit(browser.begin(begin_path()).location).query)["state"]
            return host, browser.open(f"{callback()}?code=C&state={state}"), server

        yield come_back


JSON = (("Content-Type", "application/json"),)
GRANT = {"access_token": "A", "token_type": "bearer", "expires_in": 3600, "refresh_token": "R"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"access_token": None}, "token_invalid"),
        ({"access_token": ""}, "token_invalid"),
        ({"access_token": ["A"]}, "token_invalid"),
        ({"access_token": "a b"}, "token_invalid"),
        ({"access_token": "a\r\nX: y"}, "token_invalid"),
        ({"access_token": "é"}, "token_invalid"),
        ({"access_token": "a" * 4097}, "token_invalid"),
        ({"refresh_token": 5}, "token_invalid"),
        ({"refresh_token": ""}, "token_invalid"),
        ({"token_type": None}, "token_invalid"),
        ({"token_type": "mac"}, "token_invalid"),
        ({"expires_in": "3600"}, "malformed_answer"),
        ({"expires_in": True}, "malformed_answer"),
        ({"expires_in": -1}, "malformed_answer"),
        ({"expires_in": 1.5}, "malformed_answer"),
        ({"expires_in": 10**30}, "malformed_answer"),
    ],
)
def test_a_field_that_cannot_be_used_is_refused(hostile, changes, problem):
    host, page, server = hostile(Reply(json.dumps(GRANT | changes), headers=JSON))
    assert (page.status_code, host.problem) == (502, problem)
    assert server.paths() == ["/rest/oauth2/latest/token"]


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply("", headers=JSON), "empty_answer"),
        (Reply("[]", headers=JSON), "malformed_answer"),
        (Reply("null", headers=JSON), "malformed_answer"),
        (Reply('{"access_token":"A","access_token":"B","token_type":"bearer"}', headers=JSON), "malformed_answer"),
        (Reply("[" * 8000, headers=JSON), "malformed_answer"),
        (Reply(b"\xff\xfe", headers=JSON), "malformed_answer"),
        (Reply(" " * 9000, headers=JSON), "malformed_answer"),
        (Reply("access_token=A&token_type=bearer"), "malformed_answer"),
        (Reply("<html>", headers=(("Content-Type", "text/html"),)), "intercepted"),
        (Reply("", 302, headers=(("Location", "/rest/elsewhere"),)), "redirected"),
        (Reply("{}", 201, headers=JSON), "request_refused"),
        (Reply('{"error":"invalid_client"}', 400, headers=JSON), "client_refused"),
        (Reply('{"error":"invalid_client"}', 401, headers=JSON), "client_refused"),
        (Reply('{"error":"<script>"}', 400, headers=JSON), "oauth_problem"),
        (Reply('{"error":["invalid_client"]}', 400, headers=JSON), "request_refused"),
        (Reply('{"error":"invalid_client"}', 500, headers=JSON), "server_error"),
    ],
)
def test_an_answer_that_is_none_is_refused(hostile, reply, problem):
    host, page, server = hostile(reply)
    assert host.problem == problem
    assert page.status_code in {502, 503}
    assert server.paths() == ["/rest/oauth2/latest/token"]
    assert "<script>" not in page.text


def test_the_server_cannot_say_that_the_person_declined(hostile):
    host, page, _ = hostile(Reply('{"error":"access_denied"}', 401, headers=JSON))
    assert (page.status_code, host.problem) == (502, "oauth_problem")


# Many integrations


@pytest.fixture
def links(sandboxes):
    """Of each integration."""
    return {
        name: sandbox.link_external_application(redirect_url=callback(name), name=name)
        for name, sandbox in (("one", sandboxes[0]), ("two", sandboxes[1]))
    }


@pytest.fixture
def integrations(sandboxes, links):
    return {
        "one": integration_for("one", sandboxes[0], links["one"]),
        "two": integration_for("two", sandboxes[1], links["two"]),
    }


@pytest.fixture
def many(make_host, integrations):
    config = {f"{SETTING}INTEGRATIONS": integrations.get, f"{SETTING}CALLBACK_ORIGIN": ORIGIN}
    return make_host(**config)


def test_equal_user_ids_of_two_servers_are_two_people(many, sandboxes):
    log_in(Browser(many), sandboxes[0], "one")
    log_in(Browser(many), sandboxes[1], "two")
    (_, first, first_user), (_, second, second_user) = identities(many)
    assert (first, second) == ("ns-one:2", "ns-two:2")
    assert first_user != second_user


def test_the_callback_never_comes_from_a_host_header(many):
    begun = Browser(many).begin(begin_path("one"), headers={"X-Forwarded-Host": "evil.example"})
    assert parse_qs(urlsplit(begun.location).query)["redirect_uri"] == [callback("one")]


def test_a_mapping_of_plain_fields_does_as_well(make_host, sandboxes, links):
    link = links["one"]
    fields = {"url": sandboxes[0].url, "client_id": link.client_id, "client_secret": link.client_secret}
    config = {f"{SETTING}INTEGRATIONS": {"one": fields}, f"{SETTING}CALLBACK_ORIGIN": ORIGIN}
    host = make_host(**config)
    log_in(Browser(host), sandboxes[0], "one")
    assert identities(host)[0][1] == "one:2"


def test_an_answer_at_another_integrations_address_is_refused_before_anything_is_asked(many, sandboxes):
    browser = Browser(many)
    begun = browser.begin(begin_path("one"))
    browser.begin(begin_path("two"))
    address = sandboxes[0].authorize(begun.location)
    assert browser.open(address.replace("/one/", "/two/")).status_code == 400
    assert many.problem == "login_mixed_up"
    assert not sandboxes[0].requests.to("/token")
    assert not sandboxes[1].requests.to("/token")


@pytest.mark.parametrize(
    ("change", "problem", "status"),
    [
        (lambda known: known.update(one=dataclasses.replace(known["two"], id="one")), "integration_changed", 400),
        (lambda known: known.update(one=dataclasses.replace(known["one"], namespace="x")), "integration_changed", 400),
        (lambda known: known.pop("one"), "integration_unknown", 404),
    ],
)
def test_an_integration_that_changed_meanwhile_is_refused(many, sandboxes, integrations, change, problem, status):
    browser = Browser(many)
    address = sandboxes[0].authorize(browser.begin(begin_path("one")).location)
    change(integrations)
    assert browser.open(address).status_code == status
    assert many.problem == problem
    assert not sandboxes[0].requests.to("/token")


def test_an_integration_that_changed_while_the_server_answered_is_refused(many, sandboxes, integrations, monkeypatch):
    browser = Browser(many)
    address = sandboxes[0].authorize(browser.begin(begin_path("one")).location)
    exchange = oauth2_client.OAuth2Client.access_token

    def change_and_exchange(client, *arguments):
        integrations["one"] = dataclasses.replace(integrations["two"], id="one")
        return exchange(client, *arguments)

    monkeypatch.setattr(oauth2_client.OAuth2Client, "access_token", change_and_exchange)
    assert browser.open(address).status_code == 400
    assert many.problem == "integration_changed"
    assert identities(many) == []


def test_a_client_secret_that_was_renewed_meanwhile_does_not_end_the_login(many, sandboxes, integrations):
    integrations["one"] = dataclasses.replace(integrations["one"], client_secret=Secret("old"))
    browser = Browser(many)
    address = sandboxes[0].authorize(browser.begin(begin_path("one")).location)
    (link,) = sandboxes[0].external_applications.all()
    integrations["one"] = dataclasses.replace(integrations["one"], client_secret=Secret(link.client_secret))
    assert browser.open(address).status_code == 303


def test_logging_in_as_somebody_else_switches_the_account_and_attaches_nothing(many, sandboxes):
    browser = Browser(many)
    log_in(browser, sandboxes[0], "one", "jane")
    before = identities(many)
    log_in(browser, sandboxes[1], "two", "admin")
    assert browser.name == "admin"
    assert identities(many)[:1] == before
    assert len({user for _, _, user in identities(many)}) == 2


# Access tokens that are kept


@pytest.fixture
def keeping(make_host, single):
    config = {f"{SETTING}STORE_ACCESS_TOKEN": True, f"{SETTING}KEY_RING": KeyRing.generate()}
    return make_host(**single | config)


@pytest.fixture
def jane(keeping, sandbox):
    log_in(Browser(keeping), sandbox)
    with keeping.flask.app_context():
        yield keeping.session.query(keeping.storage.user).one()


def problem_of(call, *arguments):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments)
    return caught.value.code


def test_nothing_is_kept_by_default(host, sandbox):
    log_in(Browser(host), sandbox)
    with host.flask.app_context():
        (identity,) = host.session.query(host.storage.user)
        assert not {"sealed_access_token", "access_token", "refresh_token", "token_type"} & identity.extra_data.keys()
        assert problem_of(bitbucket.rest_client, identity) == "token_missing"


def test_calls_are_made_as_the_person(jane):
    rest = bitbucket.rest_client(jane)
    assert rest.get(f"{USERS}/jane")["name"] == "jane"
    assert problem_of(rest.get, "/rest/api/latest/nothing") == "request_refused"


def test_an_hour_later_the_token_is_renewed_and_kept(jane, keeping, sandbox):
    before = jane.extra_data["sealed_access_token"]
    sandbox.clock.advance(ACCESS_TOKEN_LIFETIME + 1)
    assert bitbucket.rest_client(jane).get(f"{USERS}/jane")["name"] == "jane"
    keeping.session.expire_all()
    assert jane.extra_data["sealed_access_token"] != before
    assert bitbucket.rest_client(jane).get(f"{USERS}/jane")["name"] == "jane"
    assert len(sandbox.requests.to("/token")) == 2


def test_two_clients_of_one_person_do_not_take_the_token_from_each_other(jane, sandbox):
    first, second = bitbucket.rest_client(jane), bitbucket.rest_client(jane)
    sandbox.clock.advance(ACCESS_TOKEN_LIFETIME + 1)
    for rest in (first, second, first):
        assert rest.get(f"{USERS}/jane")["name"] == "jane"
    assert len(sandbox._state.grants.granted()) == 1


def test_a_revoked_token_is_named(jane, sandbox):
    rest = bitbucket.rest_client(jane)
    sandbox.revoke("jane")
    assert problem_of(rest.get, f"{USERS}/jane") == "token_revoked"


def test_a_token_is_revoked_and_erased(jane, sandbox):
    assert bitbucket.revoke_access_token(jane) is True
    assert sandbox._state.grants.granted() == []
    assert problem_of(bitbucket.rest_client, jane) == "token_missing"
    assert bitbucket.revoke_access_token(jane) is False, "there is nothing to revoke"


@pytest.mark.parametrize("fault", [{"server_error": True}, {"interception": "page"}])
def test_a_token_is_erased_though_the_server_cannot_revoke_it(jane, sandbox, fault, caplog):
    sandbox.faults.update(fault)
    assert bitbucket.revoke_access_token(jane) is False
    assert "sealed_access_token" not in jane.extra_data
    assert "could not be revoked at the server" in caplog.text


def test_a_token_that_nobody_used_for_ninety_days_cannot_be_renewed(jane, sandbox):
    sandbox.clock.advance(REFRESH_TOKEN_LIFETIME + 1)
    assert problem_of(bitbucket.rest_client(jane).get, f"{USERS}/jane") == "token_revoked"


def test_a_disabled_account_is_named(jane, sandbox):
    sandbox.users.disable("jane")
    assert problem_of(bitbucket.rest_client(jane).get, f"{USERS}/jane") == "account_not_admitted"


# The same people after the upgrade


@pytest.fixture
def both(sandbox, single, private_key):
    """One server by settings, with OAuth 1 and OAuth 2 side by side."""
    sandbox.link(consumer_key="c1", public_key=private_key.public.pem)
    return single | {
        f"{OLD_SETTING}INTEGRATIONS": None,
        f"{OLD_SETTING}URL": sandbox.url,
        f"{OLD_SETTING}KEY": "c1",
        f"{OLD_SETTING}PRIVATE_KEY": private_key.pem(),
    }


def log_in_as_before(browser, sandbox, integration="", user="jane"):
    begun = browser.begin(f"/login/bitbucket-server/{integration}/" if integration else "/login/bitbucket-server/")
    return browser.open(sandbox.authorize(begun.location, user=user))


def test_the_upgrade_keeps_the_account(make_host, both, sandbox):
    host = make_host(**both)
    log_in_as_before(Browser(host), sandbox)
    log_in(Browser(host), sandbox)
    ((old, old_uid, old_user), (new, new_uid, new_user)) = identities(host)
    assert (old, new) == ("bitbucket-server", OAUTH2)
    assert old_uid == new_uid
    assert old_user == new_user


def test_going_back_keeps_the_account(make_host, both, sandbox):
    host = make_host(**both)
    log_in(Browser(host), sandbox)
    log_in_as_before(Browser(host), sandbox)
    assert len({user for _, _, user in identities(host)}) == 1
    assert len(identities(host)) == 2


def test_somebody_else_is_somebody_else(make_host, both, sandbox):
    host = make_host(**both)
    log_in_as_before(Browser(host), sandbox, user="jane")
    log_in(Browser(host), sandbox, user="admin")
    assert len({user for _, _, user in identities(host)}) == 2


def test_without_the_step_they_are_two_accounts(make_host, both, sandbox):
    host = make_host(**both | {"SOCIAL_AUTH_PIPELINE": DEFAULT_AUTH_PIPELINE})
    log_in_as_before(Browser(host), sandbox)
    log_in(Browser(host), sandbox)
    assert len({user for _, _, user in identities(host)}) == 2


def test_another_server_has_other_people(make_host, both, sandbox, sandboxes):
    """The uid is the same, but it was another server's before: its user 2 must not become ours."""
    link = sandboxes[1].link_external_application(redirect_url=callback())
    moved = {
        f"{SETTING}URL": sandboxes[1].url,
        f"{SETTING}KEY": link.client_id,
        f"{SETTING}SECRET": link.client_secret,
    }
    host = make_host(**both | moved)
    log_in_as_before(Browser(host), sandbox)
    log_in(Browser(host), sandboxes[1])
    ((_, old_uid, old_user), (_, new_uid, new_user)) = identities(host)
    assert old_uid == new_uid
    assert old_user != new_user


@pytest.mark.parametrize("old_namespace", ["ns-one", "ns-other"])
def test_one_integration_by_both_has_the_same_people_where_its_namespace_is_the_same(
    make_host, sandboxes, links, integrations, private_key, old_namespace
):
    sandboxes[0].link(consumer_key="c1", public_key=private_key.public.pem)
    url = ServerURL.parse(sandboxes[0].url)
    old = Integration(id="one", server=Server(url), consumer_key="c1", private_key=private_key, namespace=old_namespace)
    config = {f"{SETTING}INTEGRATIONS": integrations.get, f"{SETTING}CALLBACK_ORIGIN": ORIGIN}
    host = make_host({"one": old}, **config, SOCIAL_AUTH_PIPELINE=PIPELINE)
    log_in_as_before(Browser(host), sandboxes[0], "one")
    log_in(Browser(host), sandboxes[0], "one")
    log_in(Browser(host), sandboxes[1], "two")
    people = [user for _, _, user in identities(host)]
    assert len(people) == 3
    assert (people[0] == people[1]) == (old_namespace == "ns-one")
    assert people[2] not in people[:2]


# Connecting, trying


@pytest.fixture
def connecting(make_host, both):
    """With an address where the person who is logged in connects an account by OAuth 2, and one where they try it."""
    host = make_host(**both)

    def connect():
        bitbucket.check_csrf()
        return bitbucket.connect(begin_path().replace("/login/", "/complete/"), OAUTH2)

    host.flask.add_url_rule("/connect-oauth2", "connect_oauth2", connect, methods=["POST"])
    return host


def test_a_person_connects_an_account_by_oauth_2(connecting, sandbox):
    browser = Browser(connecting)
    log_in_as_before(browser, sandbox, user="jane")
    begun = browser.begin("/connect-oauth2")
    assert browser.open(sandbox.authorize(begun.location, user="admin")).status_code == 303
    assert browser.name == "jane"
    assert len({user for _, _, user in identities(connecting)}) == 1


def test_the_account_that_is_another_persons_by_oauth_1_is_not_connected_by_oauth_2(connecting, sandbox):
    log_in_as_before(Browser(connecting), sandbox, user="admin")
    browser = Browser(connecting)
    log_in_as_before(browser, sandbox, user="jane")
    before = identities(connecting)
    begun = browser.begin("/connect-oauth2")
    assert browser.open(sandbox.authorize(begun.location, user="admin")).status_code == 409
    assert connecting.problem == "identity_in_use"
    assert identities(connecting) == before


def test_who_is_not_logged_in_any_more_connects_nothing(connecting, sandbox):
    browser = Browser(connecting)
    log_in_as_before(browser, sandbox, user="jane")
    begun = browser.begin("/connect-oauth2")
    browser.log_out()
    assert browser.open(sandbox.authorize(begun.location, user="admin")).status_code == 400
    assert connecting.problem == "person_changed"
    assert not sandbox.requests.to("/token")


# What an error shows


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (pending.PendingLogins, "finish"),
        (oauth2_client.OAuth2Client, "access_token"),
        (Sender, "send"),
        (oauth2_client, "read_grant"),
        (Transport, "send"),
        (http.client.HTTPConnection, "putheader"),
        (http.client.HTTPConnection, "getresponse"),
        (login_backend, "fetch_profile"),
        (profile_fields, "response_of"),
    ],
)
def test_no_traceback_with_local_variables_shows_a_secret(host, browser, sandbox, single, monkeypatch, owner, name):
    address = sandbox.authorize(browser.begin(begin_path()).location)
    code = parse_qs(urlsplit(address).query)["code"][0]

    def fail(*_, **__):
        raise RuntimeError("forced")

    host.flask.testing = True
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(RuntimeError) as caught:
        browser.open(address)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    ours = shown[shown.rindex("do_complete") :]
    secrets = [code, single[f"{SETTING}SECRET"], *(grant.access_token for grant in sandbox._state.grants.granted())]
    secrets += [exchange.form["code_verifier"] for exchange in sandbox.requests.to("/token")]
    assert "forced" in ours
    assert [secret for secret in secrets if secret in ours] == []


def test_the_buttons_of_both_ways_to_log_in_are_told_apart(make_host, single):
    host = make_host(**single)

    def labels(**config):
        host.flask.config.update(config)
        with host.flask.test_request_context():
            pages = [bitbucket.button(backend=name) for name in ("bitbucket-server", OAUTH2)]
        return [re.search(r"<button.*>(.*)</button>", page)[1] for page in pages]

    assert labels(**{f"{OLD_SETTING}INTEGRATIONS": None}) == ["Log in with Bitbucket"] * 2
    assert labels(**{f"{OLD_SETTING}URL": "https://bitbucket.example.com"}) == [
        "Log in with Bitbucket",
        "Log in with Bitbucket (OAuth 2)",
    ]
