"""Tests of a server's possible answers, and of what becomes of them.

Where a row lists many answers, tests/unit/oauth/test_oauth1.py, tests/unit/account/test_profile.py and
tests/flow/transport have them all. Here one of each kind goes through a login."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from functools import cache

import pytest

from tests.raw_server import Behaviour, Peer, answer
from tests.scripted_server import Reply
from tests.security.rows import row
from tests.security.world import JSON, REQUEST_TOKEN, USERS, World, everywhere

pytestmark = everywhere

TOKEN = "oauth_token=T&oauth_token_secret=S&oauth_callback_confirmed=true"
PROFILE = f"{USERS}/mallory"
MEGABYTE = 1024 * 1024
LOCATION = ("Location", "https://deny.test:8443/")


def sending(data: bytes) -> Behaviour:
    """Answer one request with exactly these bytes, and hang up."""

    def behave(peer: Peer) -> None:
        peer.read()
        peer.send(data)

    return behave


def begin_fails(world: World, reply: Reply, failure: str, status: int = 502) -> None:
    """Organization B's server gives *reply* instead of a request token: that, and nothing else, happens."""
    world.fb.scripts[REQUEST_TOKEN] = reply
    world.fb.received.clear()
    with world.nothing_new():
        page = world.attempt(world.b)
    assert (world.last_failure(), page.status) == (failure, status), reply
    assert world.fb.paths() == [REQUEST_TOKEN]
    assert world.transactions() == 0
    assert not page.location


def profile_fails(world: World, reply: Reply, failures: set[str]) -> None:
    world.fb.scripts[PROFILE] = reply
    with world.nothing_new():
        browser = world.stranger()
        page = browser.finish(world.b, browser.begin(world.b), "mallory")
    assert world.last_failure() in failures
    assert page.status == 502


@row(48)
def test_the_redirect_is_the_base_url_with_the_token_and_nothing_else(world):
    world.fb.scripts[REQUEST_TOKEN] = Reply(TOKEN)
    page = world.browser().begin(world.b)
    assert page.status == 303
    assert page.location == f"{world.fb.url}/plugins/servlet/oauth/authorize?oauth_token=T"
    signed = world.fb.received[0].oauth
    assert signed["oauth_callback"] == f"https://app.example/complete/bitbucket-server/{world.b.integration_id}/"


@row(49)
def test_a_callback_that_is_not_confirmed_is_never_continued(world):
    for confirmation, failure in {
        "": "AuthResponseError/missing_claim(oauth_callback_confirmed)",
        "&oauth_callback_confirmed=false": "AuthResponseError/invalid_claim(oauth_callback_confirmed)",
    }.items():
        begin_fails(world, Reply(f"oauth_token=T&oauth_token_secret=S{confirmation}"), failure)


@row(50)
def test_a_field_that_stands_there_twice_is_refused(world):
    reply = Reply("oauth_token=a&oauth_token=b&oauth_token_secret=S&oauth_callback_confirmed=true")
    begin_fails(world, reply, "AuthResponseError/malformed_response")


@row(51)
def test_an_answer_without_a_token_is_named_so(world):
    for reply in (
        Reply("<html><form action='/login'>…</form></html>", headers=[("Content-Type", "text/html")]),
        Reply(""),
    ):
        begin_fails(world, reply, "AuthResponseError/missing_claim(oauth_token)")


@row(52)
def test_a_token_of_other_characters_is_refused(world):
    rest = "&oauth_token_secret=S&oauth_callback_confirmed=true"
    reply = Reply(f"oauth_token=a%0d%0aSet-Cookie:x{rest}")
    begin_fails(world, reply, "AuthResponseError/invalid_claim(oauth_token)")
    world.fb.scripts[REQUEST_TOKEN] = Reply(f"oauth_token=javascript:alert(1)//{rest}")
    page = world.attempt(world.b)
    path = page.location.removeprefix(world.fb.url)
    assert path == "/plugins/servlet/oauth/authorize?oauth_token=javascript%3Aalert%281%29%2F%2F"
    assert "javascript" not in page.text


@row(53)
def test_any_other_status_is_an_error_after_one_request(world):
    for status in (204, 302, 503):
        failure = "AuthProviderError/unavailable" if status == 503 else "AuthProviderError/http_error"
        begin_fails(world, Reply(TOKEN, status, [LOCATION]), failure)


@row(54)
def test_the_declared_charset_plays_no_part(world):
    content_type = ("Content-Type", "text/plain; charset=utf-16")
    world.fb.scripts[REQUEST_TOKEN] = Reply(TOKEN, headers=[content_type])
    assert world.attempt(world.b).location.endswith("oauth_token=T")
    world.fb.scripts[REQUEST_TOKEN] = Reply(b"\xff\xfe", headers=[content_type])
    assert world.attempt(world.b).status == 502
    assert world.last_failure() == "AuthResponseError/malformed_response"


