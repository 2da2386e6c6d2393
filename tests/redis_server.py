"""A Redis or Valkey for tests: it keeps nothing, and listens on this machine alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from .ports import free_port


def program() -> str | None:
    """Its server, if there is one."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


@contextmanager
def running() -> Iterator[str]:
    """The address of one that was started."""
    found = program()
    assert found is not None
    port = free_port()
    command = [found, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 2400)
        with redis.Redis(port=port, retry=retry, retry_on_error=[redis.ConnectionError]) as client:
            client.ping()
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()
