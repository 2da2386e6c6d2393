"""Something that looks like the application to those who log in and does nothing: what the sender can do at most."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from .visitors import Application

_PAGE = b'<input type="hidden" name="csrf_token" value="x">' + b" " * 3000
_numbers = itertools.count()


class _Conversation(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # a server's

    def data_received(self, data: bytes) -> None:
        cookie = b"Set-Cookie: session=%d; Path=/\r\n" % next(_numbers)
        if data.startswith(b"POST"):
            head = b"HTTP/1.1 303 S\r\nLocation: https://b/?oauth_token=R1\r\nContent-Length: 0\r\n"
        elif data.startswith(b"GET /complete"):
            head = b"HTTP/1.1 303 S\r\nLocation: /\r\nContent-Length: 0\r\n"
        else:
            head = b"HTTP/1.1 200 O\r\nContent-Length: %d\r\n" % len(_PAGE)
        self._transport.write(head + cookie + b"\r\n" + (_PAGE if b"200" in head else b""))


async def _serve(pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Conversation, "127.0.0.1", 0, backlog=256)
    pipe.send(server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, pipe.recv)


def _run(pipe: Connection) -> None:
    asyncio.run(_serve(pipe))


@contextmanager
def stand_in() -> Iterator[Application]:
    """Run the stand-in in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs,), daemon=True)
    process.start()
    try:
        yield Application(ours.recv(), "localhost")
    finally:
        ours.send("end")
        process.join()
