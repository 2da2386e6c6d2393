"""Complete logins a second, of our application and of the obvious one, with ever more people at once."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from .application import OBVIOUS, OURS
from .place import Place
from .stand_in import stand_in
from .visitors import Crowd, Door, crowd

CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64)


def measure(place: Place, seconds: float) -> dict[str, Any]:
    """Measure each application at each concurrency, for so many *seconds*.

    Return logins a second, p50 and p99 in seconds, failures, and the share of one processor that sending requests took.
    """
    found: dict[str, Any] = {}
    for name, app in (("ours", OURS), ("obvious", OBVIOUS)):
        with place.serving(app) as served:
            _once(served.application, served.doors, 2, seconds / 2)
            found[name] = {
                concurrency: figures(_once(served.application, served.doors, concurrency, seconds))
                for concurrency in CONCURRENCIES
            }
    with stand_in() as application:
        found["sender"] = figures(_once(application, [Door("a", "b", "c")], CONCURRENCIES[-1], seconds))
    return found


def _once(application: Any, doors: Sequence[Door], concurrency: int, seconds: float) -> Crowd:
    return asyncio.run(crowd(application, everybody(doors), concurrency=concurrency, seconds=seconds))


_numbers = itertools.count(1)


def everybody(doors: Sequence[Door]) -> Iterator[tuple[Door, int]]:
    """Yield a new person at one door after the other."""
    for door in itertools.cycle(doors):
        yield door, next(_numbers)


def figures(found: Crowd) -> dict[str, Any]:
    """Return *found* in numbers."""
    durations = [login.seconds for login in found.logins]
    return {
        "logins": len(durations),
        "failed": len(found.failed),
        "a_second": len(durations) / found.seconds,
        "p50": percentile(durations, 50),
        "p99": percentile(durations, 99),
        "sender": found.share,
    }


def percentile(values: Sequence[float], which: int) -> float | None:
    """Return the *which*-th percentile of *values*; ``None`` if there are too few."""
    return statistics.quantiles(values, n=100)[which - 1] if len(values) > 1 else None
