"""OAuth versions of an integration: OAuth 1, OAuth 2, or both during an upgrade.

An upgrade begins when the client credentials for OAuth 2 are there, and ends with the first login by OAuth 2. People
are the same either way: an identity is the integration's namespace and the numeric user id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..integration import OAUTH1, OAUTH2


class OAuth(StrEnum):
    """A version of OAuth by which people log in."""

    ONE = "1"
    TWO = "2"

    @property
    def backend(self) -> str:
        """The name of the library's backend for it."""
        return OAUTH1 if self is OAuth.ONE else OAUTH2


@dataclass(frozen=True, slots=True)
class OAuthVersions:
    """The OAuth versions of one integration.

    *is_oauth1_ended*: OAuth 2 took the place of OAuth 1, or was chosen from the beginning. *has_client_credentials*:
    Bitbucket's client ID and client secret were entered.
    """

    is_oauth1_ended: bool
    has_client_credentials: bool

    @property
    def usable(self) -> tuple[OAuth, ...]:
        """The versions by which people can log in, the one that is known to work first. A new integration for OAuth 2
        has none until its client credentials are there."""
        versions = () if self.is_oauth1_ended else (OAuth.ONE,)
        return (*versions, OAuth.TWO) if self.has_client_credentials else versions

    @property
    def is_upgrade_begun(self) -> bool:
        """Whether people log in by OAuth 1, and may try OAuth 2."""
        return self.has_client_credentials and not self.is_oauth1_ended

    def is_tried(self, oauth: OAuth) -> bool:
        """Return whether *oauth* is the version that is being tried while people log in by the other one."""
        return oauth is OAuth.TWO and self.is_upgrade_begun

    def choose(self, wanted: str | None) -> OAuth | None:
        """Return the version with the value *wanted*, or for ``None`` the one that is known to work. Return ``None`` if
        people cannot use it."""
        return next((oauth for oauth in self.usable if wanted in {None, oauth.value}), None)

    def can_go_back(self, *, has_key_pair: bool) -> bool:
        """Return whether people can log in by OAuth 1 alone again. An integration that began with OAuth 2 has no key
        pair for it."""
        return has_key_pair and self.has_client_credentials
