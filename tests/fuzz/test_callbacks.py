"""Fuzz tests of what comes with the browser: the callback's parameters, and the contents of the session."""

import hashlib
from types import SimpleNamespace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from social_core.exceptions import SocialAuthBaseException
from social_core.strategy import BaseStrategy
from werkzeug.datastructures import MultiDict

from social_bitbucket_server.backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.integration import Integration, OAuth2Integration, Server, ServerURL
from social_bitbucket_server.login import PendingLogin, Purpose, pending
from social_bitbucket_server.login.purpose import Intent
from social_bitbucket_server.problems import PROBLEMS, http_status
from tests.fuzz.examples import JSON, NOISE, fuzzed, mutated

DIGEST = hashlib.sha256(b"T+/=").hexdigest()
TEXT = PendingLogin(DIGEST, "acme-1", "0" * 32, 1_700_000_000).to_text()
CONNECTING = PendingLogin(DIGEST, "acme-1", "0" * 32, 1_700_000_000, Intent(Purpose.CONNECT, "7 ü")).to_text()
TO_CONNECT = PendingLogin("0" * 64, "acme-1", "0" * 32, 1_700_000_000, Intent(Purpose.CONNECT, "user/1")).to_text()
TRYING = PendingLogin(DIGEST, "acme-1", "0" * 32, 1_700_000_000, Intent(Purpose.TRY, "7")).to_text()
BY_OAUTH2 = PendingLogin(DIGEST, "acme-1", "0" * 32, 1_700_000_000, verifier_seed="v" * 43).to_text()
TEXTS = (
    mutated([TEXT, TO_CONNECT, CONNECTING, TRYING, BY_OAUTH2, f"{TEXT} x", f"0{TEXT}", TEXT.replace(" ", "  ")]) | NOISE
)


NOW = 1_700_000_100


@pytest.fixture(scope="module", autouse=True)
def now():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pending, "time", SimpleNamespace(time=lambda: NOW))
        yield


@pytest.fixture(scope="module")
def integrations(private_key):
    url = ServerURL.parse("https://bitbucket.acme.test")
    return {
        "acme-1": Integration(
            id="acme-1", server=Server(url), consumer_key="c", private_key=private_key, namespace="ns"
        )
    }


class Nonces:
    """A storage in which everything is pending."""

    class nonce:  # noqa: N801  # social-core's name
        @staticmethod
        def consume(*nonce):
            return True


class Strategy(BaseStrategy):
    """A framework's strategy for one request."""

    def __init__(self, data, session, integrations):
        super().__init__(Nonces)
        self.data, self.session, self.integrations = data, session, integrations

    def get_setting(self, name):
        return {
            "SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS": self.integrations,
            "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_INTEGRATIONS": self.integrations,
            "SOCIAL_AUTH_CALLBACK_ORIGIN": "https://app.example",
        }[name]

    def get_request_data(self, merge=True):
        return self.data

    def build_absolute_uri(self, path=None):
        return f"https://app.example{path or ''}"

    def session_get(self, name, default=None):
        return self.session.get(name, default)

    def session_set(self, name, value):
        self.session[name] = value


@fuzzed
@given(text=TEXTS | JSON)
def test_pending_logins(text):
    login = PendingLogin.from_text(text)
    assert login is None or login.to_text() == text
    assert login is None or (type(login.is_over) is bool and login.nonce[1] <= login.began)


NAMES = st.sampled_from(["oauth_token", "oauth_verifier", "oauth_problem", "integration", "oauth_token[]", "x"])
VALUES = st.sampled_from(["T+/=", "AbC123", "denied", "user_refused", "acme-1", ""]) | NOISE
RIGHT = {"oauth_token": "T+/=", "oauth_verifier": "AbC123", "integration": "acme-1"}
NEARLY_RIGHT = st.dictionaries(NAMES, VALUES, max_size=1).map(lambda changed: list({**RIGHT, **changed}.items()))
PARAMETERS = NEARLY_RIGHT | st.lists(st.tuples(NAMES, VALUES), max_size=6)
SESSIONS = st.just([TEXT]) | JSON | st.lists(TEXTS | st.sampled_from([TEXT, CONNECTING, TRYING]), max_size=4)


@fuzzed
@given(pairs=PARAMETERS, session=SESSIONS, plain=st.booleans())
def test_callbacks(integrations, pairs, session, plain):
    data = dict(pairs) if plain else MultiDict(pairs)
    strategy = Strategy(data, {"bitbucket-server_pending": session}, integrations)
    backend = BitbucketServerOAuth1(strategy, "/complete/bitbucket-server/")
    assert backend.returning_purpose in {None, *Purpose}
    with pytest.raises(SocialAuthBaseException) as caught:
        backend.auth_complete()
    assert caught.value.context["problem"] in PROBLEMS
    assert 400 <= http_status(caught.value) <= 504
    event(caught.value.context["problem"])


OAUTH2_NAMES = st.sampled_from(["state", "code", "error", "error_description", "integration", "x"])
OAUTH2_VALUES = st.sampled_from(["T+/=", "C", "access_denied", "invalid_scope", "acme-1", ""]) | NOISE
OAUTH2_RIGHT = {"state": "T+/=", "code": "C", "integration": "acme-1"}
OAUTH2_PARAMETERS = st.dictionaries(OAUTH2_NAMES, OAUTH2_VALUES, max_size=1).map(
    lambda changed: list({**OAUTH2_RIGHT, **changed}.items())
) | st.lists(st.tuples(OAUTH2_NAMES, OAUTH2_VALUES), max_size=6)


@fuzzed
@given(pairs=OAUTH2_PARAMETERS, session=SESSIONS | st.just([BY_OAUTH2]), plain=st.booleans())
def test_callbacks_of_oauth_2(pairs, session, plain):
    integration = OAuth2Integration(
        id="acme-1",
        server=Server(ServerURL.parse("https://bitbucket.acme.test")),
        client_id="c",
        client_secret=Secret("s"),
        namespace="ns",
    )
    data = dict(pairs) if plain else MultiDict(pairs)
    strategy = Strategy(data, {"bitbucket-server-oauth2_pending": session}, {"acme-1": integration})
    backend = BitbucketServerOAuth2(strategy, "/complete/bitbucket-server-oauth2/")
    assert backend.returning_purpose in {None, *Purpose}
    with pytest.raises(SocialAuthBaseException) as caught:
        backend.auth_complete()
    assert caught.value.context["problem"] in PROBLEMS
    assert 400 <= http_status(caught.value) <= 504
    event(caught.value.context["problem"])


@fuzzed
@given(pairs=st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_beginnings(pairs):
    backend = BitbucketServerOAuth1(Strategy(MultiDict(pairs), {}, {}), "/complete/bitbucket-server/")
    with pytest.raises(SocialAuthBaseException) as caught:
        backend.auth_url()
    assert caught.value.context["problem"] in {
        "integration_missing",
        "integration_unknown",
        "callback_parameter_invalid",
    }
