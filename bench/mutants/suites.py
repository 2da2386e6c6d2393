"""The tests that belong to a subject."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


class NoTestsError(Exception):
    """A suite has none of the files that are listed for a subject."""


@dataclass(frozen=True, slots=True)
class Group:
    """Tests that run together.

    *paths* are files or folders below the tree's root. The ``-k`` *expression* chooses among their tests. An empty
    expression chooses all of them. *about* are the files of the code that the group is asked about, before all groups
    that are asked about every file.
    """

    paths: tuple[str, ...]
    expression: str = ""
    about: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the arguments for pytest."""
        return (*self.paths, "-k", self.expression) if self.expression else self.paths

    def __str__(self) -> str:
        return " ".join(self.arguments)


def resolve(subject: str, groups: tuple[Group, ...], tree: Path) -> tuple[Group, ...]:
    """Return *groups* with only those paths that *tree* has, in the same order.

    Raises NoTestsError when nothing is left.
    """
    present = tuple(
        replace(group, paths=tuple(path for path in group.paths if (tree / path).exists())) for group in groups
    )
    chosen = tuple(group for group in present if group.paths)
    if not chosen:
        raise NoTestsError(f"There are no tests of {subject}: none of the listed files is in the tree.")
    return chosen


def choose(groups: tuple[Group, ...], file: str) -> tuple[Group, ...]:
    """Return those of *groups* that are asked about *file*, the nearest ones first."""
    return tuple(group for group in groups if file in group.about) + tuple(group for group in groups if not group.about)


def missing(groups: tuple[Group, ...], tree: Path) -> list[str]:
    """Return the listed paths that *tree* does not have."""
    return [path for group in groups for path in group.paths if not (tree / path).exists()]
