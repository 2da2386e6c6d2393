"""One request on its route to a server, and its answer, with one deadline for everything."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from urllib3 import HTTPHeaderDict

from ..crypto import Secret
from . import reaching
from .addresses import Address, AddressPolicy
from .bulkhead import Budget
from .reaching import LookUp, Resolver

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a server.

    Certificates and *client_key* are as in :mod:`.trust`. *policy*: the addresses that may be reached, ``None`` for
    all. *connect_to*: host and port that connections go to instead of the URL's. *proxy*: the address of a proxy that
    connects there. *owner*: the id of the integration that the connections and failures belong to. What fails for one
    integration says nothing about another.
    """

    verify: bool | str = True
    ca_certificates: str = field(default="", repr=False)
    client_certificate: str = field(default="", repr=False)
    client_key: Secret = field(default=Secret(), repr=False)
    policy: AddressPolicy | None = None
    connect_to: tuple[str, int] | None = None
    proxy: str | None = field(default=None, repr=False)
    owner: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """The server's answer: *status*, *headers* with every line of a repeated one, and the bytes of the *body*. *url* is
    the address that was asked."""

    status: int
    headers: HTTPHeaderDict
    body: bytes
    url: str = ""

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"

    @property
    def is_html(self) -> bool:
        """Whether it is a page for people, which no address of this conversation answers with."""
        return "html" in self.headers.get("Content-Type", "").lower()


class Exchange:
    """One request on its *route*, which may take so many *seconds*, within the *budget* of its step.

    *fresh*: on a new connection. *resolver* looks names up.
    """

    def __init__(self, route: Route, seconds: float, fresh: bool, budget: Budget, resolver: Resolver) -> None:
        self.route = route
        self.fresh = fresh
        self.through_proxy_to: Address | None = None
        self.has_connected = False
        self.on_kept_connection = False
        self.answered = False
        self.is_at_proxy = False
        self.server_is_known = False
        """Whether the server has shown its certificate in this exchange."""
        self._budget = budget
        self._resolver = resolver
        self._deadline = budget.deadline(seconds)

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._deadline

    def remaining(self) -> float:
        """Return the seconds that are left. Raises TimeoutError when there is nothing left."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def wait(self, block: Callable[[float], _T], lag: Callable[[], float | None]) -> _T:
        """Call *block* with the seconds that it may wait, as :meth:`.Budget.wait` does."""
        return self._budget.wait(block, self._deadline, lag)

    def look_up(self, host: str, policy: AddressPolicy | None) -> list[Address]:
        """Return the addresses of *host*. Raises OSError."""
        deadline = min(self._deadline, self._budget.deadline(reaching.RESOLVER_SECONDS))
        look_up = LookUp(host, policy, self._resolver)
        try:
            return self._budget.wait(look_up.addresses, deadline, look_up.lag)
        except TimeoutError as error:
            if self.is_over:
                raise
            raise OSError("looking up the name took too long") from error


CURRENT: ContextVar[Exchange | None] = ContextVar("CURRENT", default=None)
"""The exchange that this thread is in the middle of."""


def current() -> Exchange:
    """Return the exchange that the connection of this thread belongs to."""
    exchange = CURRENT.get()
    assert exchange is not None  # noqa: S101  # Transport.send() sets it
    return exchange
