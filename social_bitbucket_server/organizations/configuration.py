"""Configuration as text: integrations as TOML, without anything secret, written, read and checked.

The storage finds an organization's integrations, makes new ones and changes others. It never deletes one for a text.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from ..integration import (
    NO_ROLES,
    Admission,
    BaseURLRules,
    ConnectTo,
    Roles,
    ServerURL,
    refuse_other_roles,
    refuse_too_many,
)
from ..problems import BitbucketServerError
from ..transport import read_ca_certificates
from . import toml
from .oauth_versions import OAuth

MOST_CONFIGURED = 20
"""How many integrations an organization's admin may enter at once: each new one has a key pair made."""

_MOST_BYTES = 16 * 1024
_MOST_BYTES_OF_OPERATOR = 16 * 1024 * 1024
_LONGEST_NAME = 80
_LISTS = ("allow_groups", "allow_projects", "allow_repositories")


class UnusableConfigurationError(ValueError):
    """The text cannot be taken over. The message is one sentence that says what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class ConfiguredIntegration:
    """One integration as a text has it. Everything in it is clean, so equal ones are configured alike.

    *slug* and *organization* are for storages in which integrations of all organizations are in one table: the last
    part of the login link, and the organization's name.
    """

    name: str
    base_url: str
    slug: str = ""
    organization: str = ""
    oauth: OAuth = OAuth.ONE
    enabled: bool = True
    ca_certificates: str = ""
    connect_to: str = ""
    allow_groups: tuple[str, ...] = ()
    allow_projects: tuple[str, ...] = ()
    allow_repositories: tuple[str, ...] = ()
    roles: Roles = NO_ROLES

    @property
    def admission(self) -> Admission:
        """The conditions of a login."""
        return Admission(self.allow_groups, self.allow_projects, self.allow_repositories)


def write_configuration(integrations: Iterable[ConfiguredIntegration], head: str) -> str:
    """Return *integrations* as TOML below the comment *head*. Key pairs, client secrets and people are not in it."""
    return "\n".join([f"# {''.join(filter(str.isprintable, head))}\n", *map(_table, integrations)])


def read_configuration(
    text: str,
    known: Mapping[str, ConfiguredIntegration],
    rules: BaseURLRules,
    *,
    key: Literal["name", "slug"] = "name",
    is_operator: bool = False,
    role_names: Collection[str] = (),
) -> list[ConfiguredIntegration]:
    """Return the integrations that *text* asks for.

    *known*: those that are there, by their *key*, which tells them apart. A list of conditions that the text leaves out
    stays as it is: leaving it out opens nothing. So do roles. *rules*: for base URLs. *is_operator*: the text comes
    from the operator, and may be long; otherwise it may have 16 KB and :data:`MOST_CONFIGURED` integrations.
    *role_names*: the names that roles may have.

    Raises UnusableConfigurationError. It also refuses another base URL or OAuth version for a known integration,
    because each of those changes asks the admin first, on a page of its own.
    """
    try:
        document = toml.read(text, most_bytes=_MOST_BYTES_OF_OPERATOR if is_operator else _MOST_BYTES)
    except toml.UnreadableError as error:
        raise UnusableConfigurationError(str(error)) from error
    tables = document.get("integrations")
    if document.keys() != {"integrations"} or not isinstance(tables, list):
        raise UnusableConfigurationError("It has tables [[integrations]] and nothing else.")
    if len(tables) > MOST_CONFIGURED and not is_operator:
        raise UnusableConfigurationError(f"It has more than {MOST_CONFIGURED} integrations.")
    wanted: dict[str, ConfiguredIntegration] = {}
    for number, table in enumerate(tables, start=1):
        one = _integration(number, table, known, rules, key, role_names)
        identifier = getattr(one, key)
        if identifier in wanted:
            raise _unusable(number, f"Another one before it has the same {key}.")
        wanted[identifier] = one
        there = known.get(identifier, one)
        if there.oauth is not one.oauth:
            raise _unusable(number, f"“{one.name}” has another OAuth here. Its own page has the upgrade.")
        if there.base_url != one.base_url:
            raise _unusable(number, f"“{one.name}” has another base URL here. Change it under Edit, which asks first.")
    return list(wanted.values())


def _integration(
    number: int,
    table: Any,
    known: Mapping[str, ConfiguredIntegration],
    rules: BaseURLRules,
    key: str,
    role_names: Collection[str],
) -> ConfiguredIntegration:
    if not isinstance(table, dict):
        raise _unusable(number, "It is not a table.")
    unknown = table.keys() - {field.name for field in fields(ConfiguredIntegration)}
    if key == "name":
        unknown |= table.keys() & {"slug", "organization"}
    if unknown:
        raise _unusable(number, f"There is no {json.dumps(min(unknown), ensure_ascii=False)} in an integration.")
    name = _line(number, table, "name")
    slug = _line(number, table, "slug") if key == "slug" else ""
    if type(table.get("enabled", True)) is not bool:
        raise _unusable(number, "enabled is true or false.")
    there = known.get(slug if key == "slug" else name)
    try:
        admission = Admission.read(*(table.get(field, getattr(there, field, None)) for field in _LISTS))
        roles = Roles.read(table.get("roles", getattr(there, "roles", None)))
        refuse_other_roles(roles, role_names)
        refuse_too_many(roles, admission)
        certificates = _text(number, table, "ca_certificates")
        connect_to = _text(number, table, "connect_to")
        return ConfiguredIntegration(
            name=name,
            base_url=str(ServerURL.parse(_text(number, table, "base_url"), rules)),
            slug=slug,
            organization=_line(number, table, "organization") if table.get("organization") else "",
            oauth=_oauth(number, table),
            enabled=table.get("enabled", True),
            ca_certificates=read_ca_certificates(certificates) if certificates else "",
            connect_to=str(ConnectTo.parse(connect_to, rules)) if connect_to else "",
            allow_groups=admission.groups,
            allow_projects=admission.projects,
            allow_repositories=admission.repositories,
            roles=roles,
        )
    except BitbucketServerError as error:
        raise _unusable(number, str(error)) from error


def _line(number: int, table: Mapping[str, Any], field: str) -> str:
    text = _text(number, table, field)
    if not text or len(text) > _LONGEST_NAME or text != text.strip() or not is_one_line(text):
        raise _unusable(number, f"Its {field} is a text of 1 to {_LONGEST_NAME} characters on one line.")
    return text


def _oauth(number: int, table: Mapping[str, Any]) -> OAuth:
    oauth = table.get("oauth", 1)
    if type(oauth) is not int or oauth not in {1, 2}:
        raise _unusable(number, "oauth is 1 or 2.")
    return OAuth(str(oauth))


def _text(number: int, table: Mapping[str, Any], field: str) -> str:
    value = table.get(field, "")
    if not isinstance(value, str):
        raise _unusable(number, f"{field} is a text.")
    return value


def _unusable(number: int, reason: str) -> UnusableConfigurationError:
    return UnusableConfigurationError(f"Integration {number}: {reason}")


def _table(one: ConfiguredIntegration) -> str:
    values: dict[str, str | int | bool | list[str]] = {
        "slug": one.slug,
        "name": one.name,
        "organization": one.organization,
        "base_url": one.base_url,
        "oauth": int(one.oauth.value),
        "enabled": one.enabled,
        "ca_certificates": one.ca_certificates,
        "connect_to": one.connect_to,
        **{field: list(getattr(one, field)) for field in _LISTS},
    }
    lines = (f"{name} = {_value(value)}" for name, value in values.items() if value not in ("", []))
    roles: list[str] = []
    for role, lists in one.roles.fields.items():
        roles.append(f"[integrations.roles.{_value(role)}]")
        roles += [f"{field} = {_value(names)}" for field, names in lists.items()]
    return "\n".join(["[[integrations]]", *lines, *roles, ""])


def _value(value: str | int | bool | list[str]) -> str:
    """Return *value* in TOML. JSON's texts, numbers and lists are TOML's, too, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def is_one_line(text: str) -> bool:
    """Return whether *text* is on one line and has no invisible characters. Spaces of every kind may be in it."""
    return all(unicodedata.category(character) not in {"Cc", "Cf", "Zl", "Zp"} for character in text)
