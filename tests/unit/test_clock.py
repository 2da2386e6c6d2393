import logging
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest

from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.oauth import AccessToken, Client
from social_bitbucket_server.oauth import server_clock as clock
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.sandbox import Sandbox
from tests.scripted_server import Reply
from tests.servers import with_server

CALLBACK = "https://app.example/complete/"
REQUEST_TOKEN = "/bitbucket/plugins/servlet/oauth/request-token"
CONFIRMED = "oauth_token=T&oauth_token_secret=S&oauth_callback_confirmed=true"
NOW = 1_700_000_000


@pytest.fixture
def now(monkeypatch):
    """This machine's clock, as the test sets it."""
    now = SimpleNamespace(seconds=NOW)
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=lambda: now.seconds))
    return now


def refusal(acceptable=None, date=None, *, in_header=False):
    told = f"oauth_problem=timestamp_refused&oauth_acceptable_timestamps={acceptable}"
    headers = [] if date is None else [("Date", date)]
    if acceptable is None:
        return Reply("oauth_problem=timestamp_refused", 400, headers or [("Date", "nonsense")])
    if in_header:
        challenge = f'OAuth realm="x", {told.replace("&", ", ")}'
        return Reply("", 401, [*headers, ("WWW-Authenticate", challenge)])
    return Reply(told, 400, headers)


class Server:
    """The scripted server's token endpoint, which accepts timestamps around its own time."""

    def __init__(self, script, now):
        self.ahead = 0
        self.timestamps = []
        script[REQUEST_TOKEN] = self
        self.now = now

    def __call__(self, received):
        signed = int(received.oauth["oauth_timestamp"])
        self.timestamps.append(signed)
        time = self.now.seconds + self.ahead
        return Reply(CONFIRMED) if abs(signed - time) <= 300 else refusal(f"{time - 300}-{time + 300}")


@pytest.fixture
def bitbucket(server, now):
    return Server(server.scripts, now)


@pytest.fixture
def client(integration):
    return Client(integration)


@pytest.mark.parametrize("ahead", [-86_400, -400, 400, 3600, 86_400])
def test_a_refused_request_is_signed_once_more_with_the_servers_time(client, server, bitbucket, now, ahead):
    bitbucket.ahead = ahead
    assert client.request_token(CALLBACK) == "T"
    assert bitbucket.timestamps[-1] == NOW + ahead
    assert len(server.received) == 2
    assert len({request.oauth["oauth_nonce"] for request in server.received}) == 2


def test_the_difference_is_remembered_and_can_be_asked_for(client, server, bitbucket, now):
    bitbucket.ahead = 400
    assert clock.difference(client.integration.server.url) == 0
    client.request_token(CALLBACK)
    now.seconds += 60
    client.request_token(CALLBACK)
    assert clock.difference(client.integration.server.url) == 400
    assert len(server.received) == 3


def test_a_clock_that_was_set_right_meanwhile_is_noticed(client, server, bitbucket, now):
    bitbucket.ahead = 4000
    client.request_token(CALLBACK)
    bitbucket.ahead = 0
    client.request_token(CALLBACK)
    client.request_token(CALLBACK)
    assert clock.difference(client.integration.server.url) == 0
    assert len(server.received) == 5


def test_it_is_told_in_the_log_without_secrets(client, bitbucket, now, caplog):
    bitbucket.ahead = -400
    with caplog.at_level(logging.DEBUG, "social_bitbucket_server"):
        client.request_token(CALLBACK)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "-400 s" in record.getMessage()
    assert "oauth" not in record.getMessage()


@pytest.mark.parametrize("ahead", [-86_401, 86_401, 315_360_000])
def test_a_difference_of_more_than_a_day_is_a_problem_and_nothing_is_sent_again(client, server, bitbucket, now, ahead):
    bitbucket.ahead = ahead
    with pytest.raises(BitbucketServerError) as caught:
        client.request_token(CALLBACK)
    assert caught.value.code == "clock_too_far_off"
    assert caught.value.facts == {"clock_difference": f"{ahead:+d} s"}
    assert len(server.received) == 1
    assert clock.difference(client.integration.server.url) == 0


