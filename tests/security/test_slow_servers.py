"""A slow server costs its own organization alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from social_bitbucket_server.flask.organizations.current import extension
from social_bitbucket_server.integration import Admission
from social_bitbucket_server.integration.admission import MOST_QUESTIONS
from social_bitbucket_server.login import LoginBackend
from social_bitbucket_server.onboarding import Outcome, check_up, checkup
from social_bitbucket_server.problems import PROBLEMS, Code
from social_bitbucket_server.transport import (
    Limits,
    Transport,
    breaker,
    bulkhead,
    connections,
    default_transport,
    exchange,
)
from social_bitbucket_server.transport.bulkhead import MOST_REQUESTS
from tests.scripted_server import Received, Reply
from tests.security.rows import row
from tests.security.world import (
    ACCESS_TOKEN,
    JSON,
    MALLORY,
    PROPERTIES,
    REQUEST_TOKEN,
    USERS,
    FakeBitbucket,
    Place,
    World,
    everywhere,
    with_integrations_in_a_database,
)

CALLBACK = "https://app.example/complete/bitbucket-server/b/"
SLOW = 9.9


class Clock:
    """Time that passes while a server thinks, and at no other time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return time.time()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, transport: Transport) -> Clock:
    """In place of the machine's; the limits are those of production."""
    clock = Clock()
    for module in (breaker, bulkhead, connections, exchange, checkup):
        monkeypatch.setattr(module, "time", clock)
    transport.limits = Limits()
    monkeypatch.setattr(checkup, "SECONDS", 15.0)
    monkeypatch.setattr(checkup, "_STAGE_SECONDS", 4.0)
    return clock


def think(server: FakeBitbucket, clock: Clock) -> None:
    """Let every answer of *server* take :data:`SLOW` seconds."""
    script_for = server.script_for

    def late(received: Received) -> Any:
        clock.now += SLOW
        return script_for(received)

    server.script_for = late  # type: ignore[method-assign]  # of this server alone


def search_without_end(server: FakeBitbucket, *known: dict[str, Any]) -> None:
    """Let the user search of *server* go on and on; people are *known* to a search without a group."""

    def page(received: Received) -> Reply:
        values = [] if "group" in received.query else list(known)
        following = int(received.query["start"][0]) + 25
        document = {"values": values, "isLastPage": False, "nextPageStart": following}
        return Reply(json.dumps(document), headers=[JSON])

    server.scripts[USERS] = page
    server.scripts[f"{USERS}/mallory"] = Reply("{}", 404, [JSON])


@pytest.fixture
def many_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    admission = Admission(groups=tuple(f"group {number}" for number in range(MOST_QUESTIONS)))
    monkeypatch.setattr(LoginBackend, "get_admission", lambda backend, integration: admission)


@row(111)
@everywhere
@pytest.mark.usefixtures("many_conditions")
def test_a_login_at_a_server_that_takes_ten_seconds_for_each_answer_ends_within_thirty(world, clock):
    think(world.fb, clock)
    search_without_end(world.fb)
    browser, began = world.browser(), clock.now
    with world.nothing_new():
        begun = browser.begin(world.b)
        assert begun.status == 303
        assert browser.finish(world.b, begun, "mallory").status == 504
    # Ten seconds to begin, and twenty for the callback, in whose third answer the time is up.
    assert world.fb.paths() == [REQUEST_TOKEN, ACCESS_TOKEN, PROPERTIES, f"{USERS}/mallory"]
    assert clock.now - began <= 30 + SLOW, "with the answer that nobody waited for to its end"


@row(111)
@everywhere
@pytest.mark.usefixtures("many_conditions")
@pytest.mark.parametrize("known", [[], [MALLORY]], ids=["nobody is found", "the person is found"])
def test_a_login_at_a_server_whose_search_has_no_end_sends_twelve_requests_at_most(world, known):
    search_without_end(world.fb, *known)
    browser = world.browser()
    with world.nothing_new():
        assert browser.finish(world.b, browser.begin(world.b), "mallory").status == 502
    assert len(world.fb.received) <= MOST_REQUESTS


@row(111)
@everywhere
def test_a_check_up_at_a_server_that_takes_ten_seconds_for_each_answer_ends_within_thirty(world, clock):
    think(world.fb, clock)
    integration = world.find(world.b)
    began = clock.now
    results = list(check_up(lambda: integration, CALLBACK))
    assert Outcome.FAILED in {result.outcome for result in results}
    assert clock.now - began <= 30
    assert len(world.fb.received) <= MOST_REQUESTS


@row(112)
@everywhere
def test_a_server_that_hangs_holds_a_quarter_of_the_threads_and_nobody_else(world, transport):
    # Short, so that everybody's patience is over soon. Nothing else depends on how long anything takes.
    transport.limits = replace(transport.limits, patience=0.3)
    world.wait_for_servers(60)
    release = threading.Event()

    def hang(_: Received) -> Reply:
        release.wait(120)
        return Reply("", 503)

    world.fb.scripts.update({REQUEST_TOKEN: hang, PROPERTIES: hang})
    integration = world.find(world.b)
    strangers = [world.stranger() for _ in range(8)]
    forms = [stranger.get(world.b.login_path).csrf_field for stranger in strangers]
    with ThreadPoolExecutor(12) as everybody:
        waiting: list[Future[Any]] = [
            everybody.submit(stranger.post, world.b.begin_path, form)
            for stranger, form in zip(strangers, forms, strict=True)
        ]
        waiting += [everybody.submit(list, check_up(lambda: integration, CALLBACK)) for _ in range(4)]
        try:
            ended = list(islice(as_completed(waiting, timeout=120), 8))
            alice = world.browser()
            assert alice.get(world.a.login_path).status == 200
            assert alice.log_in(world.a, "alice").status == 303
            still_waiting = [future for future in waiting if not future.done()]
        finally:
            release.set()
    assert len(still_waiting) == Limits().slow_steps
    assert {page.status for page in pages(ended)} <= {503}
    assert set(problems(ended)) <= {"server_busy"}


