"""A PostgreSQL server for tests: it lives in a temporary folder and listens on a socket file there."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg


def programs() -> Path | None:
    """The folder with PostgreSQL's programs, ``initdb`` among them, if there is one."""
    found = shutil.which("initdb") or shutil.which("pg_ctl")
    of_debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))  # which puts neither on the path
    return Path(found or of_debian[-1]).resolve().parent if found or of_debian else None


class PostgreSQL:
    """Starts with the first ``with`` and is gone after it."""

    def __init__(self, folder_of_programs: Path) -> None:
        self._programs = folder_of_programs
        # The path of a socket file may have no more than about 100 characters: pytest's own folders are too deep.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None

    def __enter__(self) -> Self:
        if self._user:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "--wait", "--timeout=300", "--mode=immediate", "stop")
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start it, also again after :meth:`stop`."""
        options = f"--options=-F -c listen_addresses='' -k {self._folder}"
        self._run("pg_ctl", "--wait", "--timeout=300", options, "start")

    def stop(self) -> None:
        """Shut it down as its service does: every connection is ended, and what was committed stays."""
        self._run("pg_ctl", "--wait", "--timeout=300", "--mode=fast", "stop")

    def new_database(self, template: str = "template1") -> str:
        """Return the address of a database that is empty, or a copy of *template*, the name of another one."""
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(f"host={self._folder} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql://postgres@/{name}?host={quote(str(self._folder), safe='')}"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, f"--pgdata={self._folder / 'data'}", *arguments],
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
