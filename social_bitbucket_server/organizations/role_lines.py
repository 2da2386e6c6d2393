"""Roles as lines that people type: a role, an equals sign, and what gives it, such as ``editor = project DOCS``."""

from __future__ import annotations

from collections.abc import Collection

from ..integration import Kind, Roles, refuse_other_roles
from ..problems import BitbucketServerError


class UnusableRolesError(ValueError):
    """Lines that cannot be roles. *messages* has a sentence for each, with its number."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(" ".join(messages))
        self.messages = messages


def role_lines(roles: Roles) -> str:
    """Return *roles* as lines. :func:`read_role_lines` makes the same roles of them."""
    return "\n".join(f"{role} = {kind} {name}" for role, kind, name in roles.each)


def read_role_lines(text: str, offered: Collection[str]) -> Roles:
    """Return the roles in *text*, whose names are among those *offered*. Empty lines are left out.

    Raises UnusableRolesError.
    """
    conditions, messages = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            role, _, condition = line.partition("=")
            kind, name = condition.split(maxsplit=1)
            found = role.strip(), Kind(kind.lower()), name.strip()
            refuse_other_roles(Roles.of([found]), offered)
            conditions.append(found)
        except BitbucketServerError as error:
            messages.append(f"Line {number}: {error.reason}")
        except ValueError:
            messages.append(f"Line {number}: Write a role, an equals sign, group, project or repository, and its name.")
    if messages:
        raise UnusableRolesError(messages)
    try:
        return Roles.of(conditions)
    except BitbucketServerError as error:
        raise UnusableRolesError([error.reason]) from error
