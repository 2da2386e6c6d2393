"""HTTP with Bitbucket Servers: the only place that speaks it.

Every name is resolved once, all its addresses are checked, and the connection goes to one of those very addresses. No
redirects, no cookies, nothing from the environment, no retries; limits in bytes, and one deadline for everything.
Idle connections are kept for a while and used again, a few for each integration.
"""

from __future__ import annotations

import os
import queue
import socket
import ssl
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPException, HTTPResponse, parse_headers
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from ..crypto import Secret
from ..problems import BitbucketServerError
from . import reaching
from .bulkhead import Budget
from .forks import hold_while_forking
from .proxy_answers import is_by_proxy, proxy_refusal
from .reaching import LookUp, connect, handshake_of, lag_of
from .tls_faults import tls_fault
from .trust import ssl_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .addresses import Address, AddressPolicy

Method = Literal["GET", "POST", "PUT", "DELETE"]
_T = TypeVar("_T")

DOCUMENT_LIMIT = 64 * 1024
"""Bytes that a JSON document may have."""

TOKEN_LIMIT = 8 * 1024
"""Bytes that the answer of a token endpoint may have."""

HEAD_LIMIT = 32 * 1024
"""Bytes that the headers of an answer may have. Bitbucket sends less than 8 KiB."""

IDLE_CONNECTIONS = 8
"""Connections to one server that are kept while nobody uses them. There may be more while people log in."""

SERVERS = 128
"""Servers to which connections are kept open; those of the server that was asked least recently are closed first."""

OLDEST_CONNECTION = 300
"""Seconds after which a connection is made anew: with the addresses and the certificate that the server has then."""

_FAILURES_UNTIL_OPEN = 3
_SECONDS_OPEN = 5.0
_CHUNK = 16 * 1024
_LONGEST_LINE = 64 * 1024  # http.client's own limit
_END_OF_HEAD = frozenset({b"\r\n", b"\n", b""})
# A blocked address counts as a failed connection does, so that what comes afterwards does not tell the two apart.
_NOT_REACHED = frozenset(
    {"address_blocked", "proxy_credentials_refused", "proxy_destination_refused", "proxy_unreachable"}
)
_NO_RETRIES = urllib3.Retry(total=False, redirect=False)


