"""HTTP with Bitbucket Servers: the only place that speaks it.

Every name is resolved once, all its addresses are checked, and the connection goes to one of those very addresses. No
redirects, no cookies, nothing from the environment, no retries; limits in bytes, and one deadline for everything.
Connections are kept and used again, a few for each server.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from .problems import BitbucketServerError
from .reaching import connect, look_up
from .trust import ssl_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .addresses import Address, AddressPolicy

Method = Literal["GET", "POST", "PUT", "DELETE"]

DOCUMENT_LIMIT = 64 * 1024
"""Bytes that a JSON document may have."""

TOKEN_LIMIT = 8 * 1024
"""Bytes that the answer of a token endpoint may have."""

CONNECTIONS = 4
"""Connections to one server at the same time."""

SERVERS = 256
"""Servers to which connections are kept open; those of the server that was asked least recently are closed first."""

_WAIT_FOR_CONNECTION = 0.25
_FAILURES_UNTIL_OPEN = 3
_SECONDS_OPEN = 5.0
_CHUNK = 16 * 1024
_NO_RETRIES = urllib3.Retry(total=False, redirect=False)


@dataclass(frozen=True, slots=True)
class Route:
    """How a server is reached: *verify* and *ca_certificates* as in :mod:`.trust`; *policy* says which addresses may be
    reached, ``None`` for all; *proxy* is the address of a proxy to go through."""

    verify: bool | str = True
    ca_certificates: str = field(default="", repr=False)
    policy: AddressPolicy | None = None
    proxy: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What the server answered: *status*, *headers* with every line of a repeated one, and the *body*'s bytes."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"

    @property
    def is_html(self) -> bool:
        """Whether it is a page for people, which no address of this conversation answers with."""
        return "html" in self.headers.get("Content-Type", "").lower()


class ConnectionWentStale(BitbucketServerError):
    """A kept connection turned out to be closed by the server; nothing was answered. Sign again, and send again."""

    def __init__(self) -> None:
        super().__init__("connection_failed")


def send(
    method: Method,
    url: str,
    headers: Mapping[str, str],
    *,
    route: Route,
    body: str | None = None,
    timeout: float = 10.0,
    limit: int = DOCUMENT_LIMIT,
    fresh: bool = False,
    regardless: bool = False,
) -> Answer:
    """Send one request and read its whole answer, of whatever status.

    *timeout* is for everything, in seconds; *limit* in bytes. *fresh* opens a new connection, so that it cannot have
    gone stale. *regardless* of failures just now, which otherwise keep requests from being sent for a moment. Raises
    ``connection_failed``, ``tls_error``, ``timeout``, ``malformed_answer``, ``address_blocked``, ``server_overloaded``,
    and :class:`ConnectionWentStale`.
    """
    breaker = _breaker(os.getpid(), _origin(url), route)
    if not regardless:
        breaker.check()
    exchange = _Exchange(route.policy, timeout, fresh)
    token = _CURRENT.set(exchange)
    problem: Exception
    try:
        if route.proxy is not None and route.policy is not None:
            exchange.through_proxy_to = _checked_address(url, route.policy, exchange)
        answer = _exchange(method, url, headers, body, route, exchange, limit)
    except urllib3.exceptions.EmptyPoolError:
        problem = BitbucketServerError("server_overloaded")
    except BitbucketServerError as error:
        problem = error
        if exchange.answered:
            breaker.count(failed=False)
        elif error.code == "address_blocked":
            # As a failed connection does, so that what comes afterwards does not tell the two apart.
            breaker.count(failed=True)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        problem = _problem(error, exchange)
        if not isinstance(problem, ConnectionWentStale):
            breaker.count(failed=True)
    except Exception as error:  # noqa: BLE001  # raised below
        problem = error
    else:
        breaker.count(failed=False)
        return answer
    finally:
        _CURRENT.reset(token)
    # Without the way it came: the variables of the functions on it hold the signature.
    raise problem.with_traceback(None)


def _exchange(
    method: Method,
    url: str,
    headers: Mapping[str, str],
    body: str | None,
    route: Route,
    exchange: _Exchange,
    limit: int,
) -> Answer:
    with _MAKING:
        context = ssl_context(route.verify, route.ca_certificates)
        context.sslsocket_class = _TLSSocket
        origin = _origin(url)
        way = _way(os.getpid(), origin, route, context)
    response = way.urlopen(
        method,
        url[len(origin) :] if route.proxy is None else url,
        body=None if body is None else body.encode(),
        headers={"User-Agent": "social-auth-bitbucket-server", "Accept-Encoding": "identity", **headers},
        redirect=False,
        retries=_NO_RETRIES,
        timeout=urllib3.Timeout(exchange.remaining()),
        pool_timeout=_WAIT_FOR_CONNECTION,  # type: ignore[arg-type]  # it is a float, says its documentation
        preload_content=False,
        decode_content=False,
    )
    drained = False
    try:
        if response.headers.get("Content-Encoding", "").strip().lower() not in {"", "identity"}:
            raise BitbucketServerError("malformed_answer", "It is compressed, though nobody asked for that.")
        received = bytearray()
        # Not stream(): older versions of urllib3 read a chunk's first line however long it is.
        while chunk := response.read(_CHUNK, decode_content=False):
            received += chunk
            if len(received) > limit:
                raise BitbucketServerError("malformed_answer", f"It is longer than {limit} bytes.")
        if exchange.is_over:
            # The end that was reached may be the one that the deadline made.
            raise TimeoutError
        if response.status == 200 and response.length_remaining is None and not response.chunked:
            # Whoever can cut the connection could cut the answer short, TLS or not.
            raise BitbucketServerError("malformed_answer", "It does not say how long it is.")
        drained = True
        return Answer(response.status, response.headers, bytes(received))
    finally:
        if not drained:
            response.close()
        response.release_conn()


def _problem(error: Exception, exchange: _Exchange) -> BitbucketServerError:
    facts = {"cause": _cause(error)}
    if exchange.is_over or isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError)):
        return BitbucketServerError("timeout", facts=facts)
    if isinstance(error, urllib3.exceptions.SSLError):
        return BitbucketServerError("tls_error", facts=facts)
    if isinstance(error, urllib3.exceptions.ProxyError):
        return BitbucketServerError("connection_failed", "The proxy did not let the connection through.", facts=facts)
    if exchange.on_kept_connection and not exchange.answered:
        return ConnectionWentStale()
    return BitbucketServerError("connection_failed", facts=facts)


def _cause(error: BaseException) -> str:
    """What lies at the bottom of *error*, in words of Python's or OpenSSL's own, never of the server's."""
    for inner in (*reversed(error.args), error.__cause__, error.__context__):
        if isinstance(inner, BaseException):
            return _cause(inner)
    detail = getattr(error, "verify_message", "") or getattr(error, "strerror", "")
    return f"{type(error).__name__}: {detail}" if isinstance(detail, str) and detail else type(error).__name__


