"""One worker process of each kind that serves the application."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

THREADS = 16
_APP = "bench.waiting.application"
_SECONDS_TO_START = 60


def _gunicorn(port: int, *options: str) -> Sequence[str]:
    return (
        *(sys.executable, "-m", "gunicorn", "--workers=1", f"--bind=127.0.0.1:{port}", "--log-level=warning"),
        *options,
        f"{_APP}:create_app()",
    )


def _gthread(port: int) -> Sequence[str]:
    return _gunicorn(port, "--worker-class=gthread", f"--threads={THREADS}")


def _gevent(port: int) -> Sequence[str]:
    return _gunicorn(port, "--worker-class=gevent")


def _uwsgi(port: int) -> Sequence[str]:
    return (
        *(_uwsgi_program(), "--master", "--need-app", "--disable-logging", "--listen=100"),
        *("--processes=1", f"--threads={THREADS}", "--die-on-term"),
        *(f"--http-socket=127.0.0.1:{port}", f"--module={_APP}:create_app()"),
    )


def _uwsgi_program() -> str:
    """Return uWSGI's program: beside this Python, or in the path."""
    beside = Path(sys.executable).parent / "uwsgi"
    return str(beside) if beside.exists() else shutil.which("uwsgi") or ""


KINDS = {"gthread": _gthread, "gevent": _gevent, "uWSGI": _uwsgi}


def missing(kind: str) -> str:
    """Return the package that *kind* needs and this Python lacks, or nothing."""
    if kind == "uWSGI":
        return "" if _uwsgi_program() else "pyuwsgi"
    package = {"gthread": "gunicorn", "gevent": "gevent"}[kind]
    return "" if importlib.util.find_spec(package) else package


@contextmanager
def serving(kind: str, folder: Path, bitbucket: str) -> Iterator[int]:
    """Start a worker of this *kind*, with its database in *folder*; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
    environment = {**os.environ, "FOLDER": str(folder), "BITBUCKET": bitbucket}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(KINDS[kind](port), env=environment, stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder / "log")
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"The application did not start:\n{log.read_text()}")
