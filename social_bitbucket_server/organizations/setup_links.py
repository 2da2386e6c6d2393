"""Set-up links: anyone who has one can set one integration up in Bitbucket, without an account, until it ends.

Storage keeps the digest of the token in the link, and nothing that would open it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from enum import StrEnum

SETUP_LINK_KEPT = timedelta(days=30)
"""How long a set-up link that ended can say why."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class SetupLinkLife(StrEnum):
    """How long a set-up link opens, as its maker chooses."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def length(self) -> timedelta:
        """The time from making the link to its end."""
        return {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}[self]

    @property
    def words(self) -> str:
        """The length in words: "one hour"."""
        return {"hour": "one hour", "day": "one day", "week": "seven days"}[self]


class SetupLinkCondition(StrEnum):
    """Whether a set-up link opens, or why it does not."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"
    DONE = "done"
    """A person has logged in since it was made, and no key pair waits for Bitbucket."""
    ANOTHER_SERVER = "another-server"
    DELETED = "deleted"


def new_setup_token() -> str:
    """Return the token of a new set-up link, of 256 random bits, safe in addresses."""
    return secrets.token_urlsafe(32)


def setup_token_digest(token: str) -> str:
    """Return the SHA-256 of *token* in hexadecimal. It is empty for a text that no set-up link has."""
    return hashlib.sha256(token.encode()).hexdigest() if _TOKEN.fullmatch(token) else ""


def setup_link_condition(
    *,
    created_at: datetime,
    expires_at: datetime,
    revoked_at: datetime | None,
    last_login_at: datetime | None,
    waits_for_key: bool,
    now: datetime,
) -> SetupLinkCondition:
    """Return whether a set-up link opens, or why it does not. All times have a time zone, or none has.

    *last_login_at*: of the integration; ``None`` before the first login. *waits_for_key*: a new key pair of the
    integration waits until Bitbucket has its public key.
    """
    if revoked_at is not None and revoked_at < expires_at:
        return SetupLinkCondition.REVOKED
    if last_login_at is not None and last_login_at > created_at and not waits_for_key:
        return SetupLinkCondition.DONE
    return SetupLinkCondition.LIVE if now < expires_at else SetupLinkCondition.EXPIRED
