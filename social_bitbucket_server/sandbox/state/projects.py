"""Groups of people, and the projects and repositories that they can see."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from .users import User


@dataclass(frozen=True, slots=True)
class Project:
    """One project with its *repositories* (slugs). The people named in *users*, and the members of *groups*, may read
    it; *writers* and *admins* may do more. *public* ones are seen by everybody who is logged in."""

    key: str
    name: str
    repositories: tuple[str, ...] = ()
    public: bool = False
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()


class Permission(IntEnum):
    """The permission of a person for a project and its repositories. A higher one includes the lower ones."""

    NONE = 0
    SEE = 1
    """Everybody may see a public project without a permission that was granted."""
    READ = 2
    WRITE = 3
    ADMIN = 4


class Projects:
    """Every project and every group, changeable while the server runs."""

    def __init__(self, groups: dict[str, set[str]], projects: Iterable[Project]) -> None:
        self._lock = threading.RLock()
        self._groups = {name: set(members) for name, members in groups.items()}
        self._projects = {project.key.upper(): project for project in projects}

    def put(self, project: Project) -> None:
        """Add *project*, or replace the one with the same key."""
        with self._lock:
            self._projects[project.key.upper()] = project

    def add_to_group(self, group: str, *names: str) -> None:
        """Make the users called *names* members of *group*. Make the group if it does not exist."""
        with self._lock:
            self._groups.setdefault(group, set()).update(names)

    def take_from_group(self, group: str, name: str) -> None:
        """Let the user called *name* be no member of *group* any more."""
        with self._lock:
            self._groups.get(group, set()).discard(name)

    def members(self, group: str) -> frozenset[str] | None:
        """Return the names of *group*'s members, or ``None`` if there is no such group. Case does not matter."""
        with self._lock:
            found = [members for name, members in self._groups.items() if name.casefold() == group.casefold()]
            return frozenset(found[0]) if found else None

    def find(self, key: str) -> Project | None:
        """Return the project with this key, in upper or lower case."""
        return self._projects.get(key.upper())

    def all(self) -> list[Project]:
        """Return every project, in the order of names."""
        with self._lock:
            return sorted(self._projects.values(), key=lambda project: project.name.casefold())

    def permission(self, user: User | None, project: Project) -> Permission:
        """Return what *user* may do with *project*."""
        if user is None:
            return Permission.NONE
        if user.admin or user.name in project.admins:
            return Permission.ADMIN
        if user.name in project.writers:
            return Permission.WRITE
        if user.name in project.users or any(user.name in (self.members(group) or ()) for group in project.groups):
            return Permission.READ
        return Permission.SEE if project.public else Permission.NONE


SANDBOX_GROUPS = {
    "bitbucket-users": {"admin", "jane", "jo@example", "kim", "natasha"},
    "developers": {"jane", "jo@example"},
}
SANDBOX_PROJECTS = (
    Project("WEB", "Website", ("website", "styles"), groups=("developers",)),
    Project("DOCS", "Documentation", ("handbook",), public=True),
)
"""The groups and projects that a sandbox has at first."""