@dataclass(frozen=True, slots=True)
class Route:
    """How a server is reached: certificates and *client_key* as in :mod:`.trust`; *policy* says which addresses may be
    reached, ``None`` for all; *connect_to*: host and port that connections go to instead of the URL's; *proxy* is the
    address of a proxy to go through, which connects there. *owner*: the id of the integration that the connections and
    failures belong to. What fails for one integration says nothing about another."""

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
    """What the server answered: *status*, *headers* with every line of a repeated one, and the *body*'s bytes; and the
    *url* that it was asked for."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes
    url: str = ""

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
    budget: Budget | None = None,
) -> Answer:
    """Send one request and read its whole answer, of whatever status.

    *timeout* is for everything, in seconds; *limit* in bytes. *fresh* opens a new connection, so that it cannot have
    gone stale. *regardless* of failures just now, which otherwise keep requests from being sent for a moment. *budget*:
    of the step that the request belongs to; by default the request may wait for its whole *timeout*. Raises
    ``connection_failed``, the problems of TLS and of proxies, ``timeout``, ``malformed_answer``, ``answer_compressed``,
    ``address_blocked``, ``server_overloaded``, ``server_busy``, ``conversation_too_long``, and
    :class:`ConnectionWentStale`.
    """
    breaker = _breaker(os.getpid(), _origin(url), route)
    budget = budget or Budget.of_one_request(timeout)
    if not regardless and not budget.is_admitted:
        breaker.check()
    exchange = _Exchange(route, timeout, fresh, budget)
    token = _CURRENT.set(exchange)
    problem: Exception
    try:
        with budget.request():
            if route.proxy is not None and route.policy is not None:
                _refuse_plain_http(url)
                exchange.through_proxy_to = _checked_address(url, route, exchange)
            answer = _exchange(method, url, headers, body, route, exchange, limit)
    except BitbucketServerError as error:
        problem = error
        if exchange.answered:
            breaker.count(failed=False)
        elif error.code in _NOT_REACHED:
            breaker.count(failed=True)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        problem = exchange.refusal or _problem(error, exchange)
        if exchange.refusal is None and not isinstance(problem, ConnectionWentStale):
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


def admit(origin: str, route: Route, budget: Budget) -> None:
    """Let the step that *budget* belongs to ask the server at *origin*, even if other requests fail meanwhile. It can
    use up something that works once. Raises ``server_overloaded``."""
    _breaker(os.getpid(), origin, route).check()
    budget.is_admitted = True


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
        context = ssl_context(route.verify, route.ca_certificates, route.client_certificate, route.client_key)
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
        preload_content=False,
        decode_content=False,
    )
    drained = False
    try:
        if route.proxy is not None and url.startswith("http://") and is_by_proxy(response.status, response.headers):
            raise proxy_refusal(response.status, response.headers)
        if response.headers.get("Content-Encoding", "").strip().lower() not in {"", "identity"}:
            raise BitbucketServerError("answer_compressed", status_code=response.status)
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
        return Answer(response.status, response.headers, bytes(received), url)
    finally:
        if not drained:
            response.close()
        response.release_conn()


def _problem(error: Exception, exchange: _Exchange) -> BitbucketServerError:
    facts = {"cause": _cause(error)}
    if exchange.is_over or isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError)):
        return BitbucketServerError("timeout", facts=facts)
    if isinstance(error, urllib3.exceptions.SSLError):
        fault = _bottom(error)
        if not isinstance(fault, ssl.SSLError):
            return BitbucketServerError("tls_error", facts=facts)
        return tls_fault(fault, exchange.client_certificate, server_is_known=exchange.server_is_known)
    if isinstance(error, urllib3.exceptions.ProxyError):
        return _proxy_unreachable(error)
    if exchange.on_kept_connection and not exchange.answered:
        return ConnectionWentStale()
    return BitbucketServerError("connection_failed", facts=facts)


def _proxy_unreachable(error: Exception) -> BitbucketServerError:
    return BitbucketServerError("proxy_unreachable", parameter="proxies", facts={"cause": _cause(error)})


def _bottom(error: BaseException) -> BaseException:
    for inner in (*reversed(error.args), error.__cause__, error.__context__):
        if isinstance(inner, BaseException):
            return _bottom(inner)
    return error


def _cause(error: BaseException) -> str:
    """Return the error at the bottom of *error*, in words of Python or OpenSSL, never of the server."""
    error = _bottom(error)
    detail = getattr(error, "verify_message", "") or getattr(error, "strerror", "")
    return f"{type(error).__name__}: {detail}" if isinstance(detail, str) and detail else type(error).__name__


# Connections: to a checked address, and over when time is up


class _Exchange:
    """One request and its answer, with one deadline for everything, within the *budget* of its step."""

    def __init__(self, route: Route, seconds: float, fresh: bool, budget: Budget) -> None:
        self.policy = route.policy
        self.connect_to = route.connect_to
        self.client_certificate = route.client_certificate
        self.fresh = fresh
        self.through_proxy_to: Address | None = None
        self.has_connected = False
        self.on_kept_connection = False
        self.answered = False
        self.is_at_proxy = False
        self.server_is_known = False
        """Whether the server has shown its certificate in this exchange."""
        self.refusal: BitbucketServerError | None = None
        self._budget = budget
        self._deadline = budget.deadline(seconds)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._deadline

    def remaining(self) -> float:
        """Raises TimeoutError when there is nothing left."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def wait(self, block: Callable[[float], _T], lag: Callable[[], float | None]) -> _T:
        """Call *block* with the seconds that it may wait, as :meth:`.Budget.wait` does."""
        try:
            return self._budget.wait(block, self._deadline, lag)
        except BitbucketServerError as error:
            # http.client takes it for a damaged chunk, because it is a ValueError.
            self.refusal = error
            raise

    def destination(self, host: str, port: int) -> tuple[str, int]:
        """Return where a connection for *host* and *port* goes."""
        return self.connect_to or (host, port)

    def look_up(self, host: str, policy: AddressPolicy | None) -> list[Address]:
        """The addresses of *host*. Raises OSError."""
        deadline = min(self._deadline, self._budget.deadline(reaching.RESOLVER_SECONDS))
        look_up = LookUp(host, policy)
        try:
            return self._budget.wait(look_up.addresses, deadline, look_up.lag)
        except TimeoutError as error:
            if self.is_over:
                raise
            raise OSError("looking up the name took too long") from error


_CURRENT: ContextVar[_Exchange | None] = ContextVar("_CURRENT", default=None)