# Connections: to a checked address, and over when time is up


class _Exchange:
    """One request and its answer, with one deadline for everything."""

    def __init__(self, policy: AddressPolicy | None, seconds: float, fresh: bool) -> None:
        self.policy = policy
        self.fresh = fresh
        self.through_proxy_to: Address | None = None
        self.has_connected = False
        self.on_kept_connection = False
        self.answered = False
        self._deadline = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._deadline

    def remaining(self) -> float:
        """Raises TimeoutError when there is nothing left."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


_CURRENT: ContextVar[_Exchange | None] = ContextVar("_CURRENT", default=None)


def _current() -> _Exchange:
    exchange = _CURRENT.get()
    assert exchange is not None  # noqa: S101  # send() sets it
    return exchange


class _Timed:
    """Mixed into sockets: whatever is sent or received may take what is left of the exchange, and no longer. A timeout
    of the socket's own would begin anew with every byte that drips in."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self._hurry()
        received: int = super().recv_into(*args, **kwargs)  # type: ignore[misc]  # of the class it is mixed into
        return received

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        self._hurry()
        received: bytes = super().recv(*args, **kwargs)  # type: ignore[misc]  # of the class it is mixed into
        return received

    def send(self, *args: Any, **kwargs: Any) -> int:
        self._hurry()
        sent: int = super().send(*args, **kwargs)  # type: ignore[misc]  # of the class it is mixed into
        return sent

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self._hurry()
        super().sendall(*args, **kwargs)  # type: ignore[misc]  # of the class it is mixed into

    def _hurry(self) -> None:
        exchange = _CURRENT.get()
        if exchange is not None:
            self.settimeout(exchange.remaining())  # type: ignore[attr-defined]  # of the class it is mixed into


class _Socket(_Timed, socket.socket):
    pass


class _TLSSocket(_Timed, ssl.SSLSocket):
    pass


