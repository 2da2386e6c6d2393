"""One fault that is put into the code on purpose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


class DoesNotFitError(Exception):
    """The code has changed: the text to replace does not occur exactly once."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One place where the code is broken.

    *name* is a sentence fragment that says what is wrong with the broken code. *file* is a path below the tree's root.
    *old* is the exact text to replace, which occurs once in the file. *new* takes its place.
    """

    name: str
    file: str
    old: str
    new: str

    @property
    def digest(self) -> str:
        """Return what changes when the fault changes, so that earlier answers about another fault are not used."""
        return hashlib.sha256("\0".join((self.file, self.old, self.new)).encode()).hexdigest()[:16]

    def break_text(self, text: str) -> str:
        """Return *text*, the content of the file, with the fault in it.

        Raises DoesNotFitError when the old text does not occur exactly once.
        """
        count = text.count(self.old)
        if count != 1:
            raise DoesNotFitError(f"{self.name}: the text to replace occurs {count} times in {self.file}.")
        return text.replace(self.old, self.new)

    def break_file(self, tree: Path) -> None:
        """Put the fault into the file below *tree*. Raises DoesNotFitError."""
        path = tree / self.file
        if not path.is_file():
            raise DoesNotFitError(f"{self.name}: there is no {self.file}.")
        path.write_text(self.break_text(path.read_text()))
