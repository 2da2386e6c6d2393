"""The way to a server: its name looked up once, all its addresses checked, and a connection to one of those."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from typing import TYPE_CHECKING

from .addresses import AddressPolicy, classify
from .problems import BitbucketServerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .addresses import Address

RESOLVER_SECONDS = 3.0
"""What looking up a name may take."""


def system_resolver(name: str) -> list[Address]:
    """The addresses of *name* by the machine's resolver, in its order."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(entry[4][0].partition("%")[0]) for entry in found]  # type: ignore[union-attr]  # always text


resolver = system_resolver
"""What looks names up; tests put another one here."""


def look_up(host: str, policy: AddressPolicy | None, seconds: float) -> list[Address]:
    """All addresses of *host*, an IP address or a name, every one of them permitted by *policy*.

    *seconds* limits the time, :data:`RESOLVER_SECONDS` anyhow. Under a policy, names are not looked up in search
    domains. Raises ``OSError`` where there is none, TimeoutError among them, and ``address_blocked``.
    """
    addresses = _resolve(host, seconds, fully_qualified=policy is not None)
    if policy is not None:
        _check(addresses, host, policy)
    return addresses


def connect(addresses: Sequence[Address], port: int, seconds: float) -> socket.socket:
    """A connection to the first of *addresses*, which were checked, that answers on *port* within *seconds*.

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
    """One address that is not permitted is enough to refuse them all: the next look-up could give it first."""
    for address in addresses:
        if not policy.permits(address):
            raise _blocked(host, classify(address))
        if address not in policy.test_addresses and _is_this_machine(address):
            raise _blocked(host, "this machine")


def _is_this_machine(address: Address) -> bool:
    """Whether *address* is one of this machine's own. Asks the routing table; nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError:  # no way leads there
        return False


def _blocked(host: str, address_class: str) -> BitbucketServerError:
    facts = {"host": host, "address_class": str(address_class)}
    return BitbucketServerError("address_blocked", parameter="base_url", facts=facts)


def _resolve(host: str, seconds: float, *, fully_qualified: bool) -> list[Address]:
    """Looking up cannot be interrupted, so it happens in a thread that is left behind when it takes too long."""
    try:
        return [ipaddress.ip_address(host.strip("[]"))]
    except ValueError:
        name = f"{host}." if fully_qualified else host
    answers: queue.SimpleQueue[list[Address] | BaseException] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolver(name))
        except BaseException as error:  # noqa: BLE001  # it is raised below, in the thread that waits
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=min(RESOLVER_SECONDS, seconds))
    except queue.Empty:
        raise TimeoutError("looking up the name took too long") from None
    if isinstance(answer, BaseException):
        raise OSError("the name does not resolve") from answer
    if not answer:
        raise OSError("the name has no address")
    return answer
