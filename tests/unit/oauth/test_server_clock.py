import dataclasses
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from types import SimpleNamespace

import pytest

from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.oauth import AccessToken, Client, server_clock
from social_bitbucket_server.oauth.server_clock import ServerClock
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.transport import Clocks, default_transport
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
    monkeypatch.setattr(server_clock, "time", SimpleNamespace(time=lambda: now.seconds))
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


def difference(client):
    return ServerClock(default_transport().clocks, client.integration).difference


@pytest.mark.parametrize("ahead", [-86_400, -400, 400, 3600, 86_400])
def test_a_refused_request_is_signed_once_more_with_the_servers_time(client, server, bitbucket, now, ahead):
    bitbucket.ahead = ahead
    assert client.request_token(CALLBACK) == "T"
    assert bitbucket.timestamps[-1] == NOW + ahead
    assert len(server.received) == 2
    assert len({request.oauth["oauth_nonce"] for request in server.received}) == 2


def test_the_difference_is_remembered_and_can_be_asked_for(client, server, bitbucket, now):
    bitbucket.ahead = 400
    assert difference(client) == 0
    client.request_token(CALLBACK)
    now.seconds += 60
    client.request_token(CALLBACK)
    assert difference(client) == 400
    assert len(server.received) == 3


def test_a_clock_that_was_set_right_meanwhile_is_noticed(client, server, bitbucket, now):
    bitbucket.ahead = 4000
    client.request_token(CALLBACK)
    bitbucket.ahead = 0
    client.request_token(CALLBACK)
    client.request_token(CALLBACK)
    assert difference(client) == 0
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
    assert difference(client) == 0


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
    assert difference(client) == 0


def test_no_more_clocks_are_remembered_than_a_thousand_or_so():
    clocks, servers = Clocks(), [f"https://h{number}.example" for number in range(2000)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda server: clocks.learn("acme", server, 400), servers))
    known = [server for server in servers if clocks.difference("acme", server)]
    assert len(known) == 1024


def test_what_one_integration_was_told_changes_no_other_ones_timestamps(client, server, bitbucket, now):
    bitbucket.ahead = 400
    client.request_token(CALLBACK)
    other = Client(dataclasses.replace(client.integration, id="other"))
    assert (difference(client), difference(other)) == (400, 0)


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
    assert abs(difference(client) - skew) <= 60
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
