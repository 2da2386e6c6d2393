"""Files that the demo keeps between two runs, which only their owner can read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from social_bitbucket_server.crypto import KeyRing


class Kept:
    """The files in *folder*, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def file(self, name: str) -> Path:
        """Return the path of the file *name*, which nobody else can read from the beginning."""
        path = self._folder / name
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        return path

    def text(self, name: str, make: Callable[[], str] = secrets.token_urlsafe) -> str:
        """Return the text of the file *name*. The first time, it is what *make* returns."""
        path = self.file(name)
        text = path.read_text().strip()
        if not text:
            text = make()
            path.write_text(text + "\n")
        return text

    def key_ring(self) -> str:
        """Return the key ring, with which private keys are sealed in the database."""
        return self.text("key_ring", KeyRing.generate)
