"""The way back from Bitbucket."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from social_bitbucket_server.login import pending
from tests.scripted_server import Reply
from tests.security.rows import row
from tests.security.world import (
    ACCESS_TOKEN,
    HOST,
    REQUEST_TOKEN,
    Browser,
    Page,
    Place,
    World,
    everywhere,
    everywhere_and_on_every_database,
)

NOT_UNDER_WAY = "This login is not under way in this browser"
NEVER_POSTED = {403, 405}  # Django asks for the form's token first


class Login:
    """A login of alice's at A that Bitbucket has sent back, and what was asked of the servers until then."""

    def __init__(self, world: World, place: Place | None = None, name: str = "alice") -> None:
        self.world = world
        self.place = place or world.a
        self.browser = world.browser()
        begun = self.browser.begin(self.place)
        assert begun.status == 303, begun.text
        self.token, self.verifier = self.place.server.authorize(begun.location, name)
        self._asked = self._received()

    @property
    def out(self) -> int:
        """Requests that the servers received since the login began."""
        return self._received() - self._asked

    def come_back(self, browser: Browser | None = None, place: Place | None = None, **query: str) -> Page:
        sent = {"oauth_token": self.token, "oauth_verifier": self.verifier, **query}
        return (browser or self.browser).get((place or self.place).callback(**sent))

    def still_works(self) -> bool:
        return self.come_back().status == 303

    def _received(self) -> int:
        return len(self.world.fa.received) + len(self.world.fb.received)


def assert_refused(world: World, page: Page, code: str, event: str = "login.failure") -> None:
    """400 with a page that offers to begin again, and one line in the audit log."""
    assert page.status == 400
    assert any(f'href="{place.login_path}' in page.text for place in (world.a, world.b))
    line = world.events(event)[-1]
    assert line["code"] + (f"({line['parameter']})" if line.get("parameter") else "") == code
    assert line["stage"] == "callback"