def _current() -> _Exchange:
    exchange = _CURRENT.get()
    assert exchange is not None  # noqa: S101  # send() sets it
    return exchange


class _Timed:
    """Mixed into sockets: whatever is sent or received may take what is left of the exchange, and no longer. A timeout
    of the socket's own would begin anew with every byte that drips in."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        receive: Callable[..., int] = super().recv_into  # type: ignore[misc]  # of the class it is mixed into
        return self._in_time(lambda: receive(*args, **kwargs))

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        receive: Callable[..., bytes] = super().recv  # type: ignore[misc]  # of the class it is mixed into
        return self._in_time(lambda: receive(*args, **kwargs))

    def send(self, *args: Any, **kwargs: Any) -> int:
        send: Callable[..., int] = super().send  # type: ignore[misc]  # of the class it is mixed into
        return self._in_time(lambda: send(*args, **kwargs))

    def sendall(self, data: Any, *args: Any) -> None:
        """Send piece by piece: after a timeout nobody would know how much of it all was sent."""
        left = memoryview(data).cast("B")
        while left:
            left = left[self.send(left, *args) :]

    def _in_time(self, block: Callable[[], _T]) -> _T:
        exchange = _CURRENT.get()
        if exchange is None:
            return block()

        def within(seconds: float) -> _T:
            self.settimeout(seconds)  # type: ignore[attr-defined]  # of the class it is mixed into
            return block()

        return exchange.wait(within, lambda: lag_of(self))  # type: ignore[arg-type]  # it is mixed into a socket


class _Socket(_Timed, socket.socket):
    pass


class _TLSSocket(_Timed, ssl.SSLSocket):
    def do_handshake(self, *args: Any) -> None:
        shake_hands = super().do_handshake
        try:
            self._in_time(lambda: shake_hands(*args))
        finally:
            exchange = _CURRENT.get()
            if exchange is not None:
                exchange.server_is_known = self.cipher() is not None

    def send(self, *args: Any, **kwargs: Any) -> int:
        try:
            return super().send(*args, **kwargs)
        except ssl.SSLEOFError as error:
            ended: ssl.SSLError = error
        # Not above: it would have the end as its context, which would be told as the cause.
        raise self._alert() or ended

    def _alert(self) -> ssl.SSLError | None:
        """Return the alert with which the server hung up, if any. In TLS 1.3 it refuses the client's certificate after
        the handshake, perhaps before the request is sent."""
        try:
            self.recv(1)
        except ssl.SSLError as error:
            return error if "_ALERT_" in (error.reason or "") else None
        except OSError:
            pass
        return None


class _Response(HTTPResponse):
    """Reads no more than :data:`HEAD_LIMIT` bytes of headers, and a proxy's answer to CONNECT."""

    def _read_status(self) -> tuple[str, int, str]:
        if not _current().is_at_proxy:
            return super()._read_status()  # type: ignore[misc,no-any-return]  # http.client's own
        reader = self.fp
        self.fp = _Head(reader)  # type: ignore[assignment]  # as below
        try:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # as above
            if status != 200:
                raise proxy_refusal(status, parse_headers(self.fp))
            return version, status, reason
        finally:
            if self.fp is not None:  # it is where the line was none of HTTP's
                self.fp = reader

    def begin(self) -> None:
        reader = self.fp
        self.fp = _Head(reader)  # type: ignore[assignment]  # it has what is used of a reader
        try:
            super().begin()
        finally:
            self.fp = reader


