"""Bitbucket Servers that answer late, never, or without end: one process, and a context path for each of them.

A verifier says who allowed the login, so that nobody has to open Bitbucket's pages: ``V17`` is person 17.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Manner:
    """Manner of answers: after *delay* seconds, or never; with a user search that has an *endless* list of pages."""

    delay: float | None = 0.0
    endless: bool = False


MANNERS = {
    "fast": Manner(),
    "400ms": Manner(0.4),
    "900ms": Manner(0.9),
    "9900ms": Manner(9.9),
    "hangs": Manner(None),
    "endless": Manner(endless=True),
    "endless-400ms": Manner(0.4, endless=True),
}
"""By the context path."""

_numbers = itertools.count()
_HEAD = "HTTP/1.1 {status} S\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}\r\n"
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"


def _answer(target: str, authorization: str, manner: Manner) -> tuple[int, str, str, str]:
    """Return status, content type, further headers and body."""
    owner = re.search(r'oauth_token="A([0-9]+)x', authorization)
    name = f"person{owner[1]}" if owner else ""
    if target.endswith("/request-token"):
        body = f"oauth_token=R{next(_numbers)}&oauth_token_secret=s&oauth_callback_confirmed=true"
        return 200, _FORM, "", body
    if target.endswith("/access-token"):
        person = re.search(r'oauth_verifier="V([0-9]+)"', authorization)
        assert person, "an exchange has a verifier"
        return 200, _FORM, "", f"oauth_token=A{person[1]}x{next(_numbers)}&oauth_token_secret=s"
    if target.endswith("/application-properties"):
        return 200, _JSON, f"X-AUSERNAME: {name}\r\n", '{"version":"8.19.0","displayName":"Bitbucket"}'
    if manner.endless and "/users?" in target:
        start = int(re.search(r"start=([0-9]+)", target)[1])  # type: ignore[index]  # each page has one
        return 200, _JSON, "", json.dumps({"values": [], "isLastPage": False, "nextPageStart": start + 25})
    if manner.endless:
        return 404, _JSON, "", '{"errors":[{"message":"no such user"}]}'
    number = int(owner[1]) if owner else 0
    record = {"id": number, "name": name, "slug": name, "displayName": name, "active": True, "type": "NORMAL"}
    return 200, _JSON, "", json.dumps(record)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            target = request.split(" ", 2)[1]
            manner = MANNERS[target.split("/")[1]]
            await asyncio.sleep(3600 if manner.delay is None else manner.delay)
            status, kind, more, body = _answer(target, request, manner)
            head = _HEAD.format(status=status, kind=kind, length=len(body), more=more)
            writer.write((head + body).encode())
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _run() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def running() -> Iterator[str]:
    """Start the servers; yields the address that the context paths are below."""
    with subprocess.Popen([sys.executable, "-m", __spec__.name], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_run())
