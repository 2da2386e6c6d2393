"""The conditions of a login: a person's groups, and the projects and repositories that they can see or may change.

The server is asked as this person, so no admin's rights are needed.

Bitbucket has no resource with a person's own groups. Its user list takes a group to search in (``users?group=…``), for
every licensed user.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from ..integration import Admission, Kind
from ..oauth import Person
from ..problems import BitbucketServerError, Code
from .profile import Finding, Profile, pages, refuse_another, search_users

_NOT_TOLD = frozenset({401, 403})
_NOT_THERE = frozenset({400, 404})


class Membership:
    """The memberships of *person*, whose *profile* is known, as the server tells them to this person. Each question is
    asked when its answer is needed, and once."""

    def __init__(self, person: Person, profile: Profile) -> None:
        self._person = person
        self._profile = profile
        self._answers: dict[tuple[Kind, str], bool | None] = {}
        self._records: dict[tuple[Kind, str], Mapping[str, Any] | None] = {}
        self._tells_groups = True
        self._heeds_groups = False

    def holds(self, kind: Kind, name: str) -> bool | None:
        """Return whether the condition holds, or ``None`` if the server does not tell.

        A server that does not tell the person about one group is not asked about others. Raises
        ``identity_of_another`` and the problems of the conversation.
        """
        if (kind, name) not in self._answers:
            about, permission = kind.parts(name)
            if kind is Kind.GROUP:
                answer = self._is_in(name)
            else:
                if (kind, about) not in self._records:
                    self._records[kind, about] = _visible(self._person, kind, about)
                record = self._records[kind, about]
                # Without a permission, the person must only see it.
                answer = record is not None and (not permission or _has(self._person, kind, about, permission, record))
            refuse_another(self._person, self._profile.id)
            self._answers[kind, name] = answer
        return self._answers[kind, name]

    def _is_in(self, group: str) -> bool | None:
        is_member = _is_among(self._person, self._profile, group) if self._tells_groups else None
        if is_member and not self._heeds_groups:
            # Some servers ignore the group, and then the person is also in one that cannot exist. Ask once.
            self._heeds_groups = not _is_among(self._person, self._profile, secrets.token_hex(16))
            is_member = self._heeds_groups or None
        self._tells_groups = is_member is not None
        return is_member


def findings(membership: Membership, admission: Admission) -> Iterator[Finding]:
    """Yield whether each condition of *admission* holds. Each is asked for when it is needed. Raises the problems of
    the conversation."""
    for kind, name in admission.conditions:
        yield Finding(kind, name, membership.holds(kind, name))


def require_admission(membership: Membership, admission: Admission) -> None:
    """Do nothing if *admission* lets in the person with this *membership*.

    Raises ``person_not_allowed`` otherwise, or ``groups_unreadable`` if that depends on groups that the server does not
    tell the person about; and the problems of the conversation.
    """
    if not admission.conditions:
        return
    is_certain = True
    for finding in findings(membership, admission):
        if finding.holds:
            return
        is_certain = is_certain and finding.holds is not None
    raise BitbucketServerError(Code.PERSON_NOT_ALLOWED if is_certain else Code.GROUPS_UNREADABLE)


def _is_among(person: Person, profile: Profile, group: str) -> bool | None:
    """Return whether the person is in *group*, or ``None`` if the server does not tell. The number decides, because a
    search by name finds others, too."""
    try:
        found = search_users(person, profile.name, group=group)
        return any(type(record.get("id")) is int and record["id"] == profile.id for record in found)
    except BitbucketServerError as error:
        status = _refusal(error)
        if status in _NOT_TOLD:
            return None
        if status in _NOT_THERE:
            return False
        raise


def _visible(person: Person, kind: Kind, name: str) -> Mapping[str, Any] | None:
    """Return the record of the project or repository called *name*, or ``None`` if the person does not see it.

    Bitbucket refuses what a person may not see, or answers as if it were not there. For a repository that moved, it
    answers with the one in the other project, which does not count.
    """
    server = person.server_url
    url = server.project(name) if kind is Kind.PROJECT else server.repository(name)
    try:
        record = person.json(url)
    except BitbucketServerError as error:
        if _refusal(error) in _NOT_TOLD | _NOT_THERE:
            return None
        raise
    return record if _is_it(record, kind, name) else None


def _has(person: Person, kind: Kind, name: str, permission: str, record: Mapping[str, Any]) -> bool:
    """Return whether the person has *permission* on the project or repository called *name*, whose *record* they see.

    Bitbucket has no resource with the permissions of the signed-in person on one project. Its lists take a permission,
    and search by parts of names, not by keys.
    """
    server, title, owner = person.server_url, _title_of(record), _title_of(_project_of(record))

    def address_at(start: int) -> str:
        if kind is Kind.PROJECT:
            return server.projects(f"PROJECT_{permission.upper()}", title, start=start)
        return server.repositories(f"REPO_{permission.upper()}", title, owner, start=start)

    try:
        return any(_is_it(found, kind, name) for page, _ in pages(person, address_at) for found in page)
    except BitbucketServerError as error:
        if _refusal(error) in _NOT_TOLD | _NOT_THERE:
            return False
        raise


def _is_it(record: Mapping[str, Any], kind: Kind, name: str) -> bool:
    if kind is Kind.PROJECT:
        return _is_called(record.get("key"), name)
    key, _, slug = name.partition("/")
    return _is_called(record.get("slug"), slug) and _is_called(_project_of(record).get("key"), key)


def _title_of(record: Mapping[str, Any]) -> str:
    """Return the name in *record* to search for. JSON may have halves of characters, which no address can hold."""
    return str(record.get("name")).encode(errors="replace").decode()


def _project_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    project = record.get("project")
    return project if isinstance(project, dict) else {}


def _is_called(found: object, name: str) -> bool:
    return isinstance(found, str) and found.casefold() == name.casefold()


def _refusal(error: BitbucketServerError) -> int | None:
    """Return the status of a refusal that is about the question alone, or ``None``."""
    return error.status_code if error.code in {Code.REQUEST_REFUSED, Code.NOT_PERMITTED} else None
