"""The roles that an integration gives to people, as a value. Each has conditions like those of a login."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..problems import BitbucketServerError, Code
from .admission import MOST_QUESTIONS, Admission, Kind, count_questions, too_many

_LONGEST_NAME = 100
_FIELDS = {Kind.GROUP: "groups", Kind.PROJECT: "projects", Kind.REPOSITORY: "repositories"}


@dataclass(frozen=True, slots=True)
class Roles:
    """The names of roles, each with the conditions of which one is enough to have it.

    :meth:`read` makes them from plain values. Raises ``setting_invalid`` for names that cannot be any, for roles
    without a condition, and for more questions than :data:`~.admission.MOST_QUESTIONS`.
    """

    named: tuple[tuple[str, Admission], ...] = ()

    def __post_init__(self) -> None:
        for name, admission in self.named:
            _check_name(name)
            if not admission.conditions:
                raise _invalid(f"The role {name} needs a group, project or repository.")
        if len({name for name, _ in self.named}) < len(self.named):
            raise _invalid("Two roles have the same name.")
        refuse_too_many(self, Admission())

    @classmethod
    def read(cls, value: Any) -> Roles:
        """Return the roles in the *value* of a setting: ``None``, or a mapping of names to mappings with the lists
        ``groups``, ``projects`` and ``repositories``. Raises ``setting_invalid``."""
        if value is None:
            return NO_ROLES
        if isinstance(value, Roles):
            return value
        if not isinstance(value, Mapping):
            raise _invalid("It is a mapping of roles to their groups, projects and repositories.")
        return cls(tuple((name, _conditions(name, fields)) for name, fields in value.items()))

    @classmethod
    def of(cls, conditions: Iterable[tuple[str, Kind, str]]) -> Roles:
        """Return the roles with these *conditions*. Each is a role's name, and the kind and name of what gives it.
        Raises ``setting_invalid``."""
        roles: dict[str, dict[str, list[str]]] = {}
        for role, kind, name in dict.fromkeys(conditions):
            roles.setdefault(role, {}).setdefault(_FIELDS[kind], []).append(name)
        return cls.read(roles)

    def only(self, names: Collection[str]) -> Roles:
        """Return the roles that have one of these *names*."""
        return Roles(tuple((name, admission) for name, admission in self.named if name in names))

    @property
    def each(self) -> tuple[tuple[str, Kind, str], ...]:
        """Each condition, as JSON can hold it: the name of its role, its kind, and its name. :meth:`of` makes the same
        roles of them."""
        return tuple((role, kind, name) for role, admission in self.named for kind, name in admission.conditions)

    @property
    def fields(self) -> dict[str, dict[str, list[str]]]:
        """The mapping of which :meth:`read` makes the same roles, as JSON can hold it."""
        return {
            name: {field: list(getattr(admission, field)) for field in _FIELDS.values() if getattr(admission, field)}
            for name, admission in self.named
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all roles."""
        return tuple(name for name, _ in self.named)

    @property
    def conditions(self) -> frozenset[tuple[Kind, str]]:
        """The conditions of all roles."""
        return frozenset(condition for _, admission in self.named for condition in admission.conditions)

    @property
    def needs_sight(self) -> bool:
        """Whether a role depends on the projects and repositories that a person can see."""
        return any(kind is not Kind.GROUP for kind, _ in self.conditions)


def refuse_too_many(roles: Roles, admission: Admission) -> None:
    """Raise ``setting_invalid`` if *roles* and *admission* together need more questions than one login may ask."""
    count = count_questions(roles.conditions.union(admission.conditions))
    if roles.named and count > MOST_QUESTIONS:
        raise _invalid(too_many(count, ", including those that say who may log in"))


def read_role_names(value: Any) -> tuple[str, ...]:
    """Return the names of the roles that organizations' admins may give, in the *value* of the setting
    ``ORGANIZATION_ROLES``: a list of texts, or ``None`` for no roles. Raises ``setting_invalid``."""
    parameter = "ORGANIZATION_ROLES"
    if value is None:
        return ()
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise _invalid("It is a list of the names of roles.", parameter)
    for name in value:
        _check_name(name, parameter)
        if "=" in name:
            raise _invalid("The name of a role has no equals sign.", parameter)
    return tuple(dict.fromkeys(value))


def refuse_other_roles(roles: Roles, offered: Collection[str]) -> None:
    """Raise ``setting_invalid`` if *roles* has another name than those *offered*."""
    for name in roles.names:
        if name not in offered:
            raise _invalid(f"There is no role {name} here. The roles are: {', '.join(offered) or 'none'}.")


def roles_for_several_servers() -> BitbucketServerError:
    """Return the problem of roles by a plain setting, which would be given by each of several servers."""
    return _invalid("It is for one server. With several, each integration has roles of its own: the field roles.")


def _conditions(name: Any, fields: Any) -> Admission:
    _check_name(name)
    if not isinstance(fields, Mapping):
        raise _invalid(f"The role {name} is a mapping with groups, projects and repositories.")
    unknown = sorted(str(field) for field in fields.keys() - set(_FIELDS.values()))
    if unknown:
        raise _invalid(f"The role {name} has {unknown[0]}, but a role has groups, projects and repositories.")
    for field in _FIELDS.values():
        if not isinstance(fields.get(field, ()), (list, tuple, set, frozenset)):
            raise _invalid(f"The {field} of the role {name} are a list of texts.")
    try:
        return Admission.read(*map(fields.get, _FIELDS.values()))
    except BitbucketServerError as error:
        raise _invalid(f"The role {name}: {error.reason}") from None


def _check_name(name: Any, parameter: str = "ROLES") -> None:
    if not isinstance(name, str) or not 0 < len(name.strip()) == len(name) <= _LONGEST_NAME or not name.isprintable():
        raise _invalid(f"A role is named by a text of at most {_LONGEST_NAME} characters on one line.", parameter)


def _invalid(reason: str, parameter: str = "ROLES") -> BitbucketServerError:
    return BitbucketServerError(Code.SETTING_INVALID, reason, parameter=parameter)


NO_ROLES = Roles()
"""The roles of an integration that gives none."""