class _Head:
    """Reads the status line of an answer, and then all headers at once: bytes are counted before lines are."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._lines = self._read()
        self.close = reader.close

    def readline(self, _limit: int) -> bytes:
        return next(self._lines, b"")

    def _read(self) -> Iterator[bytes]:
        while True:
            # At once: what does not speak HTTP may send no other line.
            yield self._line()
            headers, size = [self._line()], 0
            while headers[-1] not in _END_OF_HEAD and len(headers[-1]) <= _LONGEST_LINE:
                size += len(headers[-1])
                if size > HEAD_LIMIT:
                    raise BitbucketServerError("malformed_answer", f"Its headers are longer than {HEAD_LIMIT} bytes.")
                headers.append(self._line())
            yield from headers

    def _line(self) -> bytes:
        line: bytes = self._reader.readline(_LONGEST_LINE + 1)
        return line


class _CheckedConnection:
    """Mixed into urllib3's connections."""

    response_class: type[HTTPResponse] = _Response
    made_at = 0.0
    host: str
    port: int
    proxy: Any
    sock: Any

    def _new_conn(self) -> socket.socket:
        exchange = _current()
        exchange.has_connected = True
        host, port, policy = self.host, self.port, None
        if self.proxy is None:
            host, port = exchange.destination(host, port)
            policy = exchange.policy
        try:
            addresses = exchange.look_up(host, policy)
            connection = _connected(addresses, port, exchange)
        except OSError as error:
            if self.proxy is not None:
                raise _proxy_unreachable(error) from error
            if isinstance(error, (ConnectionResetError, BrokenPipeError)):
                # urllib3 passes over these two: they may come after an answer. Here there was not even a connection.
                raise OSError("the connection was not made") from error
            raise
        timed = _Socket(fileno=connection.detach())
        try:
            timed.settimeout(exchange.remaining())  # the TLS handshake's
        except TimeoutError:
            timed.close()
            raise
        self.made_at = time.monotonic()
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
        exchange = _current()
        name, port = self._tunnel_host, self._tunnel_port
        if exchange.connect_to is not None:
            self._tunnel_host, self._tunnel_port = exchange.connect_to
        if exchange.through_proxy_to is not None:
            self._tunnel_host = str(exchange.through_proxy_to)
        exchange.is_at_proxy = True
        try:
            super()._tunnel()
        except (HTTPException, ConnectionError) as error:
            raise _proxy_unreachable(error) from error
        finally:
            exchange.is_at_proxy = False
        # TLS asks for the name in the URL.
        self._tunnel_host, self._tunnel_port = name, port


class _CheckedPool:
    """Mixed into urllib3's pools."""

    pool: Any

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]  # of the class it is mixed into
        if _current().fresh or time.monotonic() - connection.made_at > OLDEST_CONNECTION:
            connection.close()
        return connection

    def _put_conn(self, connection: Any) -> None:
        """Close what is one too many. urllib3 does so, too, with a warning."""
        try:
            self.pool.put(connection, block=False)
        except (queue.Full, AttributeError):  # a pool that was closed is None
            if connection is not None:
                connection.close()


class _HTTPPool(_CheckedPool, urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(_CheckedPool, urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _connected(addresses: Sequence[Address], port: int, exchange: _Exchange) -> socket.socket:
    """A new connection to one of *addresses*."""
    made: list[tuple[float, socket.socket]] = []

    def make(seconds: float) -> socket.socket:
        began = time.monotonic()
        made.append((began, connect(addresses, port, seconds)))
        return made[0][1]

    def lag() -> float | None:
        """The handshake may have begun late, and may have been over for a while."""
        began, connection = made[0] if made else (0.0, None)
        handshake = handshake_of(connection) if connection is not None else None
        return time.monotonic() - began - handshake if handshake is not None else None

    return exchange.wait(make, lag)


def _refuse_plain_http(url: str) -> None:
    """Without TLS there is no tunnel to the checked address: the proxy would look the name up itself."""
    if not url.startswith("https://"):
        raise BitbucketServerError(
            "setting_invalid",
            "A base URL that begins with http:// is not asked through a proxy, because the proxy would look its name "
            "up itself. Use https://, or no proxy for this server.",
            parameter="proxies",
        )


def _checked_address(url: str, route: Route, exchange: _Exchange) -> Address:
    """The address to ask a proxy for: were it asked for the name, it would look that up itself, and differently."""
    host, _ = exchange.destination(urlsplit(url).hostname or "", 0)
    addresses = exchange.look_up(host, route.policy)
    return min(addresses, key=lambda address: address.version)


# What is kept between requests, for each process its own: a forked process must not share its parent's sockets


# Two threads that come first at once would make two of them, each with its own connections.
_MAKING = threading.Lock()
hold_while_forking(_MAKING)


@lru_cache(maxsize=SERVERS)
def _way(
    process: int,  # noqa: ARG001  # see above
    origin: str,
    route: Route,
    context: ssl.SSLContext,
) -> urllib3.PoolManager | urllib3.HTTPConnectionPool:
    """The connections to one server: a pool, which takes paths; through a proxy a manager, which takes whole URLs and
    knows what a proxy wants to be told."""
    options: dict[str, Any] = {"num_pools": 1, "maxsize": IDLE_CONNECTIONS, "ssl_context": context}
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

    It belongs to one route, and so to one integration. Slow answers are the business of :mod:`.bulkhead`.
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
