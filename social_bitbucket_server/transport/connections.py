"""Connections to one server: each to a checked address, and over when time is up. Idle ones are kept for a while."""

from __future__ import annotations

import http.client
import queue
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar
from urllib.parse import unquote

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssltransport import SSLTransport

from ..problems import BitbucketServerError, Code
from .addresses import Address
from .connection_errors import proxy_unreachable
from .exchange import CURRENT, Exchange, Route, current
from .heads import LimitedResponse
from .reaching import connect, handshake_of, lag_of
from .trust import ssl_context

_T = TypeVar("_T")

Connections: TypeAlias = urllib3.PoolManager | urllib3.HTTPConnectionPool
"""A pool, which takes paths. Through a proxy a manager, which takes whole URLs and knows what to tell the proxy."""

IDLE_CONNECTIONS = 8
"""Idle connections to one server that are kept. More may be in use at a time."""

OLDEST_CONNECTION = 300
"""Seconds after which a connection is made anew: with the addresses and the certificate that the server has then."""


def connections_to(origin: str, route: Route, context: ssl.SSLContext) -> Connections:
    """Return new connections to the server at *origin*, with TLS as *context* says. Raises ``setting_invalid``."""
    context.sslsocket_class = TimedTLSSocket
    options: dict[str, Any] = {"num_pools": 1, "maxsize": IDLE_CONNECTIONS, "ssl_context": context}
    manager = urllib3.PoolManager(**options) if route.proxy is None else _proxy_manager(route.proxy, options)
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager.connection_from_url(origin) if route.proxy is None else manager


def refuse_unusable_proxy(proxy: str) -> None:
    """Check a configured address of a proxy without connecting. Raises ``setting_invalid``."""
    _proxy_manager(proxy, {})


def _proxy_manager(proxy: str, options: Mapping[str, Any]) -> urllib3.ProxyManager:
    """Return connections through *proxy*, an address as the library requests takes it: ``http://`` may be left out, and
    a user name and password may be in it."""
    address = proxy if "://" in proxy else f"http://{proxy}"
    try:
        credentials = urllib3.util.parse_url(address).auth
        headers = urllib3.make_headers(proxy_basic_auth=unquote(credentials)) if credentials else None
        return urllib3.ProxyManager(
            address, proxy_headers=headers, proxy_ssl_context=ssl_context(verify=True), **options
        )
    except (urllib3.exceptions.LocationValueError, UnicodeError):
        problem = BitbucketServerError(
            Code.SETTING_INVALID, "A proxy's address begins with http:// or https://.", parameter="proxies"
        )
    raise problem


class _CheckedConnection:
    """Mixed into urllib3's connections."""

    response_class: type[http.client.HTTPResponse] = LimitedResponse
    made_at = 0.0
    host: str
    port: int
    proxy: Any
    sock: Any

    def _new_conn(self) -> socket.socket:
        exchange = current()
        exchange.has_connected = True
        host, port, policy = self.host, self.port, None
        if self.proxy is None:
            host, port = exchange.route.connect_to or (host, port)
            policy = exchange.route.policy
        try:
            addresses = exchange.look_up(host, policy)
            connection = _connected(addresses, port, exchange)
        except OSError as error:
            if self.proxy is not None:
                raise proxy_unreachable(error) from error
            if isinstance(error, (ConnectionResetError, BrokenPipeError)):
                # urllib3 passes over these two: they may come after an answer. Here there was not even a connection.
                raise OSError("the connection was not made") from error
            raise
        timed = TimedSocket(fileno=connection.detach())
        try:
            timed.settimeout(exchange.remaining())  # the TLS handshake's
        except TimeoutError:
            timed.close()
            raise
        self.made_at = time.monotonic()
        return timed

    def request(self, *args: Any, **kwargs: Any) -> None:
        exchange = current()
        exchange.on_kept_connection = self.sock is not None and not exchange.has_connected
        super().request(*args, **kwargs)  # type: ignore[misc]  # of the class it is mixed into

    def getresponse(self) -> Any:
        # http.client's own answer: urllib3 would wrap it in another one, which costs as much again.
        response = http.client.HTTPConnection.getresponse(self)  # type: ignore[arg-type]  # it is mixed into one
        current().answered = True
        return response


