"""Copies of the tracked files, in which code is broken and tests are run. The working tree is never touched."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .mutant import Mutant


@dataclass(frozen=True, slots=True)
class Source:
    """A commit of the repository at *folder*: its full name is *commit*."""

    folder: Path
    commit: str

    @classmethod
    def of(cls, folder: Path, revision: str) -> Source:
        """Return the commit that *revision* names in the repository at *folder*. Uncommitted changes are left out."""
        commit = _git(folder, "rev-parse", "--verify", f"{revision}^{{commit}}").decode().strip()
        return cls(folder, commit)

    def copy_to(self, target: Path) -> None:
        """Write the tracked files of the commit below *target*."""
        with tarfile.open(fileobj=io.BytesIO(_git(self.folder, "archive", "--format=tar", self.commit))) as archive:
            archive.extractall(target, filter="data")


@contextmanager
def broken(tree: Path, mutant: Mutant) -> Iterator[None]:
    """Put *mutant* into the copy at *tree*, and repair the copy afterwards. Raises DoesNotFitError."""
    path = tree / mutant.file
    whole = path.read_text() if path.is_file() else ""
    mutant.break_file(tree)
    try:
        _forget_compiled(path)
        yield
    finally:
        path.write_text(whole)
        _forget_compiled(path)


def _forget_compiled(path: Path) -> None:
    """Forget compiled files. Python takes one for current if size and second of the source agree, as they may here."""
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink(missing_ok=True)


def _git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True).stdout
