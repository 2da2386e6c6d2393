"""Ways into an organization: its login link, which can be closed and replaced, and one integration that is enforced."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import StrEnum

from ..problems import Code


class ClosedBy(StrEnum):
    """Reasons why a way in is closed. The values are the codes of problems."""

    LOGIN_LINK = Code.LOGIN_LINK_CLOSED.value
    """The login link is closed, and with it every integration."""
    ENFORCEMENT = Code.ANOTHER_WAY_ONLY.value
    """Another integration is enforced: it is the only way in."""


@dataclass(frozen=True, slots=True)
class LoginWays:
    """The ways into one organization.

    *key* is a part of the login link, and empty until the link is replaced for the first time. *is_closed*: the login
    link lets nobody in. *enforced* is the id of the integration that is the only way in, or ``None``.
    """

    key: str = ""
    is_closed: bool = False
    enforced: str | None = None

    def is_current_link(self, key: str) -> bool:
        """Return whether a login link with this *key* is the current one, and not one that it replaced."""
        return not self.key or hmac.compare_digest(key.encode(), self.key.encode())

    def is_shut_out(self, integration_id: str) -> bool:
        """Return whether another integration than this one is enforced."""
        return self.enforced not in {None, integration_id}

    def closed_by(self, integration_id: str) -> ClosedBy | None:
        """Return what keeps people from logging in through this integration; ``None`` if nothing does."""
        if self.is_closed:
            return ClosedBy.LOGIN_LINK
        return ClosedBy.ENFORCEMENT if self.is_shut_out(integration_id) else None
