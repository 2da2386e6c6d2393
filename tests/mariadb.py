"""A MariaDB server for tests: it lives in a temporary folder and listens on a socket file there."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

COMPARES_WITHOUT_CASE = "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"


def programs() -> tuple[str, str] | None:
    """The programs that make the files of a server and that serve them, if they are there."""
    found = shutil.which("mariadb-install-db"), shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    return (found[0], found[1]) if found[0] and found[1] else None


class MariaDB:
    """Starts with ``with`` and is gone after it."""

    def __init__(self, install: str, serve: str) -> None:
        self._install, self._serve = install, serve
        # The path of a socket file may have no more than about 100 characters: pytest's own folders are too deep.
        self._folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
        self.socket = str(self._folder / "socket")

    def __enter__(self) -> Self:
        as_user = []
        if os.geteuid() == 0:  # MariaDB refuses to run as root
            as_user = ["--user=nobody"]
            shutil.chown(self._folder, "nobody")
        files = ["--no-defaults", *as_user, f"--datadir={self._folder / 'data'}"]
        made = [self._install, *files, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made, check=True, capture_output=True)
        without_waiting_for_the_disk = ("--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite")
        listening = (f"--socket={self.socket}", "--skip-networking", f"--pid-file={self._folder / 'pid'}")
        served = [self._serve, *files, *listening, *without_waiting_for_the_disk]
        self._process = subprocess.Popen(served, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        said = iter(self._process.stderr.readline, "")
        assert any("ready for connections" in line for line in said), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self._folder)

    def new_database(self) -> str:
        """Make an empty database that compares without case, as MariaDB does by default; returns its name."""
        import pymysql

        name = f"test_{secrets.token_hex(6)}"
        with pymysql.connect(unix_socket=self.socket, user="root") as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} {COMPARES_WITHOUT_CASE}")
        return name

    def address_of(self, database: str) -> str:
        """Return SQLAlchemy's address of a database."""
        return f"mariadb+pymysql://root@/{database}?unix_socket={self.socket}&charset=utf8mb4"
