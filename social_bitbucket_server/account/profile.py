"""Who logged in? From the name in a header, by way of the user list, to one checked profile.

Bitbucket has no resource that says who the signed-in person is. Its answers name them in the header ``X-AUSERNAME``;
a user's *name* is not the *slug* that addresses are made of, and slugs are looked up, never computed.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from ..oauth import read_json, read_text
from ..problems import BitbucketServerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..integration import AnyIntegration, Kind, ServerURL
    from ..oauth import AccessToken, AskingClient
    from ..transport import Answer

AVATAR_SIZE = 48
"""Pixels, as social-core's own Bitbucket backend asks for."""

NAME_LIMIT = 255
"""Characters kept of a name; also what Bitbucket allows."""

MOST_PAGES = 4
"""Pages of a user search. Who is on none of them is not found."""

_LARGEST_ID = 2**63 - 1
_SEPARATOR = re.compile(r"[/\\]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition, and whether it *holds* for a person; ``None`` where the server does not tell them."""

    kind: Kind
    name: str
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Profile:
    """A person's account on the server, every field checked.

    *id* never changes and is never given to another account; *name* and *slug* may change. *email* was verified by
    nobody and may be missing. *avatar_url* and *url* are web addresses or ``None``. *findings* are there after a trial
    alone: what is so of the conditions on who may log in.
    """

    id: int
    name: str
    slug: str | None
    display_name: str
    email: str | None
    avatar_url: str | None
    url: str | None
    findings: tuple[Finding, ...] = ()


def fetch_profile(client: AskingClient, access_token: AccessToken) -> Profile:
    """Find out whose *access_token* this is.

    Raises ``identity_missing``, ``identity_invalid``, ``identity_of_another``, ``authorization_header_lost``,
    ``users_unreadable``, ``user_not_found``, ``profile_incomplete``, ``profile_invalid``, ``account_inactive``,
    ``account_not_a_person``, and the problems of the conversation. The facts of ``account_inactive`` have the account's
    *uid*, so that an application can end its sessions.
    """
    noting = _NotingIds(client)
    names, is_known_below_rest = _authenticated_names(noting, access_token)
    try:
        record = _record(noting, access_token, names)
    except BitbucketServerError as error:
        if error.code not in {"not_permitted", "request_refused"} or error.status_code not in {401, 403}:
            raise
        # If only whoami names the person, which is not below /rest, the header is lost on the way to REST.
        code = "users_unreadable" if is_known_below_rest else "authorization_header_lost"
        raise BitbucketServerError(code, status_code=error.status_code, facts=error.facts) from None
    noting.refuse_another(record.get("id"))
    return _profile(record, client.integration)


class _NotingIds:
    """Asks with *client*, and notes whom the answers name by number. The name alone may be read in two ways."""

    def __init__(self, client: AskingClient) -> None:
        self._client = client
        self._ids: set[str] = set()

    @property
    def integration(self) -> AnyIntegration:
        return self._client.integration

    def get(self, url: str, access_token: AccessToken, *, accept: str = "application/json") -> Answer:
        answer = self._client.get(url, access_token, accept=accept)
        self._ids.update(answer.headers.getlist("X-AUSERID"))
        return answer

    def named_by_number(self, records: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return those of *records* whose number an answer named; all of them where no answer named one."""
        if not self._ids:
            return records
        return [record for record in records if type(record.get("id")) is int and str(record["id"]) in self._ids]

    def refuse_another(self, user_id: object) -> None:
        """Raise ``identity_of_another`` unless every answer that named a person named *user_id*."""
        if type(user_id) is int and not self._ids <= {str(user_id)}:
            raise BitbucketServerError("identity_of_another", claim="X-AUSERID")


def _authenticated_names(client: AskingClient, access_token: AccessToken) -> tuple[list[str], bool]:
    """Return the name of the person, in each way that the answer can be read, and whether REST told it."""
    server_url = client.integration.server_url
    answer = client.get(server_url.application_properties, access_token)
    read_json(answer)
    names = answer.headers.getlist("X-AUSERNAME")
    if len(names) > 1:
        raise _identity_invalid("It named more than one person.")
    if names:
        return _readings(names[0]), True
    answer = client.get(server_url.whoami, access_token, accept="text/plain")
    name = read_text(answer) if answer.status == 200 and not answer.is_html else ""
    if not name:
        raise BitbucketServerError("identity_missing", claim="X-AUSERNAME")
    return [_user_name(name)], False


def _readings(header: str) -> list[str]:
    """Return the names that X-AUSERNAME may stand for. Percent-encoding keeps a plus, and a form's encoding writes a
    space as one, so a header with a plus has two readings."""
    # Headers come as Latin-1 text, whatever their bytes are.
    encodings = dict.fromkeys((header.replace("+", " "), header))
    try:
        return [_user_name(unquote_to_bytes(encoded.encode("latin-1")).decode()) for encoded in encodings]
    except UnicodeDecodeError:
        raise _identity_invalid("The name is not encoded as UTF-8.") from None


def _user_name(name: str) -> str:
    if not 0 < len(name) <= NAME_LIMIT:
        raise _identity_invalid("The name is empty or too long.")
    if any(part and not part.strip(".") for part in _SEPARATOR.split(name)):
        raise _identity_invalid("The name is a path.")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in name):
        raise _identity_invalid("The name contains a control character.")
    return name


def _record(client: _NotingIds, access_token: AccessToken, names: list[str]) -> Mapping[str, Any]:
    """Return the one user record that fits the name, which can be read as each of *names*. Of several, the number
    decides, so that two people with almost the same name can both log in."""
    records = [record for name in names for record in _records(client, access_token, name)]
    if len(records) > 1:
        records = client.named_by_number(records)
    if len(records) != 1:
        raise _not_found(f"{len(records) or 'No'} users have this name.")
    return records[0]


def _records(client: AskingClient, access_token: AccessToken, name: str) -> list[Mapping[str, Any]]:
    """Return the records whose name is exactly *name*; without any, those whose name differs from it in capitals alone.

    The record at the equal slug may be another person's. A name with a slash is no slug, and web servers refuse it as a
    part of a path.
    """
    if not _SEPARATOR.search(name):
        answer = client.get(client.integration.server_url.user(name, avatar_size=AVATAR_SIZE), access_token)
        if answer.status != 404:
            record = read_json(answer)
            if record.get("name") == name:
                return [record]
    pages = list(_pages(client, access_token, name))
    found = [record for records, _ in pages for record in records]
    exact = [record for record in found if record.get("name") == name]
    if exact:
        return exact
    _, is_complete = pages[-1]
    if not is_complete:
        raise _not_found("The search for this name finds too many users.")
    return [record for record in found if str(record.get("name")).lower() == name.lower()]


def search_users(
    client: AskingClient, access_token: AccessToken, name: str, *, group: str = ""
) -> Iterator[Mapping[str, Any]]:
    """The records, unchecked, of everybody whom a search for *name* finds on the first :data:`MOST_PAGES` pages; of
    *group*'s members where there is one.

    Raises the problems of the conversation.
    """
    for page, _ in _pages(client, access_token, name, group=group):
        yield from page


def _pages(
    client: AskingClient, access_token: AccessToken, name: str, *, group: str = ""
) -> Iterator[tuple[list[Mapping[str, Any]], bool]]:
    """Yield the records of each page, and whether the page is the last one that the server has."""
    start = 0
    for _ in range(MOST_PAGES):
        url = client.integration.server_url.users(name, start=start, avatar_size=AVATAR_SIZE, group=group)
        page = read_json(client.get(url, access_token))
        values = page.get("values")
        if not isinstance(values, list):
            raise BitbucketServerError("malformed_answer", "The user list is not a list.")
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
        raise BitbucketServerError("account_inactive", facts={"uid": integration.uid(user_id)})
    if kind != "NORMAL":
        raise BitbucketServerError("account_not_a_person")
    name = _readable(record, "name") or ""
    return Profile(
        id=user_id,
        name=name,
        slug=_readable(record, "slug"),
        display_name=_readable(record, "displayName") or name,
        email=_email(record),
        avatar_url=_web_address(record.get("avatarUrl"), integration.server_url),
        url=_web_address(_own_link(record), integration.server_url),
    )


def _required(record: Mapping[str, Any], field: str) -> Any:
    value = record.get(field)
    if value is None:
        raise BitbucketServerError("profile_incomplete", f"The field {field} is missing.", claim=field)
    return value


def _readable(record: Mapping[str, Any], field: str) -> str | None:
    """A text for people to read, without control and formatting characters, at most ``NAME_LIMIT`` long."""
    value = record.get(field)
    if value is None:
        return None
    if type(value) is not str:
        raise _invalid(field)
    if any(unicodedata.category(character) == "Cs" for character in value):
        raise BitbucketServerError("malformed_answer", f"The field {field} is not Unicode text.")
    readable = "".join(character for character in value if unicodedata.category(character) not in {"Cc", "Cf"})
    return readable.strip()[:NAME_LIMIT] or None


def _email(record: Mapping[str, Any]) -> str | None:
    email = _readable(record, "emailAddress")
    return email if email and "@" in email and " " not in email and len(email) <= 254 else None


def _own_link(record: Mapping[str, Any]) -> Any:
    match record.get("links"):
        case {"self": [{"href": href}, *_]}:
            return href
    return None


def _web_address(value: Any, server_url: ServerURL) -> str | None:
    """An address of the web; a path is one on the server itself."""
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
    return BitbucketServerError("identity_invalid", reason, claim="X-AUSERNAME")


def _not_found(reason: str) -> BitbucketServerError:
    return BitbucketServerError("user_not_found", reason, claim="name")


def _invalid(field: str) -> BitbucketServerError:
    return BitbucketServerError("profile_invalid", f"The field {field} is not what it should be.", claim=field)
