"""Environment of all measurements: a folder, a PostgreSQL, Bitbucket Servers, and keys."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from social_bitbucket_server.crypto import PrivateKey
from tests.flask_app import create_app
from tests.postgresql import PostgreSQL, programs

from . import application, bitbucket, organizations
from .visitors import Application, Door

WORKERS = 2
SERVERS = 10
_ALL_SERVERS = 300


@dataclass(frozen=True)
class Served:
    """The application while it is served by *gunicorn*: the same one in this process as *app*, to look into its
    database, and the *doors* of its organizations."""

    gunicorn: application.Gunicorn
    app: Flask
    doors: Sequence[Door]

    @property
    def application(self) -> Application:
        """Address where the application listens."""
        return self.gunicorn.application


@dataclass(frozen=True)
class Place:
    """Environment that all measurements share."""

    folder: Path
    postgresql: PostgreSQL
    servers: bitbucket.Servers
    keys: Sequence[PrivateKey]

    @property
    def ports(self) -> Sequence[int]:
        """Of ten servers."""
        return self.servers.ports[:SERVERS]

    @property
    def all_ports(self) -> Sequence[int]:
        """Of so many servers that nobody keeps connections to all of them."""
        return self.servers.ports

    @property
    def log(self) -> Path:
        """Path of gunicorn's log."""
        return self.folder / "gunicorn.log"

    @contextmanager
    def serving(
        self, app: str = application.OURS, ports: Sequence[int] | None = None, workers: int = WORKERS
    ) -> Iterator[Served]:
        """Serve *app* with a new database, and an organization for each of the *ports*; by default, for each of ten."""
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
            chosen = self.settings(self.postgresql.new_database(), listener.getsockname()[1])
            with self.application(chosen) as ready:
                doors = organizations.add(ready, ports or self.ports, self.keys)
                variables = {**chosen, "WEB_CONCURRENCY": str(workers)}
                with application.serving(listener, variables, self.log, app=app) as gunicorn:
                    yield Served(gunicorn, ready, doors)

    def settings(self, database_url: str, port: int = 8000) -> dict[str, str]:
        """Return settings for the application at *port* of this machine."""
        return application.settings(self.folder, database_url, self.servers.ca, f"http://127.0.0.1:{port}")

    @contextmanager
    def application(self, chosen: dict[str, str]) -> Iterator[Flask]:
        """Return the application in this process."""
        app = create_app(chosen)
        try:
            yield app
        finally:
            app.extensions["engine"].dispose()


@contextmanager
def place(keys: int = 2) -> Iterator[Place]:
    """Start everything, with so many *keys*."""
    folder_of_programs = programs()
    if folder_of_programs is None:
        raise RuntimeError("PostgreSQL is not installed.")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgresql = stack.enter_context(PostgreSQL(folder_of_programs))
        servers = stack.enter_context(bitbucket.running(folder, _ALL_SERVERS))
        yield Place(folder, postgresql, servers, [PrivateKey.generate(2048) for _ in range(keys)])
