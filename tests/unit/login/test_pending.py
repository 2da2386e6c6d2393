from types import SimpleNamespace

import pytest

from social_bitbucket_server.login import LIFETIME, pending
from social_bitbucket_server.login.pending import PendingLogin, PendingLogins
from social_bitbucket_server.login.purpose import TO_LOG_IN, Intent, Purpose
from social_bitbucket_server.problems import BitbucketServerError

NOW = 1_700_000_400  # ten minutes begin here


class Nonces:
    """Core's nonce storage, in memory."""

    def __init__(self):
        self.kept = {}

    def get(self, scope, value):
        return next((key for key in self.kept if (key[0], key[2]) == (scope, value)), None)

    def use(self, scope, timestamp, value):
        return self.kept.setdefault((scope, timestamp, value), len(self.kept)) == len(self.kept) - 1

    def consume(self, scope, timestamp, value):
        return self.kept.pop((scope, timestamp, value), None) is not None


class Browser:
    """Its session, with a storage that it shares with others."""

    def __init__(self, nonces):
        self.session = {}
        self.storage = SimpleNamespace(nonce=nonces)

    def session_get(self, name, default=None):
        return self.session.get(name, default)

    def session_set(self, name, value):
        self.session[name] = value


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=NOW)
    monkeypatch.setattr(pending, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


@pytest.fixture
def browser(clock):
    return Browser(Nonces())


def code_of(call, *arguments):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments)
    return caught.value.code


@pytest.mark.parametrize(
    "intent",
    [
        TO_LOG_IN,
        *(
            Intent(purpose, person)
            for purpose in (Purpose.CONNECT, Purpose.TRY)
            for person in ("42", "a b", "a/b%", "ü")
        ),
    ],
)
def test_a_login_comes_back_as_it_began(browser, intent):
    PendingLogins(browser).begin("token", "acme-1", "ab12", intent)
    login = PendingLogins(browser).finish("token")
    assert (login.integration_id, login.binding, login.began, login.intent) == ("acme-1", "ab12", NOW, intent)


@pytest.mark.parametrize("purpose", [Purpose.CONNECT, Purpose.TRY])
def test_nobody_who_is_not_logged_in_asks_for_more_than_to_log_in(purpose):
    assert Intent.of(Purpose.LOG_IN, "") == TO_LOG_IN
    assert code_of(Intent.of, purpose, "") == "person_changed"


@pytest.mark.parametrize(
    "end", [" 42", " 42 as-trial", " connect", " connect ", " log-in 42", " try 42 connect 42", " connect 42 7"]
)
def test_a_text_with_another_end_is_no_login(end):
    text = f"{NOW} acme-1 ab12 {'0' * 64}"
    assert PendingLogin.from_text(text).intent == TO_LOG_IN
    assert PendingLogin.from_text(text + end) is None


def test_a_login_that_was_finished_is_no_longer_in_the_session(browser):
    logins = PendingLogins(browser)
    logins.begin("one", "acme-1", "ab12")
    logins.begin("two", "acme-1", "ab12")
    logins.finish("one")
    assert logins.find("one") is None
    assert logins.find("two") is not None


@pytest.mark.parametrize(("seconds", "is_in_time"), [(0, True), (LIFETIME, True), (LIFETIME + 1, False), (-1, False)])
def test_a_login_takes_ten_minutes_at_most_and_did_not_begin_in_the_future(browser, clock, seconds, is_in_time):
    logins = PendingLogins(browser)
    logins.begin("token", "acme-1", "ab12")
    clock.now += seconds
    if is_in_time:
        assert logins.finish("token").began == NOW
    else:
        assert code_of(logins.finish, "token") == "login_expired"


def test_a_token_that_is_pending_since_the_ten_minutes_before_is_not_taken(browser, clock):
    PendingLogins(browser).begin("token", "acme-1", "ab12")
    clock.now += LIFETIME
    other = Browser(browser.storage.nonce)
    assert code_of(PendingLogins(other).begin, "token", "acme-1", "ab12") == "token_of_another_login"
