"""The tests' application under gunicorn, as `docs/deployment/` configures it, in processes of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .visitors import Application

ROOT = Path(__file__).parents[2]
OURS = "tests.flask_app:create_app()"
OBVIOUS = "bench.load.obvious:create_app()"
_SECONDS_TO_START = 300


@dataclass(frozen=True)
class Gunicorn:
    """gunicorn's first process *master*, and the *application* it serves."""

    master: int
    application: Application

    def workers(self) -> list[int]:
        """Return the processes that serve."""
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text()
        return [int(child) for child in children.split()]

    def kill_one(self, number: int) -> None:
        """End the worker that is *number*-th, in turn, as a machine without memory would."""
        workers = self.workers()
        if workers:
            os.kill(workers[number % len(workers)], signal.SIGKILL)

    def memory(self) -> list[int]:
        """Return the resident memory of each worker, in bytes."""
        return [_resident(worker) for worker in self.workers()]


def _resident(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def settings(folder: Path, database_url: str, ca: str, origin: str) -> dict[str, str]:
    """Return settings for servers on this machine, without limits for logins from one address."""
    return {
        "PUBLIC_BASE_URL": origin,
        "INSTANCE_PATH": str(folder / "instance"),
        "DATABASE_URL": database_url,
        "OUTBOUND_MODE": "test",
        "CA_BUNDLE": ca,
        "LOGINS_PER_MINUTE": "999999",
    }


def environment(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return this process's variables with the *chosen* ones, and without those that would change what is trusted."""
    inherited = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    return {**inherited, "PYTHONUNBUFFERED": "1", **chosen}


_MISLEADING = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GUNICORN_CMD_ARGS", "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def serving(
    listener: socket.socket, chosen: Mapping[str, str], log: Path, *, app: str = OURS, release: Path = ROOT
) -> Iterator[Gunicorn]:
    """Run gunicorn on the socket *listener*, which it gets as from systemd. *log* is the file that it writes to, and
    *release* is the folder that the application's code is in."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["bash", "-c", f'LISTEN_PID=$$ exec "$@" 3<&{listener.fileno()}', "bash", *_command(app)],
            env={**environment(chosen), "LISTEN_FDS": "1"},
            cwd=release,
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_ready(listener, process, log)
        host = chosen["PUBLIC_BASE_URL"].partition("://")[2]
        yield Gunicorn(process.pid, Application(listener.getsockname()[1], host))
    finally:
        process.terminate()
        process.wait()


def _command(app: str) -> Sequence[str]:
    return [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "docs" / "deployment" / "gunicorn.conf.py"), app]


def _wait_until_ready(listener: socket.socket, process: subprocess.Popen[bytes], log: Path) -> None:
    """Connect to the socket, which accepts from the beginning, and wait until a worker answers."""
    deadline = time.monotonic() + _SECONDS_TO_START
    with socket.create_connection(listener.getsockname(), timeout=_SECONDS_TO_START) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        connection.settimeout(1)
        while time.monotonic() < deadline:
            try:
                if connection.recv(1):
                    return
            except TimeoutError:
                pass
            if process.poll() is not None:
                break
    raise RuntimeError(f"gunicorn did not start:\n{log.read_text()}")
