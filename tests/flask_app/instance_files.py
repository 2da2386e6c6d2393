"""Secrets that the first run makes and every later run reads: small files that only their owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class UnsafeSettingError(RuntimeError):
    """The application refuses to start; the message is one sentence for its operator."""


class InstanceFolder:
    """The folder for what this installation keeps to itself, made with mode 0700 where it does not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read(self, name: str) -> str | None:
        """The text of the file *name*, or None where there is none. Raises UnsafeSettingError if others can read it."""
        path = self.path / name
        try:
            refuse_if_others_can_read(path)
            return path.read_text().strip()
        except FileNotFoundError:
            return None

    def read_or_make(self, name: str, make: Callable[[], str]) -> str:
        """The text of the file *name*; the first caller of all writes what *make* returns."""
        kept = self.read(name)
        if kept is not None:
            return kept
        path, draft = self.path / name, self.path / f".{name}.{secrets.token_hex(8)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make() + "\n")
        with suppress(FileExistsError):  # another process was faster
            os.link(draft, path)
        draft.unlink()
        return path.read_text().strip()


def make_private_file(path: Path) -> None:
    """Make an empty file with mode 0600 where there is none. Raises UnsafeSettingError if others can read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    refuse_if_others_can_read(path)


def refuse_if_others_can_read(path: Path) -> None:
    """Raises UnsafeSettingError if anybody but the owner of the file *path* may read or write it."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnsafeSettingError(f"Others can read {path}. Take their rights away: chmod 600 {path}")