def pages(futures: list[Future[Any]]) -> list[Any]:
    """The application's answers among what came of *futures*."""
    return [future.result() for future in futures if not isinstance(future.result(), list)]


def problems(futures: list[Future[Any]]) -> list[str]:
    """Why check-ups failed, among what came of *futures*."""
    found = (checkup.first_failure(future.result()) for future in futures if isinstance(future.result(), list))
    return [result.problem.code for result in found if result is not None and result.problem is not None]


@row(112)
@everywhere
def test_steps_that_ended_hold_no_place(world, transport):
    transport.limits = replace(transport.limits, patience=0.0001, slow_steps=1)
    assert world.stranger().log_in(world.b, "mallory").status == 303
    world.fb.scripts[ACCESS_TOKEN] = Reply("", 503)
    assert world.stranger().log_in(world.b, "mallory").status == 502
    world.fb.scripts.clear()
    assert world.stranger().log_in(world.b, "mallory").status == 303


@contextmanager
def no_room_for_steps_at(world: World, place: Place) -> Iterator[None]:
    """All places of the organization's slow steps are taken."""
    transport = default_transport()
    room, limits = transport.bulkheads.of(world.find(place).tenant), transport.limits
    while room.take_place(limits):
        pass
    try:
        yield
    finally:
        for _ in range(limits.slow_steps):
            room.give_place_back()


@row(41, 112)
@everywhere
def test_a_login_that_found_no_room_can_be_finished_afterwards(world):
    browser = world.browser()
    token, verifier = world.fa.authorize(browser.begin(world.a).location, "alice")
    callback = world.a.callback(oauth_token=token, oauth_verifier=verifier)
    with no_room_for_steps_at(world, world.a), world.nothing_new():
        refused = [browser.get(callback) for _ in range(2)]
    # The browser opens it again by itself.
    assert [(page.status, page.header("Refresh")) for page in refused] == [(503, "5")] * 2
    assert world.fa.count(ACCESS_TOKEN) == 0
    assert browser.get(callback).status == 303
    with no_room_for_steps_at(world, world.a):
        assert browser.get(callback).status == 400
    assert world.fa.count(ACCESS_TOKEN) == 1


@row(112)
@with_integrations_in_a_database
def test_a_new_key_pair_is_verified_when_there_is_room(world):
    world.rotate(world.a)
    with no_room_for_steps_at(world, world.a):
        assert world.verify(world.a) == "server_busy"
    assert world.fa.received == []
    assert world.verify(world.a) == ""


@row(112)
def test_what_admins_ask_for_has_the_limits_of_the_settings(world, monkeypatch):
    limits, settings_path = Limits(slow_steps=1), f"/o/{world.b.slug}/settings/integrations"
    admin = world.browser()
    admin.log_owner_in(world.b)
    world.rotate(world.b)
    with world.context():
        monkeypatch.setattr(extension().store, "limits", limits)
    room = default_transport().bulkheads.of(world.find(world.b).tenant)
    assert room.take_place(limits)
    answers = [
        admin.post(f"{world.b.settings_path}/test", token_from=world.b.settings_path),
        admin.post(f"{world.b.settings_path}/key-pair/verify", token_from=world.b.settings_path),
        admin.post(f"{settings_path}/add/look", {"base_url": world.fb.url, "oauth_version": "1"}, token_from="/"),
    ]
    room.give_place_back()
    assert [PROBLEMS[Code.SERVER_BUSY].title in answer.text for answer in answers] == [True, True, True]
    assert world.fb.received == []


@row(36, 112)
@everywhere
def test_a_declined_login_needs_no_room(world):
    browser = world.browser()
    token, _ = world.fa.authorize(browser.begin(world.a).location, "alice")
    with no_room_for_steps_at(world, world.a):
        assert browser.get(world.a.callback(oauth_token=token, oauth_verifier="denied")).status < 500
        assert browser.get(world.a.callback(oauth_token=token, oauth_verifier="denied")).status == 400


@row(113)
@everywhere
def test_what_fails_at_anothers_host_fails_for_whoever_entered_it_alone(world, monkeypatch):
    monkeypatch.setattr(breaker, "SECONDS_OPEN", 600)

    def fail(_: Received) -> Reply:
        raise ConnectionError

    world.fa.scripts[f"/fails{REQUEST_TOKEN}"] = fail
    world.change_integration(world.b, base_url=f"{world.fa.url}/fails")
    assert [world.stranger().begin(world.b).status for _ in range(4)] == [502, 502, 502, 503]
    assert [world.stranger().log_in(world.a, "alice").status for _ in range(3)] == [303, 303, 303]
