"""The conditions of a login, as a value. :mod:`.membership` finds out whether they hold for a person."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..problems import BitbucketServerError, Code

MOST_QUESTIONS = 5
"""The most questions about groups, projects and repositories that one login may ask. Each takes one of its few
requests."""

_KEY = r"~?[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_PERMISSION = "(?::(?:read|write|admin))?"
_PROJECT = re.compile(_KEY + _PERMISSION)
_REPOSITORY = re.compile(rf"{_KEY}/[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}{_PERMISSION}")
_LONGEST_GROUP = 255


class Kind(StrEnum):
    """The kind of a condition, which says what it is about."""

    GROUP = "group"
    """The person is a member of it."""
    PROJECT = "project"
    """The person can see it, or has a permission on it."""
    REPOSITORY = "repository"
    """The person can see it, or has a permission on it."""

    def parts(self, name: str) -> tuple[str, str]:
        """Return what the condition called *name* is about, and the permission on it: ``read``, ``write`` or ``admin``;
        empty if it has none."""
        if self is Kind.GROUP:
            return name, ""
        about, _, permission = name.partition(":")
        return about, permission


def count_questions(conditions: Iterable[tuple[Kind, str]]) -> int:
    """Return how many questions a login asks for *conditions*: one for each group, project and repository, and one for
    each permission on it."""
    parts = [(kind, *kind.parts(name)) for kind, name in conditions]
    return len({(kind, about) for kind, about, _ in parts} | {part for part in parts if part[2]})


def too_many(count: int, where: str = "") -> str:
    """Return what is wrong with *count* questions, which come from *where*."""
    return (
        f"There are {count} groups, projects and repositories{where}, and one login asks for {MOST_QUESTIONS} at most. "
        "One with a permission counts twice."
    )


@dataclass(frozen=True, slots=True)
class Admission:
    """The conditions of a login. One of them is enough. Without any, every person with an active account may log in.

    *groups*: the person is a member. *projects* (keys, such as ``WEB``) and *repositories* (such as ``WEB/website``):
    the person can see it. With a permission, such as ``WEB:write``, the person has this permission or a higher one:
    ``read``, ``write`` or ``admin``.

    Raises ``setting_invalid`` for names that cannot be any, and for more than :data:`MOST_QUESTIONS`.
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
                raise _invalid("ALLOW_PROJECTS", "A project is named by its key, such as WEB or WEB:write.")
        for repository in self.repositories:
            if not _REPOSITORY.fullmatch(repository):
                raise _invalid(
                    "ALLOW_REPOSITORIES",
                    "A repository is named by its project's key and its slug: WEB/website or WEB/website:write.",
                )
        count = count_questions(self.conditions)
        if count > MOST_QUESTIONS:
            raise _invalid("ALLOW_GROUPS", too_many(count))

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
