"""Measurements. Each figure is taken for every contender in turn, again and again, so that a busy moment meets all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.oauth import authorization

from .contenders import CALLBACK, CONSUMER_KEY, REQUEST_TOKEN, Contender, Floor
from .server import Server


@dataclass(frozen=True)
class Series:
    """One figure from every round, in seconds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def over(self, other: Series) -> Spread:
        """Return this series as a multiple of *other*, round by round."""
        return Spread.of([mine / theirs for mine, theirs in zip(self.values, other.values, strict=True)])


@dataclass(frozen=True)
class Spread:
    """A ratio: its median, and the quartiles on both sides of it."""

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, ratios: list[float]) -> Spread:
        lower, _, upper = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
        return cls(statistics.median(ratios), lower, upper)

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.lower:.3f}-{self.upper:.3f})"


def cpu(contenders: Mapping[str, Contender], *, rounds: int, logins: int) -> dict[str, Series]:
    """Return processor time of a login while connections are open, of this process alone, with all its threads."""

    def several(contender: Contender) -> float:
        began = time.process_time()
        for _ in range(logins):
            contender.login()
        return (time.process_time() - began) / logins

    return _in_turn(contenders, several, rounds)


def wall(contenders: Mapping[str, Contender], *, rounds: int, cold: bool) -> dict[str, Series]:
    """Return the duration of a login; if *cold*, with no connection open."""

    def one(contender: Contender) -> float:
        if cold:
            contender.hang_up()
        began = time.perf_counter()
        contender.login()
        return time.perf_counter() - began

    return _in_turn(contenders, one, rounds)


def _in_turn(
    contenders: Mapping[str, Contender], measure: Callable[[Contender], float], rounds: int
) -> dict[str, Series]:
    for contender in contenders.values():
        contender.login()
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            found[name].append(measure(contender))
    return {name: Series(tuple(values)) for name, values in found.items()}


def traffic(contender: Contender, server: Server) -> dict[str, dict[str, Any]]:
    """Return the server's counts for a cold login and for the warm one after it."""
    seen = {}
    contender.login()
    contender.hang_up()
    for temperature in ("cold", "warm"):
        before = server.counts()
        contender.login()
        seen[temperature] = asdict(server.counts() - before)
    return seen


def signatures(pem: str, *, rounds: int, each: int) -> dict[str, Series]:
    """Return processor time of one signature: ours with the whole header, and of the key alone."""
    key, floor = PrivateKey.read(pem), Floor("https://localhost", pem, "")
    url = f"https://bitbucket.example{REQUEST_TOKEN}"

    def ours() -> None:
        authorization("POST", url, CONSUMER_KEY, key, callback=CALLBACK)

    found: dict[str, list[float]] = {"ours": [], "key.sign": []}
    for _ in range(rounds):
        for name, sign in (("ours", ours), ("key.sign", floor.sign)):
            began = time.process_time()
            for _ in range(each):
                sign()
            found[name].append((time.process_time() - began) / each)
    return {name: Series(tuple(values)) for name, values in found.items()}
