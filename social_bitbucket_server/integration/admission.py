"""The conditions of a login, as a value. :mod:`.membership` finds out whether they hold for a person."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..problems import BitbucketServerError, Code

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_CONDITIONS = 5
"""The most conditions that there may be together. Each takes one of the few requests that a login may make."""

_PROJECT = re.compile(r"~?[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REPOSITORY = re.compile(r"~?[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LONGEST_GROUP = 255


class Kind(StrEnum):
    """The kind of a condition, which says what it is about."""

    GROUP = "group"
    """The person is a member of it."""
    PROJECT = "project"
    """The person can see it."""
    REPOSITORY = "repository"
    """The person can see it."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The conditions of a login. One of them is enough. Without any, every person with an active account may log in.

    *groups*: the person is a member. *projects* (keys, such as ``WEB``) and *repositories* (such as ``WEB/website``):
    the person can see it.

    Raises ``setting_invalid`` for names that cannot be any, and for more than :data:`MOST_CONDITIONS`.
    """

    groups: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for group in self.groups:
            if not _is_group(group):
                raise _invalid("ALLOW_GROUPS", "A group is named by a text of at most 255 characters on one line.")
        for project in self.projects:
            if not _PROJECT.fullmatch(project):
                raise _invalid("ALLOW_PROJECTS", "A project is named by its key, such as WEB.")
        for repository in self.repositories:
            if not _REPOSITORY.fullmatch(repository):
                raise _invalid(
                    "ALLOW_REPOSITORIES", "A repository is named by its project's key and its slug: WEB/website."
                )
        if len(self.conditions) > MOST_CONDITIONS:
            raise _invalid(
                "ALLOW_GROUPS",
                f"There are {len(self.conditions)} groups, projects and repositories, and one login asks for "
                f"{MOST_CONDITIONS} at most.",
            )

    @classmethod
    def read(cls, groups: Any, projects: Any, repositories: Any) -> Admission:
        """Return the conditions in the values of settings: lists of texts, or ``None``. Raises ``setting_invalid``."""
        if groups is projects is repositories is None:
            return EVERYBODY
        return cls(
            _texts("ALLOW_GROUPS", groups),
            _texts("ALLOW_PROJECTS", projects),
            _texts("ALLOW_REPOSITORIES", repositories),
        )

    @property
    def conditions(self) -> tuple[tuple[Kind, str], ...]:
        """All conditions, in the order in which they are checked."""
        named: tuple[tuple[Kind, Iterable[str]], ...] = (
            (Kind.GROUP, self.groups),
            (Kind.PROJECT, self.projects),
            (Kind.REPOSITORY, self.repositories),
        )
        return tuple((kind, name) for kind, names in named for name in names)


EVERYBODY = Admission()
"""The admission of every person whose account on the server is active."""


def _is_group(name: str) -> bool:
    is_one_line = not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in name)
    return 0 < len(name) <= _LONGEST_GROUP and name == name.strip() and is_one_line


def _texts(parameter: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in value):
        raise _invalid(parameter, f"{parameter} is a list of texts.")
    return tuple(value)


def _invalid(parameter: str, reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.SETTING_INVALID, reason, parameter=parameter)
