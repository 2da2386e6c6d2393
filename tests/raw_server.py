"""A server on bare sockets, with or without TLS, for what a web server would never do."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress


class Peer:
    """One connection that was accepted. *name* is the server name that the client asked for in its TLS hello."""

    def __init__(self, connection: socket.socket, address: tuple[str, int], stopping: threading.Event) -> None:
        self.address = address
        self.stopping = stopping
        self.requests: list[str] = []
        self.left = threading.Event()
        """Set when the client has closed the connection."""
        self._connection = connection

    def secure(self, context: ssl.SSLContext) -> None:
        secured = context.wrap_socket(self._connection, server_side=True, do_handshake_on_connect=False)
        self._connection = secured
        if not self.stopping.is_set():
            secured.do_handshake()

    def read(self) -> str:
        """The next request's head and body, empty where the client has closed the connection."""
        received = b""
        while b"\r\n\r\n" not in received:
            more = self._connection.recv(65536)
            if not more:
                self.left.set()
                return ""
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += self._connection.recv(65536)
        self.requests.append((head + b"\r\n\r\n" + body).decode("latin-1"))
        return self.requests[-1]

    def send(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError:
            self.left.set()
            raise

    def drip(self, data: bytes, seconds: float) -> None:
        """Send *data* again and again, with pauses, as long as anybody listens."""
        while not self.stopping.wait(seconds):
            self.send(data)

    def wait(self) -> None:
        """Until the client closes the connection; what it still sends is thrown away."""
        try:
            while self._connection.recv(65536):
                pass
        finally:
            self.left.set()

    def hang_up(self) -> None:
        """From any thread; the one that serves the connection closes it. Closed by another, its number could belong to
        another file already when OpenSSL writes its last words to it."""
        with suppress(OSError):  # closed already
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def close(self) -> None:
        self.hang_up()
        self._connection.close()


Behaviour = Callable[[Peer], None]


class RawServer:
    """Does *behaviour* with every connection to *host*, each in a thread of its own. Use it as a context manager.

    *context* secures the connections before.
    """

    def __init__(
        self, behaviour: Behaviour, host: str = "127.0.0.1", port: int = 0, context: ssl.SSLContext | None = None
    ) -> None:
        self.behaviour = behaviour
        self.context = context
        self.peers: list[Peer] = []
        self.stopping = threading.Event()
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> RawServer:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        # A listener that is closed while a thread waits for it keeps accepting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for peer in self.peers:
            peer.hang_up()

    @property
    def requests(self) -> list[str]:
        return [request for peer in self.peers for request in peer.requests]

    def is_left_alone(self) -> bool:
        """Whether the client has closed every connection, if it made any; waits for it."""
        return all(peer.left.wait(60) for peer in self.peers)

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            peer = Peer(connection, address, self.stopping)
            self.peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: Peer) -> None:
        try:
            if self.context is not None:
                peer.secure(self.context)
            self.behaviour(peer)
        except (OSError, ValueError):  # the client went away, or the test is over
            peer.left.set()
        finally:
            peer.close()


def answer(body: bytes = b"hello", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def answering(reply: bytes = answer()) -> Behaviour:  # bytes do not change
    """Give every request the same answer and keep the connection."""

    def behave(peer: Peer) -> None:
        while peer.read():
            peer.send(reply)

    return behave
