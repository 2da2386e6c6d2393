"""The application link by Bitbucket's REST: it is made, updated and removed as an administrator.

The administrator's credentials are used for these calls alone and are kept nowhere.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..crypto import PublicKey, Secret
from ..integration import Integration
from ..oauth import JSON, LONGEST_REFUSAL, NO_CHECK, wants_captcha
from ..problems import BitbucketServerError, Code
from ..transport import DOCUMENT_LIMIT, Answer, Method, default_transport

LINKS = "/rest/applinks/3.0/applicationlink"
"""GET lists the links, PUT makes one, and DELETE below it removes one."""

CONSUMER = "/rest/applinks-oauth/1.0/applicationlink/{link_id}/authentication/consumer"
"""PUT makes or updates the consumer of a link, which is its Incoming Authentication. See docs/facts.md, 6.1 and 6.2."""

_LINK_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Existing:
    """An application link that exists, with its *id* and its *name*."""

    id: str
    name: str


def link_fields(application_url: str, name: str) -> dict[str, Any]:
    """Return the JSON of a new link to *application_url*, of the type Generic Application."""
    return {
        "id": None,
        "name": name,
        "rpcUrl": application_url,
        "displayUrl": application_url,
        "typeId": "generic",
    }


def consumer_fields(consumer_key: str, name: str, public_key: PublicKey) -> dict[str, Any]:
    """Return the JSON of a link's consumer. People see *name* when Bitbucket asks for their permission."""
    return {
        "key": consumer_key,
        "name": name,
        "description": "",
        "publicKey": public_key.pem,
        "sharedSecret": None,
        "outgoing": False,
        "twoLOAllowed": False,
        "executingTwoLOUser": None,
        "twoLOImpersonationAllowed": None,
    }


def basic(user: str, password: str) -> Secret:
    """Return the authorization of an administrator with a password."""
    return Secret("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii"))


def bearer(token: str) -> Secret:
    """Return the authorization of an administrator with an OAuth 2 access token, which needs the admin permission.

    HTTP access tokens reach projects and repositories only.
    """
    return Secret(f"Bearer {token}")


