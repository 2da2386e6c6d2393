"""The way to a server: its name looked up once, all its addresses checked, and a connection to one of those."""

from __future__ import annotations

import ipaddress
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from ..problems import BitbucketServerError, Code
from .addresses import Address, AddressPolicy, classify

Resolver: TypeAlias = Callable[[str], list[Address]]
"""A function that looks a name up. It raises OSError or UnicodeError, or returns nothing, if there is no such name."""

RESOLVER_SECONDS = 3.0
"""Seconds that looking up a name may take."""


def system_resolver(name: str) -> list[Address]:
    """Return the addresses of *name* from the machine's resolver, in its order."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(entry[4][0].partition("%")[0]) for entry in found]  # type: ignore[union-attr]  # always text


class LookUp:
    """One look-up of *host* by *resolver*, as :meth:`.Transport.look_up` does it. It can be waited for several times.

    A look-up cannot be interrupted, so it happens in a thread that is left behind when it takes too long.
    """

    def __init__(self, host: str, policy: AddressPolicy | None, resolver: Resolver) -> None:
        self._host, self._policy, self._resolver = host, policy, resolver
        self._answers: queue.SimpleQueue[tuple[float, list[Address] | BaseException]] = queue.SimpleQueue()
        self._answered_at = time.monotonic()
        try:
            self._answers.put((self._answered_at, [ipaddress.ip_address(host.strip("[]"))]))
        except ValueError:
            # Under a policy, without the machine's search domains.
            name = host if policy is None else f"{host}."
            threading.Thread(target=self._ask, args=(name,), daemon=True).start()

    def _ask(self, name: str) -> None:
        answer: list[Address] | BaseException
        try:
            answer = self._resolver(name)
        except BaseException as error:  # noqa: BLE001  # it is raised below, in the thread that waits
            answer = error
        self._answers.put((time.monotonic(), answer))

    def addresses(self, seconds: float) -> list[Address]:
        """Wait for the addresses for so many *seconds*. Raises as :meth:`.Transport.look_up` does."""
        try:
            self._answered_at, answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError("looking up the name took too long") from None
        if isinstance(answer, BaseException):
            raise OSError("the name does not resolve") from answer
        if not answer:
            raise OSError("the name has no address")
        if self._policy is not None:
            _check(answer, self._host, self._policy)
        return answer

    def lag(self) -> float:
        """Return how many seconds ago the answer that was taken came in; without one, since when it is waited for."""
        return time.monotonic() - self._answered_at


def lag_of(connection: socket.socket) -> float | None:
    """Return how many seconds ago the last segment came in on *connection*; ``None`` where the system does not tell."""
    known = _tcp_info(connection)
    return known.last_segment if known is not None else None


def handshake_of(connection: socket.socket) -> float | None:
    """Return how many seconds the new *connection*'s handshake took; ``None`` where the system does not tell."""
    known = _tcp_info(connection)
    return known.round_trip if known is not None and not known.sent_again else None


class _TCPInfo(NamedTuple):
    last_segment: float
    round_trip: float
    sent_again: int


def _tcp_info(connection: socket.socket) -> _TCPInfo | None:
    """Return what Linux knows of a connection, with times in seconds; ``None`` if the system does not tell.

    The values are words 14, 17 and 25 of the struct ``tcp_info`` (linux/tcp.h): ``tcpi_last_ack_recv`` in milliseconds,
    ``tcpi_rtt`` in microseconds, and ``tcpi_total_retrans``.
    """
    try:
        words = struct.unpack("=26I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 26 * 4))
    except (AttributeError, OSError, struct.error):
        return None
    return _TCPInfo(words[14] / 1e3, words[17] / 1e6, words[25])


def connect(addresses: Sequence[Address], port: int, seconds: float) -> socket.socket:
    """Return a connection to the first of the checked *addresses* that answers on *port* within *seconds*.

    Raises ``OSError``.
    """
    deadline = time.monotonic() + seconds
    failure: OSError = OSError("no address")
    for position, address in enumerate(addresses):
        # Each gets its share of the time: one address that swallows everything must not hide the next.
        share = max(deadline - time.monotonic(), 0.001) / (len(addresses) - position)
        try:
            connection = socket.create_connection((str(address), port), share)
        except OSError as error:
            failure = error
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    raise failure


def _check(addresses: Sequence[Address], host: str, policy: AddressPolicy) -> None:
    """Refuse all *addresses* if one of them is not permitted, because the next look-up could give that one first."""
    for address in addresses:
        if not policy.permits(address):
            raise _blocked(host, classify(address))
        if address not in policy.test_addresses and _is_this_machine(address):
            raise _blocked(host, "this machine")


def _is_this_machine(address: Address) -> bool:
    """Return whether *address* is this machine's own, by its routing table. Nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError:  # no way leads there
        return False


def _blocked(host: str, address_class: str) -> BitbucketServerError:
    facts = {"host": host, "address_class": str(address_class)}
    return BitbucketServerError(Code.ADDRESS_BLOCKED, parameter="base_url", facts=facts)
