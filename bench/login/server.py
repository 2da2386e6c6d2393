"""A Bitbucket Server that costs next to nothing: canned answers over TLS, from a process of its own, and counters."""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import re
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

PERSON = {
    "id": 42,
    "name": "jane",
    "slug": "jane",
    "displayName": "Jane Doe",
    "emailAddress": "jane@example.com",
    "active": True,
    "type": "NORMAL",
    "links": {"self": [{"href": "https://bitbucket.example/users/jane"}]},
}
FORM = "text/plain;charset=UTF-8"
JSON = "application/json;charset=UTF-8"


@dataclass
class Counts:
    """Counts of the server: connections that were opened, requests, bytes in both directions before TLS, and the
    *seconds* of processor time that it took."""

    connections: int
    requests: int
    received: int
    sent: int
    seconds: float

    def __sub__(self, earlier: Counts) -> Counts:
        return Counts(*(getattr(self, name) - getattr(earlier, name) for name in self.__dataclass_fields__))


class Conversation(asyncio.Protocol):
    """One connection. It counts in *counted* and takes its tokens' *numbers*, both of which all connections share."""

    def __init__(self, counted: Counter[str], numbers: Iterator[int]) -> None:
        self._counted, self._numbers = counted, numbers
        self._waiting = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._counted["connections"] += 1

    def data_received(self, data: bytes) -> None:
        self._counted["received"] += len(data)
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, _, rest = self._waiting.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            body = int(length[1]) if length else 0
            if len(rest) < body:
                return
            self._waiting = rest[body:]
            self._answer(head.decode())

    def _answer(self, request: str) -> None:
        self._counted["requests"] += 1
        content_type, extra, text = self.content(request.split(" ", 2)[1], request)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{extra}Content-Length: {len(text)}\r\n\r\n"
        answer = (head + text).encode()
        self._counted["sent"] += len(answer)
        self.write(answer)

    def write(self, answer: bytes) -> None:
        """Send *answer*."""
        self._transport.write(answer)

    def content(self, target: str, _request: str) -> tuple[str, str, str]:
        """Return the answer for *target*: its type, further header lines, and the text."""
        if target.endswith("/request-token"):
            token = f"REQUEST{next(self._numbers):025}"
            return FORM, "", f"oauth_token={token}&oauth_token_secret={token}&oauth_callback_confirmed=true"
        if target.endswith("/access-token"):
            token = f"ACCESS{next(self._numbers):026}"
            return FORM, "", f"oauth_token={token}&oauth_token_secret={token}&oauth_expires_in=157680000"
        if target.endswith("/application-properties"):
            return JSON, "X-AUSERNAME: jane\r\n", '{"version":"8.19.0","displayName":"Bitbucket"}'
        return JSON, "", json.dumps(PERSON)


async def _serve(certificate: str, pipe: Connection) -> None:
    counted: Counter[str] = Counter()
    numbers = itertools.count()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(counted, numbers), "127.0.0.1", 0, ssl=context, backlog=256)
    pipe.send(server.sockets[0].getsockname()[1])
    while await loop.run_in_executor(None, pipe.recv):
        connections, requests = counted["connections"], counted["requests"]
        pipe.send(Counts(connections, requests, counted["received"], counted["sent"], time.process_time()))


def _run(certificate: str, pipe: Connection) -> None:
    asyncio.run(_serve(certificate, pipe))


class Server:
    """The server on *port* of this machine."""

    def __init__(self, pipe: Connection, port: int) -> None:
        self._pipe, self.port = pipe, port

    def counts(self) -> Counts:
        """Return the server's counts until now."""
        self._pipe.send(True)
        found: Counts = self._pipe.recv()
        return found


@contextmanager
def running(certificate: str) -> Iterator[Server]:
    """Run a server with the PEM file *certificate*, which holds its key, too."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(certificate, theirs), daemon=True)
    process.start()
    try:
        yield Server(ours, ours.recv())
    finally:
        ours.send(False)
        process.join()