class ApplicationLinks:
    """The application links of *integration*'s server, seen by the administrator whose *authorization* it is.

    Raises ``link_password_wrong``, ``link_basic_disabled``, ``link_captcha``, ``link_token_refused``,
    ``link_admin_session`` and ``link_not_permitted`` for the administrator's login, ``link_refused`` if the server
    refuses a value, and the problems of the conversation.
    """

    def __init__(self, integration: Integration, authorization: Secret) -> None:
        self._integration = integration
        self._authorization = authorization

    def find(self, application_url: str) -> Existing | None:
        """Return the link to *application_url*, or ``None``. There is at most one."""
        for link in self._listed():
            addresses = {str(link.get("displayUrl", "")).rstrip("/"), str(link.get("rpcUrl", "")).rstrip("/")}
            if application_url.rstrip("/") in addresses:
                return Existing(_id(link.get("id")), _printable(link.get("name")))
        return None

    def create(self, application_url: str, name: str) -> Existing:
        """Make a link to *application_url*. If the answer does not name its id, look for its *name*."""
        created = _created_id(self._call("PUT", LINKS, link_fields(application_url, name)))
        if not _LINK_ID.fullmatch(created):
            created = next((link["id"] for link in self._listed() if link.get("name") == name), "")
        return Existing(_id(created), name)

    def set_consumer(self, link: Existing, consumer_name: str) -> None:
        """Fill in the link's incoming authentication with the integration's consumer key and public key.

        The same values once more change nothing.
        """
        integration = self._integration
        path = CONSUMER.format(link_id=quote(link.id, safe=""))
        fields = consumer_fields(integration.consumer_key, consumer_name, integration.private_key.public)
        self._call("PUT", path, fields)

    def remove(self, link: Existing) -> None:
        """Remove the link. Logins through it end."""
        self._call("DELETE", f"{LINKS}/{quote(link.id, safe='')}")

    def _listed(self) -> Iterator[dict[str, Any]]:
        """Yield the links that there are. Versions of Bitbucket wrap them differently."""
        answer = self._call("GET", LINKS)
        try:
            unread = [json.loads(answer.body)]
        except (ValueError, RecursionError):
            raise BitbucketServerError(Code.MALFORMED_ANSWER, "It is not JSON.") from None
        while unread:
            value = unread.pop()
            if isinstance(value, dict) and "id" in value and ("rpcUrl" in value or "displayUrl" in value):
                yield value
            elif isinstance(value, dict):
                unread.extend(value.values())
            elif isinstance(value, list):
                unread.extend(value)

    def _call(self, method: Method, path: str, fields: dict[str, Any] | None = None) -> Answer:
        integration = self._integration
        headers = {"Accept": JSON, "Authorization": self._authorization}
        if method != "GET":
            headers |= {"Content-Type": JSON, **NO_CHECK}
        answer = default_transport().send(
            method,
            integration.server.url.join(path),
            headers,
            route=integration.server.route_for(integration.id),
            body=None if fields is None else json.dumps(fields),
            timeout=integration.server.timeout,
            limit=16 * DOCUMENT_LIMIT,
            fresh=True,
        )
        if 200 <= answer.status < 300:
            return answer
        if answer.status in {401, 403}:
            has_token = self._authorization.startswith("Bearer ")
            raise BitbucketServerError(_refusal(answer, has_token=has_token), status_code=answer.status)
        if 300 <= answer.status < 400:
            raise BitbucketServerError(Code.REDIRECTED, status_code=answer.status)
        if answer.status >= 500:
            raise BitbucketServerError(Code.SERVER_ERROR, f"It answered with status {answer.status}.")
        raise BitbucketServerError(Code.LINK_REFUSED, _why(answer), status_code=answer.status)


def _refusal(answer: Answer, *, has_token: bool) -> Code:
    """Return the code of what an *answer* with status 401 or 403 says about the administrator's login."""
    words = answer.body[:LONGEST_REFUSAL].lower()
    if wants_captcha(answer) or b"captcha" in words:
        return Code.LINK_CAPTCHA
    if "X-Atlassian-WebSudo" in answer.headers or b"websudo" in words or b"administrator access" in words:
        return Code.LINK_ADMIN_SESSION
    if b"basic auth" in words and (b"disabled" in words or b"not allowed" in words or b"not permitted" in words):
        return Code.LINK_BASIC_DISABLED
    if has_token:
        return Code.LINK_TOKEN_REFUSED
    return Code.LINK_PASSWORD_WRONG if answer.status == 401 else Code.LINK_NOT_PERMITTED


def _id(value: Any) -> str:
    """Return *value* if it can be the id of a link; Bitbucket's are UUIDs. Raises ``malformed_answer``."""
    if not isinstance(value, str) or not _LINK_ID.fullmatch(value):
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "It does not say which link was made or found.")
    return value


def _created_id(answer: Answer) -> str:
    """Return the id in the address of the link that was made; empty if *answer* has none.

    ``resources-created`` is an object in some versions and a list in others.
    """
    try:
        unread = [json.loads(answer.body)["resources-created"]]
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""
    while unread:
        match unread.pop(0):
            case {"href": str(address)}:
                return address.rstrip("/").rpartition("/")[2]
            case {"link": found}:
                unread.insert(0, found)
            case [*found]:
                unread[:0] = found
    return ""


def _why(answer: Answer) -> str:
    """Return the server's explanation of its refusal, or else its status. It is shown to an administrator."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = {}
    text = document.get("message") if isinstance(document, dict) else None
    return _printable(text) or f"It answered with status {answer.status}."


def _printable(value: Any) -> str:
    """Return *value* without characters that would confuse a terminal. Return an empty text if it is no text."""
    text = value if isinstance(value, str) else ""
    return "".join(character for character in text if character.isprintable())[:200]
