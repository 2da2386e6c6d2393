"""A server that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Received:
    """One request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    connection: tuple[str, int]
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    @property
    def oauth(self) -> dict[str, str]:
        """The parameters of the Authorization header, decoded."""
        header = self.headers.get("Authorization", "").removeprefix("OAuth ")
        pairs = (part.strip().partition("=") for part in header.split(",") if part.strip())
        return {name: unquote(value.strip('"')) for name, _, value in pairs}


@dataclass(frozen=True)
class Reply:
    """Answer that the server gives to a request."""

    body: bytes | str = b""
    status: int = 200
    headers: Iterable[tuple[str, str]] = (("Content-Type", "text/plain"),)


Script = Callable[[Received], Reply] | Reply


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # the default, 5, is few for a thread that a busy machine lets wait

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that hang up; that is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@dataclass
class ScriptedServer:
    """Answers the script registered for a path; 404 for other paths. Use it as a context manager."""

    scripts: dict[str, Script] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> ScriptedServer:
        self._server = _Server(("127.0.0.1", 0), handler_for(lambda: self))
        self._server.daemon_threads = True
        self._secure()
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _secure(self) -> None:
        """For those that speak TLS: wrap the socket, before anybody waits for it."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def script_for(self, received: Received) -> Script:
        return self.scripts.get(received.path, Reply("not here", 404))

    def paths(self) -> list[str]:
        return [request.path for request in self.received]


def handler_for(current: Callable[[], ScriptedServer]) -> type[BaseHTTPRequestHandler]:
    """Return a handler that answers each request as the scripted server that is *current* then."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every body comes 40 ms after its headers

        def answer(self) -> None:
            scripted = current()
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            received = Received(self.command, self.path, dict(self.headers.items()), self.client_address, body)
            scripted.received.append(received)
            script = scripted.script_for(received)
            reply = script if isinstance(script, Reply) else script(received)
            body = reply.body.encode() if isinstance(reply.body, str) else reply.body
            self.send_response_only(reply.status)
            if "Date" not in dict(reply.headers):
                self.send_header("Date", self.date_time_string())
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if reply.status not in {204, 304}:
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  # the base class calls these

        def log_message(self, *_: object) -> None:
            pass

    return Handler