def send(world: World, method: str, target: str, body: str | None = None, cookie: str = "") -> int:
    """A request that no browser helper makes; returns the status."""
    connection = HTTPConnection("127.0.0.1", world.port, timeout=120)
    headers = {"Host": HOST, "Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@row(31)
@everywhere
def test_a_callback_without_a_session_is_refused(world):
    login = Login(world)
    with world.nothing_new():
        page = login.come_back(world.browser())
    assert_refused(world, page, "session_context_missing")
    assert NOT_UNDER_WAY in page.text
    assert login.out == 0


@row(32)
@everywhere
def test_a_callback_in_another_browsers_session_is_refused_and_the_login_stays_usable(world):
    other, login = Login(world), Login(world)
    with world.nothing_new():
        page = login.come_back(other.browser)
    assert_refused(world, page, "session_context_missing")
    assert login.out == 0
    assert login.still_works()
    assert other.still_works()


@row(33)
@everywhere
def test_a_callback_without_a_request_token_is_refused(world):
    login = Login(world)
    page = login.browser.get(world.a.callback(oauth_verifier=login.verifier))
    assert_refused(world, page, "missing_parameter(oauth_token)")
    assert login.out == 0
    assert login.still_works()


@row(34)
@everywhere
def test_a_callback_without_a_verifier_is_refused(world):
    login = Login(world)
    page = login.browser.get(world.a.callback(oauth_token=login.token))
    assert_refused(world, page, "missing_parameter(oauth_verifier)")
    assert login.out == 0
    assert login.still_works()


@row(35)
@everywhere
def test_a_verifier_of_another_form_is_refused(world):
    login = Login(world)
    for verifier, code in [
        ("", "missing_parameter"),
        ("v" * 300, "invalid_parameter"),
        ("a\0b", "invalid_parameter"),
        ("a\r\nX:y", "invalid_parameter"),
    ]:
        page = login.come_back(oauth_verifier=verifier)
        assert_refused(world, page, f"{code}(oauth_verifier)")
        assert not page.header("X")
    assert login.out == 0
    assert login.still_works()


@row(36)
@everywhere
def test_deny_goes_to_the_login_page_and_consumes_the_login(world):
    login = Login(world)
    with world.nothing_new():
        page = login.come_back(oauth_verifier="denied")
    assert (page.status, page.location) == (303, world.a.declined_path)
    assert world.events("login.failure")[-1]["code"] == "authorization_declined"
    assert login.browser.get(page.location).status == 200
    again = login.come_back()
    assert_refused(world, again, "session_context_missing", "login.replay")
    assert NOT_UNDER_WAY in again.text
    assert login.out == 0


@row(37)
@everywhere
def test_a_refusal_of_the_own_login_is_a_cancelled_one(world):
    login = Login(world)
    page = login.browser.get(world.a.callback(oauth_problem="user_refused", oauth_token=login.token))
    assert (page.status, page.location) == (303, world.a.declined_path)
    assert login.out == 0


@row(37)
@everywhere
def test_a_refusal_without_a_session_shows_and_logs_nothing_of_it(world, caplog):
    stranger = world.browser()
    failures = len(world.events("login.failure"))
    page = stranger.get(world.a.callback(oauth_problem="<script>alert(1)</script>\r\nFAKE"))
    assert_refused(world, page, "session_context_missing(oauth_token)")
    assert "alert" not in page.text
    assert "FAKE" not in caplog.text
    assert len(world.events("login.failure")) == failures + 1


@row(38)
@everywhere
def test_a_callback_of_another_form_is_refused(world):
    login = Login(world)
    token, verifier = f"oauth_token={login.token}", f"oauth_verifier={login.verifier}"
    path = world.a.callback()
    page = login.browser.get(f"{path}?{token}&{token}&{verifier}")
    assert_refused(world, page, "invalid_parameter(oauth_token)")
    page = login.browser.get(f"{path}?oauth_token[]={login.token}&{verifier}")
    assert_refused(world, page, "missing_parameter(oauth_token)")
    page = login.browser.get(f"{path}?oauth_token={'t' * 10_000}&{verifier}")
    assert_refused(world, page, "invalid_parameter(oauth_token)")
    assert login.browser.post(f"{path}?{token}&{verifier}").status in NEVER_POSTED
    form = {"oauth_token": login.token, "oauth_verifier": login.verifier}
    assert login.browser.post(path, form).status in NEVER_POSTED
    cookie = "; ".join(f"{name}={value}" for name, value in login.browser.cookies.items())
    assert send(world, "GET", path, f"{token}&{verifier}", cookie) == 400, "a GET has no form"
    assert login.out == 0
    assert login.still_works()


@row(39)
@everywhere
def test_a_callback_at_another_integrations_address_is_refused(world):
    login = Login(world)
    assert login.browser.begin(world.b).status == 303
    asked = len(world.fa.received), len(world.fb.received)
    with world.nothing_new():
        page = login.come_back(place=world.b)
    assert_refused(world, page, "state_mismatch", "login.mixup")
    assert NOT_UNDER_WAY in page.text
    assert (len(world.fa.received), len(world.fb.received)) == asked


@row(39)
@everywhere
def test_a_changed_integration_is_no_mix_up(world):
    login = Login(world)
    world.change_integration(world.a, consumer_key="another-consumer")
    page = login.come_back()
    assert_refused(world, page, "state_mismatch")
    assert world.events("login.failure")[-1]["problem"] == "integration_changed"
    assert NOT_UNDER_WAY in page.text
    assert not world.events("login.mixup")
    assert login.out == 0


@row(40)
@everywhere
def test_a_token_of_another_servers_login_is_not_taken(world):
    login, victim = Login(world), world.browser()
    world.fb.scripts[REQUEST_TOKEN] = Reply(
        f"oauth_token={login.token}&oauth_token_secret=s&oauth_callback_confirmed=true"
    )
    under_way = world.transactions()
    with world.nothing_new():
        begun = victim.begin(world.b)
    assert begun.status == 502
    assert world.events("login.mixup")[-1]["code"] == "invalid_claim"
    assert world.last_failure() == "AuthResponseError/invalid_claim(oauth_token)"
    assert world.transactions() == under_way
    page = login.come_back(victim)
    assert_refused(world, page, "session_context_missing")
    assert not [request for request in world.fb.received if "oauth_verifier" in request.oauth]
    assert world.fa.count(ACCESS_TOKEN) == 0
    assert login.still_works()


@row(40)
@everywhere
def test_a_token_with_bad_characters_is_no_mix_up(world):
    world.fb.scripts[REQUEST_TOKEN] = Reply("oauth_token=%00&oauth_token_secret=s&oauth_callback_confirmed=true")
    assert world.browser().begin(world.b).status == 502
    assert world.events("login.failure")[-1]["problem"] == "token_invalid"
    assert not world.events("login.mixup")


@row(41)
@everywhere
def test_a_callback_works_once(world):
    login = Login(world)
    assert login.come_back().status == 303
    with world.nothing_new():
        page = login.come_back()
    assert_refused(world, page, "session_context_missing", "login.replay")
    assert NOT_UNDER_WAY in page.text
    assert world.fa.count(ACCESS_TOKEN) == 1


@row(42)
@everywhere_and_on_every_database
def test_of_parallel_callbacks_one_works(world):
    login = Login(world)
    all_at_once = threading.Barrier(8)

    def come_back(_: int) -> int:
        browser = world.browser()
        browser.cookies = dict(login.browser.cookies)
        all_at_once.wait()
        return login.come_back(browser).status

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(come_back, range(8)))
    assert statuses == [303] + [400] * 7
    assert world.fa.count(ACCESS_TOKEN) == 1
    assert world.counts()[1] == 1


