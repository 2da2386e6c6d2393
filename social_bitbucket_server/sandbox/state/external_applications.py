"""External applications: links by which programs log people in with OAuth 2, and what each may ask for."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from .links import LinkRefusedError, is_web_address

PUBLIC_REPOS = "PUBLIC_REPOS"
"""The scope that every link permits."""

INCLUDED_SCOPES = {
    PUBLIC_REPOS: (),
    "ACCOUNT_WRITE": (PUBLIC_REPOS,),
    "REPO_READ": (PUBLIC_REPOS,),
    "REPO_WRITE": ("REPO_READ",),
    "REPO_ADMIN": ("REPO_WRITE",),
    "PROJECT_ADMIN": ("REPO_ADMIN",),
    "ADMIN_WRITE": ("PROJECT_ADMIN",),
    "SYSTEM_ADMIN": ("ADMIN_WRITE",),
}
"""Every scope, and those that it includes at once."""


@dataclass(frozen=True, slots=True)
class ExternalApplication:
    """The contents of the form, and the credentials that were made for it.

    *redirect_urls*: where people may be sent back to, compared letter by letter. *permissions*: the scopes that were
    ticked.
    """

    id: str
    name: str
    redirect_urls: tuple[str, ...]
    permissions: frozenset[str]
    client_id: str
    client_secret: str = field(repr=False)

    @property
    def scopes(self) -> frozenset[str]:
        """Every scope that it may ask for."""
        return closure({PUBLIC_REPOS, *self.permissions})


class ExternalApplications:
    """Every external application."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_id: dict[str, ExternalApplication] = {}

    def add(
        self,
        name: str,
        redirect_urls: Iterable[str],
        permissions: Iterable[str],
        credentials: tuple[str, str] | None = None,
    ) -> ExternalApplication:
        """Make one, with these *credentials*, client ID and client secret; ``None`` for new ones. Raises
        :class:`~.links.LinkRefusedError`."""
        urls, ticked = tuple(redirect_urls), frozenset(permissions)
        with self._lock:
            if not name:
                raise LinkRefusedError("Enter a Name.")
            if any(application.name == name for application in self._by_id.values()):
                raise LinkRefusedError(f"There is a link with this Name already: {name}.")
            if not urls or not all(is_web_address(url) and "#" not in url for url in urls):
                raise LinkRefusedError(
                    "Enter the whole Redirect URL, beginning with https:// or http:// and without a fragment. Several "
                    "are separated by commas."
                )
            if ticked - INCLUDED_SCOPES.keys():
                raise LinkRefusedError(f"There is no permission called {min(ticked - INCLUDED_SCOPES.keys())}.")
            if not ticked:
                raise LinkRefusedError("Choose at least one of the Application permissions.")
            client_id, client_secret = credentials or (secrets.token_hex(16), secrets.token_hex(32))
            application = ExternalApplication(str(uuid.uuid4()), name, urls, ticked, client_id, client_secret)
            self._by_id[application.id] = application
            return application

    def remove(self, application_id: str) -> None:
        """Delete one. Raises ``KeyError`` if there is no such id."""
        with self._lock:
            del self._by_id[application_id]

    def get(self, application_id: str) -> ExternalApplication | None:
        """Return the application with this id, or ``None``."""
        return self._by_id.get(application_id)

    def by_client_id(self, client_id: str) -> ExternalApplication | None:
        """Return the application with this client ID, or ``None``."""
        return next((application for application in self.all() if application.client_id == client_id), None)

    def all(self) -> list[ExternalApplication]:
        """Return every application, the oldest first."""
        with self._lock:
            return list(self._by_id.values())


def closure(scopes: Iterable[str]) -> frozenset[str]:
    """Return *scopes* and all scopes that they include."""
    found: set[str] = set()
    left = list(scopes)
    while left:
        scope = left.pop()
        found.add(scope)
        left.extend(INCLUDED_SCOPES[scope])
    return frozenset(found)
