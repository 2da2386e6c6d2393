"""Two nodes as `docs/deployment/` sets them up: gunicorn on a socket that outlives it, nginx in front, one PostgreSQL,
and one Redis or Valkey that counts for both."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from flask import Flask

from social_bitbucket_server.crypto import KeyRing
from tests import redis_server
from tests.ports import free_port

from . import application, organizations
from .place import Place
from .throughput import everybody, figures
from .visitors import Application, Crowd, Door, crowd

NODES = 2
_SECONDS_TO_UPGRADE = 300
_DEPLOY = application.ROOT / "docs" / "deployment"
_MAIN = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/my-application.conf;
}}
"""


_MIGRATION = """\
from sqlalchemy import text

from tests.flask_app import create_app

with create_app().extensions["engine"].begin() as connection:
    connection.execute(text("ALTER TABLE users ADD COLUMN IF NOT EXISTS one_more TEXT"))
"""
_MIGRATION_FILE = "migrate.py"


def nginx() -> str | None:
    """Return the program, if there is one. It is often outside of people's PATH."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass
class Node:
    """One machine: its socket, which systemd would hold, and the application behind it, in whatever *release*: a folder
    with the application's code, and with a migration if it has one."""

    listener: socket.socket
    variables: Mapping[str, str]
    log: Path
    release: Path = application.ROOT
    _running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def address(self) -> str:
        """Host and port."""
        return "{}:{}".format(*self.listener.getsockname())

    def application(self, host: str) -> Application:
        """Return the node's address without nginx, for requests that claim to come through it."""
        return Application(self.listener.getsockname()[1], host)

    def start(self) -> None:
        """Start gunicorn on tables that are up to date, and return when it answers."""
        serving = application.serving(self.listener, self.variables, self.log, release=self.release)
        self._running.enter_context(serving)

    def stop(self) -> None:
        """Stop gunicorn. Requests under way finish, and new ones wait at the socket."""
        self._running.close()

    def renew(self, release: Path) -> None:
        """Restart with the code in *release*, as the unit does: first bring the tables up to date."""
        self.stop()
        self.release = release
        if (release / _MIGRATION_FILE).exists():
            with self.log.open("ab") as log:
                subprocess.run(
                    [sys.executable, _MIGRATION_FILE],
                    env=application.environment(self.variables),
                    cwd=release,
                    stdout=log,
                    stderr=log,
                    check=True,
                    timeout=_SECONDS_TO_UPGRADE,
                )
        self.start()


@dataclass(frozen=True)
class Cluster:
    """The *nodes*, what they look like through nginx, the same application in this process, to look into the database,
    and the *doors* of its organizations."""

    nodes: Sequence[Node]
    application: Application
    app: Flask
    doors: Sequence[Door]
    access_log: Path
    ca: Path

    @property
    def origin(self) -> str:
        """Origin that browsers see."""
        return f"https://{self.application.host}"


def next_release(folder: Path) -> Path:
    """Copy the application to *folder*, with a migration. It adds, as all do while the release before still runs on
    other nodes."""
    for package in ("social_bitbucket_server", "tests/flask_app"):
        shutil.copytree(application.ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(application.ROOT / "tests" / "__init__.py", folder / "tests")
    (folder / _MIGRATION_FILE).write_text(_MIGRATION)
    return folder


@contextmanager
def cluster(place: Place) -> Iterator[Cluster]:
    """Start everything."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512)) for _ in range(NODES)]
        port = free_port()
        folder = place.folder / "nginx"
        folder.mkdir()
        shared = {
            **application.settings(
                folder, place.postgresql.new_database(), place.servers.ca, f"https://127.0.0.1:{port}"
            ),
            "SECRET_KEY": secrets.token_hex(32),
            "KEY_RING": KeyRing.generate(),
            "RATE_LIMIT_STORAGE": stack.enter_context(redis_server.running()),
            "TRUSTED_PROXY_HOPS": "1",
            "WEB_CONCURRENCY": "1",
        }
        app = stack.enter_context(place.application(shared))
        doors = organizations.add(app, place.ports, place.keys)
        nodes = []
        for number, listener in enumerate(listeners, 1):
            own = {**shared, "INSTANCE_PATH": str(folder / f"node-{number}")}
            nodes.append(Node(listener, own, folder / f"node-{number}.log"))
        stack.callback(_at_once, Node.stop, nodes)
        _at_once(Node.start, nodes)
        _configure(folder, port, [node.address for node in nodes])
        stack.enter_context(_nginx(folder, port))
        through = Application(port, f"127.0.0.1:{port}", ssl.create_default_context(cafile=str(folder / "ca.pem")))
        yield Cluster(nodes, through, app, doors, folder / "access.log", folder / "ca.pem")


def _at_once(act: Callable[[Node], None], nodes: Sequence[Node]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(act, nodes))


def _configure(folder: Path, port: int, nodes: Sequence[str]) -> None:
    """Fill in `docs/deployment/nginx.conf` as an operator does."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(folder / "privkey.pem"))
    (folder / "fullchain.pem").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    text = (_DEPLOY / "nginx.conf").read_text()
    for given, filled_in in (
        ("10.0.0.11:8000", nodes[0]),
        ("10.0.0.12:8000", nodes[1]),
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        ("app.example.com", "127.0.0.1"),
        ("/etc/ssl/my-application", str(folder)),
        ("/var/log/nginx/my-application.access.log", str(folder / "access.log")),
        ("/var/log/nginx/my-application.error.log", str(folder / "error.log")),
    ):
        assert given in text, given
        text = text.replace(given, filled_in)
    (folder / "my-application.conf").write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user))


def renew(cluster: Cluster, release: Path) -> None:
    """Put *release* on one node after the other, while the others serve."""
    for node in cluster.nodes:
        node.renew(release)


async def log_in_during(renewal: asyncio.Future[None], cluster: Cluster, *, concurrency: int) -> Crowd:
    """Let people log in until *renewal* is done. Return what became of them."""
    who = itertools.takewhile(lambda _: not renewal.done(), everybody(cluster.doors))
    found = await crowd(cluster.application, who, concurrency=concurrency)
    await renewal
    return found


def measure(place: Place) -> dict[str, Any]:
    """Measure logins while both nodes get a release with a migration. Needs nginx, and Redis or Valkey."""
    if nginx() is None or redis_server.program() is None:
        raise RuntimeError("nginx, and Redis or Valkey, are not installed.")
    with cluster(place) as found, tempfile.TemporaryDirectory() as folder:
        return figures(asyncio.run(_log_in_while_renewed(found, next_release(Path(folder)))))


async def _log_in_while_renewed(cluster: Cluster, release: Path) -> Crowd:
    renewal = asyncio.ensure_future(asyncio.to_thread(renew, cluster, release))
    return await log_in_during(renewal, cluster, concurrency=16)


@contextmanager
def _nginx(folder: Path, port: int) -> Iterator[None]:
    program = nginx()
    assert program is not None
    command = [program, "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    subprocess.run([*command, "-t", "-q"], check=True)
    with (folder / "error.log").open("ab") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        _wait_until_listening(port, process, folder / "error.log")
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    ended = False
    while not ended:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            ended = process.wait(0.02) is not None
    raise RuntimeError(f"nginx did not start:\n{log.read_text()}")
