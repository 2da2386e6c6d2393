"""Access tokens that are kept: from the login to signed calls, renewal, revocation and expiry, with the sandbox."""

import logging
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from social_core.exceptions import SocialAuthBaseException

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.account import ROLES_KEY, roles_of
from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.integration import Integration, Server, ServerURL, UnsafeConfigurationError
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.sandbox import Project, Sandbox
from social_bitbucket_server.sandbox.state.oauth1_tokens import ACCESS_TOKEN_LIFETIME, SESSION_LIFETIME
from tests.flow.test_many_integrations import Browser, Host

PAGE = Path(__file__).parents[2] / "docs/calling-bitbucket.md"
USERS = "/rest/api/latest/users"


@pytest.fixture
def sandbox(private_key):
    with Sandbox(context="/bitbucket") as sandbox:
        sandbox.link(consumer_key="c1", public_key=private_key.public.pem)
        yield sandbox


@pytest.fixture
def integrations(sandbox, private_key):
    url = ServerURL.parse(sandbox.url)
    return {
        "one": Integration(id="one", server=Server(url), consumer_key="c1", private_key=private_key, namespace="ns")
    }


@pytest.fixture
def make_host(tmp_path, integrations):
    hosts = []

    def make(**config):
        settings = {f"SOCIAL_AUTH_BITBUCKET_SERVER_{name}": value for name, value in config.items()}
        hosts.append(Host(tmp_path / "app.db", integrations, **settings))
        return hosts[-1]

    yield make
    for host in hosts:
        host.engine.dispose()


@pytest.fixture
def host(make_host):
    return make_host(STORE_ACCESS_TOKEN=True, KEY_RING=KeyRing.generate())


@pytest.fixture
def jane(host, sandbox):
    """Jane's identity after her login, in an application context without a request."""
    Browser(host).log_in("one", sandbox)
    with host.flask.app_context():
        yield host.session.query(host.storage.user).one()


def granted(sandbox):
    return [token.value for token in sandbox._state.tokens.granted()]


def problem(call, *arguments):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments)
    return caught.value.code


def test_nothing_is_kept_by_default(make_host, sandbox):
    host = make_host()
    Browser(host).log_in("one", sandbox)
    with host.flask.app_context():
        (identity,) = host.session.query(host.storage.user)
        assert not {"sealed_access_token", "access_token", "integration"} & identity.extra_data.keys()
        assert problem(bitbucket.rest_client, identity) == "token_missing"


def test_what_is_kept_is_sealed(jane, sandbox, tmp_path, host):
    (token,) = sandbox._state.tokens.granted()
    assert jane.extra_data["integration"] == "one"
    assert jane.extra_data["sealed_access_token"].startswith("v1.1.")
    stored = (tmp_path / "app.db").read_bytes()
    assert token.value.encode() not in stored
    assert token.session_handle.encode() not in stored


def test_without_a_key_ring_no_login_begins(make_host, sandbox):
    host = make_host()
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_STORE_ACCESS_TOKEN"] = True
    with (
        host.flask.test_request_context("/?integration=one", method="POST"),
        pytest.raises(SocialAuthBaseException) as caught,
    ):
        bitbucket.begin("/complete/")
    assert caught.value.context["problem"] == "setting_missing"
    assert caught.value.parameter == "KEY_RING"
    assert not list(sandbox.requests)


def test_with_a_bad_key_ring_no_request_is_answered(make_host):
    host = make_host(STORE_ACCESS_TOKEN=True, KEY_RING="nonsense")
    host.flask.testing = True
    with pytest.raises(UnsafeConfigurationError, match="Correct SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING: "):
        host.flask.test_client().get("/")


def test_calls_are_made_as_the_person(jane, sandbox):
    rest = bitbucket.rest_client(jane)
    assert rest.get(f"{USERS}/jane")["name"] == "jane"
    everybody = list(rest.pages(USERS, limit=1))
    assert {user["name"] for user in everybody} >= {"jane", "admin"}
    assert len(sandbox.requests.to("/users")) >= len(everybody)
    assert problem(rest.get, "/rest/api/latest/nothing") == "request_refused"


def test_a_token_that_ended_is_renewed_kept_and_used_from_then_on(jane, sandbox, host):
    before = jane.extra_data["sealed_access_token"]
    sandbox.clock.advance(ACCESS_TOKEN_LIFETIME + 1)
    assert bitbucket.rest_client(jane).get(f"{USERS}/jane")["name"] == "jane"
    host.session.expire_all()
    assert jane.extra_data["sealed_access_token"] != before
    assert jane.extra_data["name"] == "jane"
    assert bitbucket.rest_client(jane).get(f"{USERS}/jane")["name"] == "jane"
    assert len(sandbox.requests.to("/access-token")) == 2


def test_two_clients_of_one_person_do_not_take_the_token_from_each_other(jane, sandbox):
    first, second = bitbucket.rest_client(jane), bitbucket.rest_client(jane)
    sandbox.clock.advance(ACCESS_TOKEN_LIFETIME + 1)
    for rest in (first, second, first):
        assert rest.get(f"{USERS}/jane")["name"] == "jane"
    assert len(granted(sandbox)) == 1


def test_a_revoked_token_is_told_from_an_expired_one(jane, sandbox):
    rest = bitbucket.rest_client(jane)
    sandbox.revoke("jane")
    assert problem(rest.get, f"{USERS}/jane") == "token_revoked"