@row(43)
@everywhere
def test_an_old_cookie_repeats_nothing(world):
    login = Login(world)
    before = dict(login.browser.cookies)
    assert login.come_back().status == 303
    asked = login.out
    login.browser.cookies = before
    with world.nothing_new():
        page = login.come_back()
    assert_refused(world, page, "session_context_missing", "login.replay")
    assert login.out == asked


@row(44)
@everywhere
def test_a_login_ends_after_ten_minutes(world, monkeypatch):
    login = Login(world)
    began = time.time()
    monkeypatch.setattr(pending.time, "time", lambda: began + 10 * 60 + 1)
    with world.nothing_new():
        page = login.come_back()
    assert_refused(world, page, "state_mismatch")
    assert NOT_UNDER_WAY in page.text
    assert login.out == 0


@row(45)
@everywhere
def test_a_rejected_token_is_not_tried_again(world):
    login = Login(world)
    world.fa.scripts[ACCESS_TOKEN] = Reply("oauth_problem=token_rejected", 401)
    with world.nothing_new():
        assert login.come_back().status == 502
        assert world.last_failure() == "AuthProviderError/http_error"
        page = login.come_back(oauth_verifier="123456")
    assert_refused(world, page, "session_context_missing", "login.replay")
    assert world.fa.count(ACCESS_TOKEN) == 1


@row(46)
@everywhere
def test_a_login_that_somebody_else_began_shows_nothing_of_it(world):
    attackers = Login(world)
    victim = world.browser()
    with world.nothing_new():
        page = attackers.come_back(victim)
    assert_refused(world, page, "session_context_missing")
    assert attackers.token not in page.text
    assert attackers.verifier not in page.text
    assert page.header("Referrer-Policy") == "no-referrer"
    assert "no-store" in page.header("Cache-Control")
    assert attackers.out == 0


@row(47)
@everywhere
@pytest.mark.parametrize("becomes", ["disabled", "deleted"])
def test_an_integration_that_is_gone_is_not_there(world, becomes):
    login = Login(world)
    world.take_away(world.a, delete=becomes == "deleted")
    with world.nothing_new():
        page = login.come_back()
    assert page.status == 404
    assert login.out == 0


@everywhere
def test_every_login_that_is_not_under_way_says_so_in_the_same_words(world, monkeypatch):
    """Unknown, finished, cancelled, of another integration, too old: nobody learns which one it was."""
    finished, denied, mixed_up, late = Login(world), Login(world), Login(world), Login(world)
    finished.come_back()
    denied.come_back(oauth_verifier="denied")
    mixed_up.browser.begin(world.b)
    pages = [
        finished.come_back(world.browser()),
        finished.come_back(),
        denied.come_back(),
        Login(world).come_back(oauth_token="unknown"),
    ]
    began = time.time()
    monkeypatch.setattr(pending.time, "time", lambda: began + 10 * 60 + 1)
    pages.append(late.come_back())
    assert len({page.without_reference for page in pages}) == 1
    assert {page.status for page in pages} == {400}
    other = mixed_up.come_back(place=world.b)
    as_at_b = pages[0].without_reference.replace("Organization A", "Organization B")
    assert other.without_reference == as_at_b.replace(world.a.login_path, world.b.login_path)


def test_the_transaction_in_the_log_is_the_same_from_begin_to_end(world):
    login = Login(world)
    login.come_back()
    login.come_back()
    transactions = {
        world.events(event)[-1]["transaction"] for event in ("login.begin", "login.success", "login.replay")
    }
    assert len(transactions) == 1
