"""The person who logged in: from the name in a header, by way of the user list, to one checked profile.

Bitbucket has no resource that says who the signed-in person is. Its answers name them in the header ``X-AUSERNAME``;
a user's *name* is not the *slug* that addresses are made of, and slugs are looked up, never computed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from ..integration import AnyIntegration, Kind, ServerURL
from ..oauth import Person
from ..problems import BitbucketServerError, Code

AVATAR_SIZE = 48
"""Pixels, as social-core's own Bitbucket backend asks for."""

NAME_LIMIT = 255
"""Characters kept of a name; also what Bitbucket allows."""

MOST_PAGES = 4
"""Pages of a list that are read. A person, project or repository on a later page is not found."""

_LARGEST_ID = 2**63 - 1
_SEPARATOR = re.compile(r"[/\\]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition, and whether it *holds* for a person; ``None`` if the server does not tell them."""

    kind: Kind
    name: str
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Profile:
    """A person's account on the server, every field checked.

    *id* never changes and is never given to another account; *name* and *slug* may change. *email* is unverified
    and may be missing. *avatar_url* and *url* are web addresses or ``None``.
    """

    id: int
    name: str
    slug: str | None
    display_name: str
    email: str | None
    avatar_url: str | None
    url: str | None

    @property
    def username(self) -> str:
        """The username for an application: *slug*, which is safe in addresses, or else *name*."""
        return self.slug or self.name


def fetch_profile(person: Person) -> Profile:
    """Find out who *person* is.

    Raises ``identity_missing``, ``identity_invalid``, ``identity_of_another``, ``authorization_header_lost``,
    ``users_unreadable``, ``user_not_found``, ``profile_incomplete``, ``profile_invalid``, ``account_inactive``,
    ``account_not_a_person``, and the problems of the conversation. The facts of ``account_inactive`` have the account's
    *uid*, so that an application can end its sessions.
    """
    names, is_known_below_rest = _authenticated_names(person)
    try:
        record = _record(person, names)
    except BitbucketServerError as error:
        if error.code not in {Code.NOT_PERMITTED, Code.REQUEST_REFUSED} or error.status_code not in {401, 403}:
            raise
        # If only whoami names the person, which is not below /rest, the header is lost on the way to REST.
        code = Code.USERS_UNREADABLE if is_known_below_rest else Code.AUTHORIZATION_HEADER_LOST
        raise BitbucketServerError(code, status_code=error.status_code, facts=error.facts) from None
    refuse_another(person, record.get("id"))
    return _profile(record, person.integration)


def refuse_another(person: Person, number: object) -> None:
    """Raise ``identity_of_another`` if an answer named another number of *person* than *number*. A *number* that is no
    integer is not compared. A name can be read in two ways, and a cache on the way may mix answers up."""
    if type(number) is int and not person.ids <= {str(number)}:
        raise BitbucketServerError(Code.IDENTITY_OF_ANOTHER, claim="X-AUSERID")


def _authenticated_names(person: Person) -> tuple[list[str], bool]:
    """Return the name of the person, in each way that the answer can be read, and whether REST told it."""
    names = person.names_at(person.server_url.application_properties)
    if len(names) > 1:
        raise _identity_invalid("It named more than one person.")
    if names:
        # Percent-encoding keeps a plus, and a form's encoding writes a space as one, so a header with a plus has two
        # readings. Headers come as Latin-1 text, whatever their bytes are.
        encodings = dict.fromkeys((names[0].replace("+", " "), names[0]))
        try:
            return [_user_name(unquote_to_bytes(encoded.encode("latin-1")).decode()) for encoded in encodings], True
        except UnicodeDecodeError:
            raise _identity_invalid("The name is not encoded as UTF-8.") from None
    name = person.text(person.server_url.whoami)
    if not name:
        raise BitbucketServerError(Code.IDENTITY_MISSING, claim="X-AUSERNAME")
    return [_user_name(name)], False


def _user_name(name: str) -> str:
    if not 0 < len(name) <= NAME_LIMIT:
        raise _identity_invalid("The name is empty or too long.")
    if any(part and not part.strip(".") for part in _SEPARATOR.split(name)):
        raise _identity_invalid("The name is a path.")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in name):
        raise _identity_invalid("The name contains a control character.")
    return name


def _record(person: Person, names: list[str]) -> Mapping[str, Any]:
    """Return the one user record that fits the name, which can be read as each of *names*. Of several, the number
    decides, so that two people with almost the same name can both log in."""
    records = [record for name in names for record in _records(person, name)]
    if len(records) > 1 and person.ids:
        records = [record for record in records if type(record.get("id")) is int and str(record["id"]) in person.ids]
    if len(records) != 1:
        raise _not_found(f"{len(records) or 'No'} users have this name.")
    return records[0]