@row(55)
def test_a_flood_is_left_after_a_few_kilobytes(world, raw):
    def flood(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:  # until the client hangs up
            peer.send(b"2000\r\n" + b"a" * 8192 + b"\r\n")

    server = raw(flood)
    tracemalloc.start()
    try:
        page = world.attempt(world.b)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (page.status, world.last_failure()) == (502, "AuthResponseError/malformed_response")
    assert server.is_left_alone()
    assert most < 5 * MEGABYTE


@row(55)
@pytest.mark.parametrize("limit", [("request token", 8), ("profile", 64)], ids=lambda limit: limit[0])
def test_the_limits_are_8_and_64_kilobytes(world, limit):
    what, kilobytes = limit
    room = kilobytes * 1024
    browser = world.browser()
    if what == "request token":
        for length, status in {room: 303, room + 1: 502}.items():
            body = f"oauth_token=T{length}&oauth_token_secret=S&oauth_callback_confirmed=true&filling="
            world.fb.scripts[REQUEST_TOKEN] = Reply(body.ljust(length, "a"))
            assert world.attempt(world.b).status == status
    else:
        for length, status in {room: 303, room + 1: 502}.items():
            world.fb.scripts[PROFILE] = Reply(json.dumps(world.fb.people["mallory"]).ljust(length), headers=[JSON])
            assert browser.log_in(world.b, "mallory").status == status
    assert world.last_failure() == "AuthResponseError/malformed_response"


@cache
def bomb() -> bytes:
    """Less than a kilobyte that becomes 100 megabytes."""
    packed = gzip.compress(gzip.compress(bytes(100 * MEGABYTE), 9), 9)
    assert len(packed) < 1000
    return packed


@row(56)
def test_a_compressed_answer_is_refused_without_looking_into_it(world):
    for encoding, body in {"gzip": gzip.compress(TOKEN.encode()), "gzip, gzip": bomb()}.items():
        reply = Reply(body, headers=[("Content-Encoding", encoding)])
        begin_fails(world, reply, "AuthResponseError/malformed_response")
    world.fb.scripts[REQUEST_TOKEN] = Reply(TOKEN, headers=[("Content-Encoding", "identity")])
    assert world.attempt(world.b).status == 303


@row(57)
def test_a_server_that_keeps_one_waiting_is_left_when_time_is_up(world, raw):
    world.wait_for_servers(0.25)

    def drip(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        peer.drip(b"o", 0.05)

    server = raw(drip)
    with world.nothing_new():
        page = world.attempt(world.b)
    assert (page.status, world.last_failure()) == (504, "AuthProviderError/timeout")
    assert len(server.peers) <= 1
    assert server.is_left_alone()


@row(58)
def test_what_is_no_http_is_a_failed_connection(world, raw):
    for data, failure in (
        (b"SSH-2.0-OpenSSH_9.6\r\n", "AuthProviderError/connection_failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\noauth_token=T", "AuthProviderError/connection_failed"),
        (answer(TOKEN.encode(), "200 OK", "Content-Encoding: gzip"), "AuthResponseError/malformed_response"),
    ):
        server = raw(sending(data))
        with world.nothing_new():
            page = world.attempt(world.b)
        assert (page.status, world.last_failure()) == (502, failure), data[:60]
        assert len(server.requests) == 1


@row(59)
@pytest.mark.parametrize("place", ["body", "header"])
def test_a_problem_of_oauths_is_known_by_its_name_or_not_at_all(world, place):
    setting, refused = "AuthConfigurationError/invalid_setting", "AuthProviderError/http_error"
    for problem, failure, status in (
        ("signature_invalid", f"{setting}(public_key)", 503),
        ("timestamp_refused", f"{setting}(clock)", 503),
        ("<script>", refused, 502),
        ("authorization_declined", refused, 502),
    ):
        header = ("WWW-Authenticate", f'OAuth realm="x", oauth_problem="{problem}"')
        reply = Reply(f"oauth_problem={problem}", 401) if place == "body" else Reply("no", 401, [header])
        begin_fails(world, reply, failure, status)
        is_known = problem not in {"<script>", "authorization_declined"}
        assert world.audit[-1]["provider_code"] == (problem if is_known else "other")
        assert "<script>" not in world.pages[-1].text


@row(60)
def test_a_server_that_limits_us_does_not_say_for_how_long(world):
    begin_fails(world, Reply("", 429, [("Retry-After", "999999999")]), "AuthProviderError/rate_limited", 503)
    assert world.pages[-1].header("Retry-After") == "60"


@row(61)
def test_a_server_cannot_say_that_the_person_declined(world):
    body = '{"error":"access_denied","error_description":"<b>"}'
    begin_fails(world, Reply(body, 401, [JSON]), "AuthProviderError/http_error")
    assert "<b>" not in world.pages[-1].text


@row(62)
def test_a_deep_profile_ends_in_an_error_of_its_own(world):
    malformed, refused = "AuthResponseError/malformed_response", "AuthProviderError/http_error"
    # Longer than any answer may be: whichever of its two faults is found first.
    profile_fails(world, Reply("[" * 100_000, 401, [JSON]), {malformed, refused})
    profile_fails(world, Reply("[" * 60_000, headers=[JSON]), {malformed})
    profile_fails(world, Reply('{"a":' * 12_000, 401, [JSON]), {refused})


@row(63)
def test_a_profile_that_is_no_json_object_is_malformed(world):
    for body in (b"null", b'{"id":42} trailing'):
        profile_fails(world, Reply(body, headers=[JSON]), {"AuthResponseError/malformed_response"})