class _HTTPConnection(_CheckedConnection, HTTPConnection):
    pass


class _HTTPSConnection(_CheckedConnection, HTTPSConnection):
    def _tunnel(self) -> None:
        exchange = current()
        name, port = self._tunnel_host, self._tunnel_port
        if exchange.route.connect_to is not None:
            self._tunnel_host, self._tunnel_port = exchange.route.connect_to
        if exchange.through_proxy_to is not None:
            self._tunnel_host = str(exchange.through_proxy_to)
        exchange.is_at_proxy = True
        try:
            super()._tunnel()
        except (http.client.HTTPException, ConnectionError) as error:
            raise proxy_unreachable(error) from error
        finally:
            exchange.is_at_proxy = False
        # TLS asks for the name in the URL.
        self._tunnel_host, self._tunnel_port = name, port


class _CheckedPool:
    """Mixed into urllib3's pools."""

    pool: Any

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]  # of the class it is mixed into
        is_old = time.monotonic() - connection.made_at > OLDEST_CONNECTION
        if current().fresh or is_old or _has_leftovers(connection.sock):
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


def _has_leftovers(sock: Any) -> bool:
    """Return whether TLS still has bytes of *sock* that no answer was read from. urllib3 looks only below TLS."""
    if isinstance(sock, ssl.SSLSocket):
        return sock.pending() > 0
    # TLS through a proxy that itself is asked with TLS
    return isinstance(sock, SSLTransport) and bool(sock.incoming.pending or sock.sslobj.pending())


def _connected(addresses: Sequence[Address], port: int, exchange: Exchange) -> socket.socket:
    made: list[tuple[float, socket.socket]] = []

    def make(seconds: float) -> socket.socket:
        began = time.monotonic()
        made.append((began, connect(addresses, port, seconds)))
        return made[0][1]

    def lag() -> float | None:
        """Return the seconds that were not the handshake's: it may have begun late, or ended a while ago."""
        began, connection = made[0] if made else (0.0, None)
        handshake = handshake_of(connection) if connection is not None else None
        return time.monotonic() - began - handshake if handshake is not None else None

    return exchange.wait(make, lag)


class _Timed:
    """Mixed into sockets, so that sending and receiving take no longer than the exchange has left. A timeout of the
    socket's own would begin anew with every byte that drips in."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        return self._in_time(super().recv_into, *args, **kwargs)  # type: ignore[misc,no-any-return]  # of the class it is mixed into

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        return self._in_time(super().recv, *args, **kwargs)  # type: ignore[misc,no-any-return]  # of the class it is mixed into

    def send(self, *args: Any, **kwargs: Any) -> int:
        return self._in_time(super().send, *args, **kwargs)  # type: ignore[misc,no-any-return]  # of the class it is mixed into

    def sendall(self, data: Any, *args: Any) -> None:
        """Send piece by piece: after a timeout it would be unknown how much of it was sent."""
        left = memoryview(data).cast("B")
        while left:
            left = left[self.send(left, *args) :]

    def _in_time(self, block: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        exchange = CURRENT.get()
        if exchange is None:
            return block(*args, **kwargs)

        def within(seconds: float) -> _T:
            self.settimeout(seconds)  # type: ignore[attr-defined]  # of the class it is mixed into
            return block(*args, **kwargs)

        return exchange.wait(within, lambda: lag_of(self))  # type: ignore[arg-type]  # it is mixed into a socket


class TimedSocket(_Timed, socket.socket):
    """A socket for plain HTTP, and below TLS."""


class TimedTLSSocket(_Timed, ssl.SSLSocket):
    """A socket for TLS, which tells how far the handshake came."""

    def do_handshake(self, *args: Any) -> None:
        """Shake hands in time, and note whether the server has shown its certificate."""
        try:
            self._in_time(super().do_handshake, *args)
        except BitbucketServerError:
            self.close()  # after its own errors ssl does so
            raise
        finally:
            exchange = CURRENT.get()
            if exchange is not None:
                exchange.server_is_known = self.cipher() is not None

    def send(self, *args: Any, **kwargs: Any) -> int:
        """Send, or raise the alert with which the server hung up."""
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
