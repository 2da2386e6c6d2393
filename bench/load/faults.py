"""Many logins while something breaks, and what the database and the servers' records say of them afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from flask import current_app
from flask.sessions import SecureCookieSessionInterface
from sqlalchemy import func, select

from tests.flask_app import database
from tests.flask_app.models import User, models

from .place import Place, Served
from .throughput import everybody, figures
from .visitors import Crowd, Login, crowd

CONCURRENCY = 16
_AT_THE_DEAD_SERVER = 2
_TRIES = 30
_SECONDS_BETWEEN_KILLS = 1.0

Identity: Any = models.storage.user


@dataclass(frozen=True)
class Counts:
    """Figures that were counted afterwards. *lost* logins were answered with success and are not in the database. For
    those *in_the_log_alone*, the audit table lacks the entry, because the database was gone by then. Those *of_others*
    have another person's session. *exchanged_twice* counts request tokens that a server was asked to exchange more than
    once. *people_twice* counts persons with more than one account, and *never* those who could not log in at all.
    *retries* counts logins that were begun anew, by *causes*."""

    logins: int
    lost: int
    in_the_log_alone: int
    of_others: int
    exchanged_twice: int
    people_twice: int
    never: int
    retries: int
    causes: dict[str, int]

    @property
    def are_sound(self) -> bool:
        """Return whether nothing was lost or done twice, and nobody was taken for somebody else."""
        return not (self.lost or self.of_others or self.exchanged_twice or self.people_twice)


Fault = Callable[[Place, Served], contextlib.AbstractAsyncContextManager[None]]


def run(place: Place, fault: Fault, logins: int) -> tuple[Counts, dict[str, Any]]:
    """Make *logins* of as many people while *fault* goes on. Return the counts, and the figures of their times."""
    with place.serving() as served:
        return _run(place, served, fault, logins)


def _run(place: Place, served: Served, fault: Fault, logins: int) -> tuple[Counts, dict[str, Any]]:
    async def while_it_breaks() -> Crowd:
        async with fault(place, served):
            who = itertools.islice(everybody(served.doors), logins)
            return await crowd(served.application, who, concurrency=CONCURRENCY, tries=_TRIES)

    found = asyncio.run(while_it_breaks())
    return counted(place, served, found), figures(found)


def counted(place: Place, served: Served, found: Crowd) -> Counts:
    """Compare *found* with the database and with the servers' records."""
    with served.app.app_context():
        lost, of_others = _compared(found.logins)
        successes = select(func.count()).where(models.event.event == "login.success")
        written = database.session.scalar(successes) or 0
        people = database.session.scalar(select(func.count()).select_from(User)) or 0
        identities = database.session.scalar(select(func.count(func.distinct(Identity.uid)))) or 0
    failures = [failure for login in found.logins for failure in login.failures] + [*itertools.chain(*found.failed)]
    return Counts(
        logins=len(found.logins),
        lost=lost,
        in_the_log_alone=max(0, len(found.logins) - written),
        of_others=of_others,
        exchanged_twice=sum(times > 1 for times in place.servers.exchanges().values()),
        people_twice=people - identities,
        never=len(found.failed),
        retries=len(failures),
        causes=dict(Counter(failures)),
    )


def _compared(logins: Sequence[Login]) -> tuple[int, int]:
    """Return how many of the *logins* the database lacks, and how many it has for another person."""
    known = select(User.session_key, Identity.uid).join(Identity, Identity.user_id == User.id)
    people = {row.session_key: row.uid for row in database.session.execute(known)}
    serializer = SecureCookieSessionInterface().get_signing_serializer(current_app)
    lost = of_others = 0
    for login in logins:
        uid = people.get(serializer.loads(login.cookie).get("_user_id")) if serializer is not None else None
        lost += uid is None
        of_others += uid not in {None, f"{login.door.namespace}:{login.person}"}
    return lost, of_others


@contextlib.asynccontextmanager
async def killed_workers(_place: Place, served: Served) -> AsyncIterator[None]:
    """Kill a worker every second."""

    async def kill() -> None:
        for number in itertools.count():
            await asyncio.sleep(_SECONDS_BETWEEN_KILLS)
            served.gunicorn.kill_one(number)

    async with _meanwhile(kill()):
        yield


@contextlib.asynccontextmanager
async def restarted_database(place: Place, _served: Served) -> AsyncIterator[None]:
    """Shut PostgreSQL down, which ends every connection, and start it again after a second."""

    async def restart() -> None:
        await asyncio.sleep(2)
        await asyncio.to_thread(place.postgresql.stop)
        await asyncio.sleep(1)
        await asyncio.to_thread(place.postgresql.start)

    task = asyncio.create_task(restart())
    yield
    await task


def stalled_servers(seconds: float) -> Fault:
    """Return a fault: no Bitbucket Server answers for so many *seconds*."""

    @contextlib.asynccontextmanager
    async def stalled(place: Place, _served: Served) -> AsyncIterator[None]:
        async def stall() -> None:
            await asyncio.sleep(1)
            place.servers.stall()
            await asyncio.sleep(seconds)
            place.servers.resume()

        task = asyncio.create_task(stall())
        yield
        await task

    return stalled


@contextlib.asynccontextmanager
async def _meanwhile(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def nothing(_place: Place, _served: Served) -> AsyncIterator[None]:
    """Break nothing."""
    yield


def run_with_a_dead_server(place: Place, logins: int, *, dead: bool) -> tuple[Counts, dict[str, Any]]:
    """Make *logins* at nine servers, while other people try without a pause at a tenth.

    If the tenth is *dead*, it takes connections and says nothing. The figures are those of the nine.
    """
    with _silent_server() as silent:
        ports = [*place.ports[:-1], silent if dead else place.ports[-1]]
        with place.serving(ports=ports) as served:
            found = asyncio.run(_healthy_and_last(served, logins))
            return counted(place, served, found), figures(found)


async def _healthy_and_last(served: Served, logins: int) -> Crowd:
    last = crowd(served.application, everybody(served.doors[-1:]), concurrency=_AT_THE_DEAD_SERVER)
    who = itertools.islice(everybody(served.doors[:-1]), logins)
    async with _meanwhile(last):
        return await crowd(served.application, who, concurrency=CONCURRENCY - _AT_THE_DEAD_SERVER, tries=_TRIES)


@contextmanager
def _silent_server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        yield listener.getsockname()[1]


FAULTS: dict[str, Fault] = {
    "nothing breaks": nothing,
    "a worker killed every second": killed_workers,
    "PostgreSQL restarted": restarted_database,
    "Bitbucket stalls for 12 s": stalled_servers(12),  # longer than the application waits
}


def measure(place: Place, logins: int) -> dict[str, Any]:
    """Measure every fault with so many *logins*."""
    found = {name: _joined(*run(place, fault, logins)) for name, fault in FAULTS.items()}
    found["ten servers"] = _joined(*run_with_a_dead_server(place, logins, dead=False))
    found["one of ten servers dead"] = _joined(*run_with_a_dead_server(place, logins, dead=True))
    return found


def _joined(counts: Counts, times: dict[str, Any]) -> dict[str, Any]:
    return {**asdict(counts), **times, "sound": counts.are_sound}
