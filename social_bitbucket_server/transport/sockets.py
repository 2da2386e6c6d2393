"""Sockets that wait no longer than the exchange that they belong to."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from ..problems import BitbucketServerError
from .exchange import CURRENT
from .reaching import lag_of

_T = TypeVar("_T")


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
