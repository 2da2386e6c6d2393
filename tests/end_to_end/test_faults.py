"""While something breaks, people log in: no login is lost or done twice, and each is its own person's."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bench.load.faults import Counts, counted
from bench.load.place import SERVERS, Place, Served
from bench.load.throughput import everybody
from bench.load.visitors import Crowd, LoginFailed, crowd, log_in
from tests.raw_server import Peer, RawServer

pytestmark = pytest.mark.postgresql

LOGINS = 20
AT_ONCE = 8
TRIES = 300  # restarting PostgreSQL takes long on a busy machine

Over = Mapping[int, asyncio.Event]
"""The event of a number is set when that many logins are over."""

Fault = Callable[[Place, Served, Over], Coroutine[Any, Any, None]]


def say_nothing(peer: Peer) -> None:
    peer.wait()


@pytest.fixture(scope="module")
def shared_application(shared_place: Place) -> Iterator[Served]:
    """The application with ten organizations. The Bitbucket Server of the last one takes connections and is silent."""
    with RawServer(say_nothing) as silent:
        ports = [*shared_place.ports[: SERVERS - 1], silent.port]
        with shared_place.serving(ports=ports) as served:
            yield served
            for peer in silent.peers:
                peer.hang_up()  # otherwise gunicorn waits for the requests that wait for the server


@pytest.fixture
def served(request: pytest.FixtureRequest, place: Place) -> Served:
    """The application in new processes: they do not know what failed in the test before."""
    served: Served = request.getfixturevalue("shared_application")
    for worker in served.gunicorn.workers():
        os.kill(worker, signal.SIGKILL)
    return served


async def kill_workers(_place: Place, served: Served, over: Over) -> None:
    """Kill a worker after every fourth login."""
    for number in range(4, LOGINS, 4):
        await over[number].wait()
        served.gunicorn.kill_one(number // 4)


async def restart_postgresql(place: Place, served: Served, over: Over) -> None:
    """Shut PostgreSQL down, which ends every connection, and start it again when a login has failed."""
    await over[4].wait()
    await asyncio.to_thread(place.postgresql.stop)
    try:
        with pytest.raises(LoginFailed):
            await log_in(served.application, served.doors[0], person=0)
    finally:
        await asyncio.to_thread(place.postgresql.start)


async def stall_bitbucket(place: Place, _served: Served, over: Over) -> None:
    """Let no Bitbucket Server answer until everybody waits for one."""
    await over[2].wait()
    place.servers.stall()
    try:
        await asyncio.to_thread(place.servers.wait_until_held, AT_ONCE)
    finally:
        place.servers.resume()


@pytest.mark.parametrize(
    "fault",
    [kill_workers, restart_postgresql, stall_bitbucket],
    ids=["workers are killed", "PostgreSQL is restarted", "Bitbucket stalls"],
)
def test_everybody_gets_in_in_the_end_and_all_of_it_is_sound(place: Place, served: Served, fault: Fault) -> None:
    async def log_in_meanwhile() -> Crowd:
        over: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        breaking = asyncio.create_task(fault(place, served, over))
        found = await healthy_crowd(served, AT_ONCE, tried=lambda number: over[number].set())
        await breaking
        return found

    assert_sound(counted(place, served, asyncio.run(log_in_meanwhile())))


def test_a_server_that_is_dead_keeps_nobody_out_of_the_others(place: Place, served: Served) -> None:
    async def log_in_meanwhile() -> Crowd:
        async with meanwhile(crowd(served.application, everybody(served.doors[-1:]), concurrency=2)):
            return await healthy_crowd(served, AT_ONCE - 2)

    counts = counted(place, served, asyncio.run(log_in_meanwhile()))
    assert_sound(counts)
    assert counts.retries <= LOGINS // 2, counts  # some may have to begin anew
    assert not [cause for cause in counts.causes if cause.endswith(" 500")], place.log.read_text()


async def healthy_crowd(served: Served, concurrency: int, **options: Any) -> Crowd:
    """Let new people log in through the servers that answer."""
    who = itertools.islice(everybody(served.doors[:-1]), LOGINS)
    return await crowd(served.application, who, concurrency=concurrency, tries=TRIES, **options)


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Do *work* until the context ends."""
    task = asyncio.create_task(work)
    yield
    task.cancel()
    await asyncio.wait([task])


def assert_sound(counts: Counts) -> None:
    assert (counts.logins, counts.never) == (LOGINS, 0), counts
    assert counts.are_sound, counts