class _CheckedConnection:
    """Mixed into urllib3's connections."""

    host: str
    port: int
    proxy: Any
    sock: Any

    def _new_conn(self) -> socket.socket:
        exchange = _current()
        exchange.has_connected = True
        policy = exchange.policy if self.proxy is None else None
        addresses = look_up(self.host, policy, exchange.remaining())
        try:
            connection = connect(addresses, self.port, exchange.remaining())
        except (ConnectionResetError, BrokenPipeError) as error:
            # urllib3 passes over these two: they may come after an answer. Here there was not even a connection.
            raise OSError("the connection was not made") from error
        timed = _Socket(fileno=connection.detach())
        try:
            timed.settimeout(exchange.remaining())  # the TLS handshake's
        except TimeoutError:
            timed.close()
            raise
        return timed

    def request(self, *args: Any, **kwargs: Any) -> None:
        exchange = _current()
        exchange.on_kept_connection = self.sock is not None and not exchange.has_connected
        super().request(*args, **kwargs)  # type: ignore[misc]  # of the class it is mixed into

    def getresponse(self) -> Any:
        response = super().getresponse()  # type: ignore[misc]  # of the class it is mixed into
        _current().answered = True
        return response


class _HTTPConnection(_CheckedConnection, HTTPConnection):
    pass


class _HTTPSConnection(_CheckedConnection, HTTPSConnection):
    def _tunnel(self) -> None:
        address, name = _current().through_proxy_to, self._tunnel_host
        if address is not None:
            self._tunnel_host = str(address)
        super()._tunnel()
        self._tunnel_host = name


class _CheckedPool:
    """Mixed into urllib3's pools."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]  # of the class it is mixed into
        if _current().fresh:
            connection.close()
        return connection


class _HTTPPool(_CheckedPool, urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(_CheckedPool, urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _checked_address(url: str, policy: AddressPolicy, exchange: _Exchange) -> Address:
    """The address to ask a proxy for: were it asked for the name, it would look that up itself, and differently."""
    addresses = look_up(urlsplit(url).hostname or "", policy, exchange.remaining())
    return min(addresses, key=lambda address: address.version)


# What is kept between requests, for each process its own: a forked process must not share its parent's sockets


# Two threads that come first at once would make two of them, each with its own connections.
_MAKING = threading.Lock()
os.register_at_fork(before=_MAKING.acquire, after_in_parent=_MAKING.release, after_in_child=_MAKING.release)


@lru_cache(maxsize=SERVERS)
def _way(
    process: int,  # noqa: ARG001  # see above
    origin: str,
    route: Route,
    context: ssl.SSLContext,
) -> urllib3.PoolManager | urllib3.HTTPConnectionPool:
    """The connections to one server: a pool, which takes paths; through a proxy a manager, which takes whole URLs and
    knows what a proxy wants to be told."""
    options: dict[str, Any] = {"num_pools": 1, "maxsize": CONNECTIONS, "block": True, "ssl_context": context}
    manager = urllib3.PoolManager(**options) if route.proxy is None else _proxy_manager(route.proxy, options)
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager.connection_from_url(origin) if route.proxy is None else manager


def _proxy_manager(proxy: str, options: Mapping[str, Any]) -> urllib3.ProxyManager:
    """*proxy* as requests takes it: ``http://`` may be left out, a user name and password may be in it."""
    address = proxy if "://" in proxy else f"http://{proxy}"
    try:
        credentials = urllib3.util.parse_url(address).auth
        headers = urllib3.make_headers(proxy_basic_auth=unquote(credentials)) if credentials else None
        return urllib3.ProxyManager(
            address, proxy_headers=headers, proxy_ssl_context=ssl_context(verify=True), **options
        )
    except (urllib3.exceptions.LocationValueError, UnicodeError):
        problem = BitbucketServerError(
            "setting_invalid", "A proxy's address begins with http:// or https://.", parameter="proxies"
        )
    raise problem


@lru_cache(maxsize=1024)
def _breaker(process: int, origin: str, route: Route) -> _Breaker:  # noqa: ARG001  # see above
    return _Breaker()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class _Breaker:
    """After a few failures in a row a server is left alone for a moment, so that it does not occupy everybody.

    It belongs to one route: what fails with the certificates of one integration says nothing about another's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._next_try = 0.0

    def check(self) -> None:
        """Raises ``server_overloaded`` while the server is left alone; lets one request try afterwards."""
        with self._lock:
            if self._failures < _FAILURES_UNTIL_OPEN:
                return
            if time.monotonic() < self._next_try:
                raise BitbucketServerError("server_overloaded")
            self._next_try = time.monotonic() + _SECONDS_OPEN

    def count(self, failed: bool) -> None:
        """Note how a request ended."""
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            self._next_try = time.monotonic() + _SECONDS_OPEN
