"""A proxy that carries connections to where the test says, and remembers what it was asked."""

from __future__ import annotations

import socket
import threading

from tests.raw_server import Peer, answer


class Tunnel:
    """A behaviour for :class:`~tests.raw_server.RawServer`. *status* other than 200 refuses."""

    def __init__(self, target: tuple[str, int], status: str = "200 Connection established") -> None:
        self.asked: list[str] = []
        self._target = target
        self._status = status

    def __call__(self, peer: Peer) -> None:
        self.asked.append(peer.read())
        if not self._status.startswith("200"):
            peer.send(answer(b"", self._status))
            return
        peer.send(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
        with socket.create_connection(self._target) as onward:
            threading.Thread(target=_carry, args=(onward, peer._connection), daemon=True).start()
            _carry(peer._connection, onward)


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side is gone
        pass
