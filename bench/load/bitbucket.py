"""Bitbucket Servers for many people: canned answers over TLS, as for the bench, and a record of every exchange.

A verifier says who allowed the login, so that nobody has to open Bitbucket's pages: ``V17`` is person 17.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import re
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import trustme

from bench.login.server import FORM, JSON, PERSON, Conversation

_TOKEN = re.compile(r'oauth_token="([^"]*)"')
_VERIFIER = re.compile(r'oauth_verifier="V([0-9]+)"')
_OWNER = re.compile(r'oauth_token="A([0-9]+)x')
_SECONDS_UNTIL_HELD = 120


def verifier(person: int) -> str:
    """Return the verifier that Bitbucket would hand to *person* after Allow is pressed."""
    return f"V{person}"


@dataclass
class _Books:
    """State that the servers share: numbers of tokens, exchanges by request token, and answers held back."""

    counted: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    exchanges: Counter[str] = field(default_factory=Counter)
    is_stalled: bool = False
    held: list[tuple[Any, bytes]] = field(default_factory=list)
    held_enough: tuple[int, Callable[[], None]] | None = None

    def hold(self, transport: Any, answer: bytes) -> None:
        """Keep *answer* back until :meth:`resume`."""
        self.held.append((transport, answer))
        self.tell()

    def tell(self) -> None:
        """Call the function of :attr:`held_enough` as soon as that many answers are held."""
        if self.held_enough is not None and len(self.held) >= self.held_enough[0]:
            _, call = self.held_enough
            self.held_enough = None
            call()

    def resume(self) -> None:
        """Answer what was asked meanwhile."""
        self.is_stalled = False
        for transport, answer in self.held:
            transport.write(answer)
        self.held.clear()


class _Conversation(Conversation):
    def __init__(self, books: _Books) -> None:
        super().__init__(books.counted, books.numbers)
        self._books = books

    def write(self, answer: bytes) -> None:
        if self._books.is_stalled:
            self._books.hold(self._transport, answer)
        else:
            super().write(answer)

    def content(self, target: str, request: str) -> tuple[str, str, str]:
        if target.endswith("/access-token"):
            token, person = _TOKEN.search(request), _VERIFIER.search(request)
            assert token, "an exchange has a request token"
            assert person, "an exchange has a verifier"
            self._books.exchanges[token[1]] += 1
            access_token = f"A{person[1]}x{next(self._numbers)}"
            return FORM, "", f"oauth_token={access_token}&oauth_token_secret=s&oauth_expires_in=157680000"
        if target.endswith("/request-token"):
            return super().content(target, request)
        owner = _OWNER.search(request)
        assert owner, "every other request is made for somebody"
        if target.endswith("/application-properties"):
            return JSON, f"X-AUSERNAME: person{owner[1]}\r\n", '{"version":"8.19.0","displayName":"Bitbucket"}'
        name = f"person{owner[1]}"
        return JSON, "", json.dumps(PERSON | {"id": int(owner[1]), "name": name, "slug": name, "displayName": name})


async def _serve(certificate: str, amount: int, pipe: Connection) -> None:
    books = _Books()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: _Conversation(books), "127.0.0.1", 0, ssl=context, backlog=256)
        for _ in range(amount)
    ]
    pipe.send([server.sockets[0].getsockname()[1] for server in servers])
    while (wanted := await loop.run_in_executor(None, pipe.recv)) != "end":
        if wanted == "exchanges":
            pipe.send(dict(books.exchanges))
        elif wanted == "stall":
            books.is_stalled = True
        elif wanted == "resume":
            books.resume()
        elif isinstance(wanted, int):
            books.held_enough = (wanted, lambda: pipe.send("held"))
            books.tell()


def _run(certificate: str, amount: int, pipe: Connection) -> None:
    asyncio.run(_serve(certificate, amount, pipe))


class Servers:
    """The servers, each on one of the *ports* of this machine; the file *ca* verifies their certificate."""

    def __init__(self, pipe: Connection, ports: Sequence[int], ca: str) -> None:
        self._pipe, self.ports, self.ca = pipe, ports, ca

    def exchanges(self) -> dict[str, int]:
        """Return how often each request token was exchanged."""
        self._pipe.send("exchanges")
        found: dict[str, int] = self._pipe.recv()
        return found

    def stall(self) -> None:
        """Answer nothing until :meth:`resume`."""
        self._pipe.send("stall")

    def wait_until_held(self, amount: int) -> None:
        """Wait until :meth:`stall` holds *amount* answers back. Raise TimeoutError after two minutes."""
        self._pipe.send(amount)
        if not self._pipe.poll(_SECONDS_UNTIL_HELD):
            raise TimeoutError
        self._pipe.recv()

    def resume(self) -> None:
        """Answer again, also what was asked meanwhile."""
        self._pipe.send("resume")


@contextmanager
def running(folder: Any, amount: int = 1) -> Iterator[Servers]:
    """Run *amount* servers in a process of their own, with their certificates in *folder*."""
    authority = trustme.CA()
    certificate, ca = folder / "bitbucket.pem", folder / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    authority.cert_pem.write_to_path(str(ca))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(str(certificate), amount, theirs), daemon=True)
    process.start()
    try:
        yield Servers(ours, ours.recv(), str(ca))
    finally:
        ours.send("end")
        process.join()