def test_a_token_that_cannot_be_renewed_any_more_has_expired(jane, sandbox):
    sandbox.clock.advance(SESSION_LIFETIME + 1)
    assert problem(bitbucket.rest_client(jane).get, f"{USERS}/jane") == "token_expired"


def test_logging_in_again_mends_it(jane, host, sandbox):
    sandbox.revoke("jane")
    Browser(host).log_in("one", sandbox)
    host.session.expire_all()
    assert bitbucket.rest_client(jane).get(f"{USERS}/jane")["name"] == "jane"


def test_a_disabled_account_is_named(jane, sandbox):
    sandbox.users.disable("jane")
    assert problem(bitbucket.rest_client(jane).get, f"{USERS}/jane") == "account_not_admitted"


def test_a_limit_is_reported_where_it_lasts(jane, sandbox):
    sandbox.faults.rate_limited = True
    assert problem(bitbucket.rest_client(jane).get, f"{USERS}/jane") == "rate_limited"
    assert len(sandbox.requests.to("/users/jane")) == 2


def test_a_renewal_works_where_the_clocks_differ(jane, sandbox):
    sandbox.clock.advance(ACCESS_TOKEN_LIFETIME + 1)
    sandbox.faults.clock_skew = 3000
    assert bitbucket.rest_client(jane).get(f"{USERS}/jane")["name"] == "jane"


def test_a_token_of_oauth_1_is_erased_and_bitbucket_is_not_asked(jane, sandbox):
    jane.set_extra_data({ROLES_KEY: ["editor"]})
    before = len(sandbox.requests)
    assert bitbucket.revoke_access_token(jane) is False
    assert problem(bitbucket.rest_client, jane) == "token_missing"
    assert (len(sandbox.requests), len(granted(sandbox)), roles_of(jane)) == (before, 1, {"editor"})


def test_the_page_shows_which_repositories_a_person_may_read(jane, sandbox):
    sandbox.projects.put(Project("WEB", "Website", ("website", "styles"), users=("jane",)))
    sandbox.projects.put(Project("OPS", "Operations", ("scripts",), admins=("jane",)))
    sandbox.projects.put(Project("SECRET", "Secret", ("plans",), users=("kim",)))
    code = re.search(r"```python\n(def readable_repositories[^`]*)```", PAGE.read_text())[1]
    names = {}
    exec(code, names)
    found = names["readable_repositories"](bitbucket.rest_client(jane))
    assert sorted(found) == ["OPS/scripts", "WEB/styles", "WEB/website"]


def test_another_persons_record_opens_for_nobody(jane, host, sandbox):
    Browser(host).log_in("one", sandbox, "admin")
    first, second = host.session.query(host.storage.user)
    first.extra_data = dict(second.extra_data)
    first.save()
    assert problem(bitbucket.rest_client, first) == "token_unopenable"


def test_an_integration_that_is_gone_is_unknown(jane, integrations):
    integrations.clear()
    assert problem(bitbucket.rest_client, jane) == "integration_unknown"


def test_another_key_ring_opens_nothing_and_changes_nothing(jane, host):
    before = dict(jane.extra_data)
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING"] = KeyRing.generate()
    assert problem(bitbucket.rest_client, jane) == "token_unopenable"
    assert jane.extra_data == before


def test_a_rotated_key_ring_opens_and_seals_anew(jane, host):
    old = host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING"]
    new = KeyRing.generate().replace("1:", "2:", 1)
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING"] = f"{new},{old}"
    assert bitbucket.reseal_access_token(jane)
    assert not bitbucket.reseal_access_token(jane)
    host.flask.config["SOCIAL_AUTH_BITBUCKET_SERVER_KEY_RING"] = new
    assert bitbucket.rest_client(jane).get(f"{USERS}/jane")["name"] == "jane"


def test_no_token_is_in_any_log(host, sandbox, caplog):
    with caplog.at_level(logging.DEBUG):
        Browser(host).log_in("one", sandbox)
        secrets = [token for grant in sandbox._state.tokens.granted() for token in (grant.value, grant.session_handle)]
        with host.flask.app_context():
            (identity,) = host.session.query(host.storage.user)
            sandbox.clock.advance(ACCESS_TOKEN_LIFETIME + 1)
            bitbucket.rest_client(identity).get(f"{USERS}/jane")
            secrets += [
                token for grant in sandbox._state.tokens.granted() for token in (grant.value, grant.session_handle)
            ]
    assert len(set(secrets)) == 4
    assert not [secret for secret in secrets if secret in caplog.text]
    assert "oauth_signature" not in caplog.text


def test_a_token_that_is_not_kept_is_used_as_the_page_says(integrations, sandbox):
    sandbox.projects.put(Project("PRJ", "Jane's", users=("jane",)))
    code = re.search(r"```python\n(from social_bitbucket_server.oauth [^`]*)```", PAGE.read_text())[1]

    def allow(address):
        (names["verifier"],) = parse_qs(urlsplit(sandbox.authorize(address, user="jane")).query)["oauth_verifier"]

    names = {"integration": integrations["one"], "print": allow}
    exec(code.replace("person.json", "found = person.json"), names)
    assert names["found"] == "Jane's"