@pytest.mark.parametrize(
    "reply",
    [
        refusal(f"{NOW + 100}-{NOW + 700}"),
        refusal(f"{NOW + 100}-{NOW + 700}", in_header=True),
        refusal(f"{NOW + 100}-{NOW + 700}", date=formatdate(NOW, usegmt=True)),
        refusal(date=formatdate(NOW + 400, usegmt=True)),
        refusal("nonsense", date=formatdate(NOW + 400, usegmt=True)),
    ],
    ids=["in the body", "in a header", "against the date", "by the date", "by the date for want of better"],
)
def test_a_server_that_refuses_even_its_own_time_is_asked_twice_and_no_more(client, server, now, reply):
    server.scripts[REQUEST_TOKEN] = reply
    with pytest.raises(BitbucketServerError) as caught:
        client.request_token(CALLBACK)
    assert caught.value.code == "timestamp_refused"
    assert caught.value.provider_code == "timestamp_refused"
    assert caught.value.facts == {"clock_difference": "+400 s"}
    assert [int(request.oauth["oauth_timestamp"]) - NOW for request in server.received][1:] == [400]


@pytest.mark.parametrize(
    "reply",
    [
        refusal(),
        refusal("nonsense", date="nonsense"),
        refusal("9" * 13 + "-1", date=""),
        refusal(date=formatdate(NOW + 20, usegmt=True)),
    ],
    ids=["nothing", "nonsense", "too many digits", "the same time"],
)
def test_a_server_that_does_not_tell_another_time_is_not_asked_again(client, server, now, reply):
    server.scripts[REQUEST_TOKEN] = reply
    with pytest.raises(BitbucketServerError) as caught:
        client.request_token(CALLBACK)
    assert caught.value.code == "timestamp_refused"
    assert len(server.received) == 1


@pytest.mark.parametrize("problem", ["nonce_used", "token_rejected", "signature_invalid"])
def test_another_problem_corrects_no_clock(client, server, now, problem):
    server.scripts[REQUEST_TOKEN] = Reply(
        f"oauth_problem={problem}&oauth_acceptable_timestamps={NOW + 100}-{NOW + 700}", 401
    )
    with pytest.raises(BitbucketServerError):
        client.request_token(CALLBACK)
    assert len(server.received) == 1
    assert clock.difference(client.integration.server.url) == 0


def test_no_more_servers_are_remembered_than_a_thousand_or_so(now):
    answer = SimpleNamespace(
        status=400,
        body=f"oauth_problem=timestamp_refused&oauth_acceptable_timestamps={NOW + 100}-{NOW + 700}".encode(),
        headers=SimpleNamespace(getlist=lambda _: []),
    )
    servers = [ServerURL("https", f"h{number}.example", None, "") for number in range(2000)]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda server: clock.learn(server, answer), servers))
    known = [server for server in servers if clock.difference(server)]
    assert len(known) == clock._MOST_SERVERS


@pytest.fixture
def sandbox(private_key):
    with Sandbox(context="/bitbucket") as sandbox:
        sandbox.link(consumer_key="the-consumer", public_key=private_key.public.pem)
        yield sandbox


@pytest.mark.parametrize("skew", [-7200, 500, 80_000])
def test_a_login_works_with_a_server_whose_clock_is_off(integration, sandbox, skew):
    client = Client(with_server(integration, url=ServerURL.parse(sandbox.url)))
    sandbox.faults.clock_skew = skew
    token = client.request_token(CALLBACK)
    callback = sandbox.authorize(client.authorize_url(token), user="jane")
    verifier = callback.rpartition("oauth_verifier=")[2]
    access_token = client.access_token(token, verifier)
    assert client.as_person(access_token).names_at(client.integration.server.url.application_properties) == ["jane"]
    assert abs(clock.difference(client.integration.server.url) - skew) <= 60
    assert len(sandbox.requests.to("/request-token")) == 2
    assert len(sandbox.requests.to("/access-token")) == 1


def test_a_clock_that_is_years_off_is_a_problem(integration, sandbox):
    client = Client(with_server(integration, url=ServerURL.parse(sandbox.url)))
    sandbox.faults.clock_skew = -315_360_000
    with pytest.raises(BitbucketServerError) as caught:
        client.request_token(CALLBACK)
    assert caught.value.code == "clock_too_far_off"


def test_a_signed_request_without_complaint_has_this_machines_time(client, server):
    server.scripts["/bitbucket/rest/x"] = Reply("{}")
    before = int(time.time())
    client.as_person(AccessToken("A", "", None, None)).json(client.integration.server.url.join("/rest/x"))
    assert before <= int(server.received[0].oauth["oauth_timestamp"]) <= int(time.time())


FORKED = """
import os
locked = []
os.register_at_fork(before=lambda: locked.append(clock._changing.locked()))  # the first one is called last
from social_bitbucket_server.oauth import server_clock as clock
child = os.fork()
clock.forget()
if not child:
    os._exit(0)
_, status = os.waitpid(child, 0)
assert (status, locked) == (0, [True])
"""


@pytest.mark.program
def test_no_process_is_forked_while_a_thread_changes_what_is_known():
    """The thread would not be there to release the lock."""
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=300, cwd=Path(__file__).parents[2])