def _records(person: Person, name: str) -> list[Mapping[str, Any]]:
    """Return the records whose name is exactly *name*; without any, those whose name differs from it in capitals alone.

    The record at the equal slug may be another person's. A name with a slash is no slug, and web servers refuse it as a
    part of a path.
    """
    if not _SEPARATOR.search(name):
        record = person.json_if_found(person.server_url.user(name, avatar_size=AVATAR_SIZE))
        if record is not None and record.get("name") == name:
            return [record]
    read = list(pages(person, lambda start: _users_at(person, name, start)))
    found = [record for records, _ in read for record in records]
    exact = [record for record in found if record.get("name") == name]
    if exact:
        return exact
    _, is_complete = read[-1]
    if not is_complete:
        raise _not_found("The search for this name finds too many users.")
    return [record for record in found if str(record.get("name")).lower() == name.lower()]


def search_users(person: Person, name: str, *, group: str = "") -> Iterator[Mapping[str, Any]]:
    """Yield the unchecked records that a search for *name* finds on the first :data:`MOST_PAGES` pages. If *group* is
    not empty, they are those of its members alone.

    Raises the problems of the conversation.
    """
    for page, _ in pages(person, lambda start: _users_at(person, name, start, group)):
        yield from page


def _users_at(person: Person, name: str, start: int, group: str = "") -> str:
    return person.server_url.users(name, start=start, avatar_size=AVATAR_SIZE, group=group)


def pages(person: Person, address_at: Callable[[int], str]) -> Iterator[tuple[list[Mapping[str, Any]], bool]]:
    """Yield the unchecked records of each page of a list, and whether the page is the last one that the server has.

    *address_at* returns the address of the page that begins with the record of this number. At most :data:`MOST_PAGES`
    are read. Raises the problems of the conversation.
    """
    start = 0
    for _ in range(MOST_PAGES):
        page = person.json(address_at(start))
        values = page.get("values")
        if not isinstance(values, list):
            raise BitbucketServerError(Code.MALFORMED_ANSWER, "The field values is not a list.")
        following = page.get("nextPageStart")
        is_last = page.get("isLastPage") is not False
        yield [record for record in values if isinstance(record, dict)], is_last
        if is_last or type(following) is not int or following <= start:
            return
        start = following


def _profile(record: Mapping[str, Any], integration: AnyIntegration) -> Profile:
    user_id = _required(record, "id")
    if type(user_id) is not int or not 0 < user_id <= _LARGEST_ID:
        raise _invalid("id")
    active = _required(record, "active")
    if type(active) is not bool:
        raise _invalid("active")
    kind = _required(record, "type")
    if type(kind) is not str:
        raise _invalid("type")
    if not active:
        raise BitbucketServerError(Code.ACCOUNT_INACTIVE, facts={"uid": integration.uid(user_id)})
    if kind != "NORMAL":
        raise BitbucketServerError(Code.ACCOUNT_NOT_A_PERSON)
    name = _readable(record, "name") or ""
    return Profile(
        id=user_id,
        name=name,
        slug=_readable(record, "slug"),
        display_name=_readable(record, "displayName") or name,
        email=_email(record),
        avatar_url=_web_address(record.get("avatarUrl"), integration.server.url),
        url=_web_address(_own_link(record), integration.server.url),
    )


def _required(record: Mapping[str, Any], field: str) -> Any:
    value = record.get(field)
    if value is None:
        raise BitbucketServerError(Code.PROFILE_INCOMPLETE, f"The field {field} is missing.", claim=field)
    return value


def _readable(record: Mapping[str, Any], field: str) -> str | None:
    """Return a text for people, without control and formatting characters, at most ``NAME_LIMIT`` long."""
    value = record.get(field)
    if value is None:
        return None
    if type(value) is not str:
        raise _invalid(field)
    if not value.isprintable():
        if any(unicodedata.category(character) == "Cs" for character in value):
            raise BitbucketServerError(Code.MALFORMED_ANSWER, f"The field {field} is not Unicode text.")
        value = "".join(character for character in value if unicodedata.category(character) not in {"Cc", "Cf"})
    return value.strip()[:NAME_LIMIT] or None


def _email(record: Mapping[str, Any]) -> str | None:
    email = _readable(record, "emailAddress")
    return email if email and "@" in email and " " not in email and len(email) <= 254 else None


def _own_link(record: Mapping[str, Any]) -> Any:
    match record.get("links"):
        case {"self": [{"href": href}, *_]}:
            return href
    return None


def _web_address(value: Any, server_url: ServerURL) -> str | None:
    """Return *value* if it is an address of the web, or else ``None``. A path is one on the server itself."""
    if type(value) is not str or len(value) > 2048 or not value.isascii() or not value.isprintable() or " " in value:
        return None
    if value.startswith("/") and not value.startswith(("//", "/\\")):
        return server_url.origin + value
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return value if parts.scheme in {"https", "http"} and parts.hostname else None


def _identity_invalid(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.IDENTITY_INVALID, reason, claim="X-AUSERNAME")


def _not_found(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.USER_NOT_FOUND, reason, claim="name")


def _invalid(field: str) -> BitbucketServerError:
    return BitbucketServerError(Code.PROFILE_INVALID, f"The field {field} is not what it should be.", claim=field)
