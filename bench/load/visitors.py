"""Many people at once who log in: pages are asked for over kept connections, and nothing is read that is not needed."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

from .bitbucket import verifier

_CSRF = re.compile(rb'name="csrf_token" value="([^"]+)"')
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")
_COOKIE = re.compile(rb"(?i)\r\nset-cookie: *([^;]+)")
_LOCATION = re.compile(rb"(?i)\r\nlocation: *([^\r]+)")
_SECONDS_FOR_A_LOGIN = 120
_SECONDS_FOR_AN_ANSWER = 120
_SECONDS_UNTIL_NEXT_TRY = 0.2


class LoginFailed(Exception):
    """The answer was not the one that a login has here; the text says where."""


@dataclass(frozen=True)
class Door:
    """An organization's integration, as somebody who logs in knows it."""

    slug: str
    integration: str
    namespace: str


@dataclass(frozen=True)
class Login:
    """One that succeeded: who it was, where, the session's cookie, how long it took in *seconds* from its first request
    (the last try's, where there were *retries*), and what had kept the tries before from succeeding."""

    person: int
    door: Door
    cookie: str
    seconds: float
    failures: tuple[str, ...] = ()

    @property
    def retries(self) -> int:
        """Number of times that the login was begun anew."""
        return len(self.failures)


@dataclass(frozen=True)
class Application:
    """Address of the application, which listens on *port* of this machine, and the *host* that it answers for."""

    port: int
    host: str
    tls: ssl.SSLContext | None = None


class _Connection:
    """One browser: a connection, and a cookie."""

    def __init__(self, application: Application, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._port = application.port
        self._host = application.host.encode()
        self._reader, self._writer = streams
        self.cookie = b""

    async def ask(self, method: bytes, target: bytes, form: bytes = b"") -> tuple[int, bytes, bytes]:
        """Return status, head and body of the answer.

        Raise TimeoutError if there is none: a socket that outlives its application takes requests without end.
        """
        try:
            async with asyncio.timeout(_SECONDS_FOR_AN_ANSWER):
                return await self._ask(method, target, form)
        except TimeoutError:
            raise TimeoutError(
                f"Port {self._port} did not answer {method.decode()} {target.decode()} "
                f"within {_SECONDS_FOR_AN_ANSWER} seconds."
            ) from None

    async def _ask(self, method: bytes, target: bytes, form: bytes) -> tuple[int, bytes, bytes]:
        head = b"%s %s HTTP/1.1\r\nHost: %s\r\n" % (method, target, self._host)
        if self.cookie:
            head += b"Cookie: %s\r\n" % self.cookie
        if form:
            head += b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n" % len(form)
        self._writer.write(head + b"\r\n" + form)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(answer)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        cookie = _COOKIE.search(answer)
        if cookie:
            self.cookie = cookie[1]
        return int(answer[9:12]), answer, body

    async def __aenter__(self) -> _Connection:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def begin(browser: _Connection, door: Door) -> str:
    """Open the login link and press the button; returns the address at Bitbucket that one is sent to."""
    page = f"/o/{door.slug}/login"
    status, _, body = await browser.ask(b"GET", page.encode())
    csrf = _CSRF.search(body)
    if csrf is None:
        raise LoginFailed(f"page {status}")
    form = urlencode({"csrf_token": csrf[1].decode()}).encode()
    status, head, _ = await browser.ask(b"POST", f"{page}/{door.integration}/begin".encode(), form)
    location = _LOCATION.search(head)
    if status != 303 or location is None:
        raise LoginFailed(f"begin {status}")
    return location[1].decode()


async def come_back(browser: _Connection, door: Door, begun: str, person: int) -> str:
    """Return as *person* from the address that :func:`begin` returned; returns the session's cookie."""
    (token,) = parse_qs(urlsplit(begun).query)["oauth_token"]
    query = urlencode({"oauth_token": token, "oauth_verifier": verifier(person)})
    before = browser.cookie
    status, _, _ = await browser.ask(b"GET", f"/complete/bitbucket-server/{door.integration}/?{query}".encode())
    if status != 303 or browser.cookie == before:
        raise LoginFailed(f"callback {status}")
    return browser.cookie.partition(b"=")[2].decode()


async def open_browser(application: Application) -> _Connection:
    """Open a browser that is new to the application. It is closed as a context."""
    return _Connection(application, await asyncio.open_connection("127.0.0.1", application.port, ssl=application.tls))


async def log_in(application: Application, door: Door, person: int) -> Login:
    """Log in once, from the first page to the last. Raises LoginFailed, OSError, EOFError and TimeoutError."""
    began = time.perf_counter()
    async with asyncio.timeout(_SECONDS_FOR_A_LOGIN):
        async with await open_browser(application) as browser:
            cookie = await come_back(browser, door, await begin(browser, door), person)
    return Login(person, door, cookie, time.perf_counter() - began)


async def log_in_until_it_works(
    application: Application, door: Door, person: int, tries: int
) -> Login | tuple[str, ...]:
    """Begin a login anew until it succeeds, as a person would. Return its failures if it never did."""
    failures: list[str] = []
    while len(failures) < tries:
        try:
            done = await log_in(application, door, person)
        except LoginFailed as error:
            failures.append(str(error))
        except (OSError, EOFError, TimeoutError) as error:
            failures.append(type(error).__name__)
        else:
            return Login(person, door, done.cookie, done.seconds, tuple(failures))
        await asyncio.sleep(_SECONDS_UNTIL_NEXT_TRY)
    return tuple(failures)


@dataclass(frozen=True)
class Crowd:
    """Result of many logins: those that succeeded, the failures of those that did not, the elapsed *seconds*, and the
    *share* of one processor that sending them took."""

    logins: Sequence[Login]
    failed: Sequence[tuple[str, ...]]
    seconds: float
    share: float


async def crowd(
    application: Application,
    who: Iterable[tuple[Door, int]],
    *,
    concurrency: int,
    seconds: float | None = None,
    tries: int = 1,
    tried: Callable[[int], None] = lambda _number: None,
) -> Crowd:
    """Let everybody in *who* log in, *concurrency* of them at the same time, and stop beginning after *seconds*.

    *tried* is called with the number of logins that are over.
    """
    waiting = iter(who)
    logins: list[Login] = []
    failed: list[tuple[str, ...]] = []
    began, processor = time.perf_counter(), time.process_time()

    async def one_after_another() -> None:
        for door, person in waiting:
            found = await log_in_until_it_works(application, door, person, tries)
            if isinstance(found, Login):
                logins.append(found)
            else:
                failed.append(found)
            tried(len(logins) + len(failed))
            if seconds is not None and time.perf_counter() - began > seconds:
                return

    await asyncio.gather(*(one_after_another() for _ in range(concurrency)))
    elapsed = time.perf_counter() - began
    return Crowd(logins, failed, elapsed, (time.process_time() - processor) / elapsed)
