"""HTTP access tokens, which people make for their own programs."""

from __future__ import annotations

import secrets

from .bounded import BoundedDict

_REMEMBERED = 10_000


class HTTPAccessTokens:
    """The tokens that people make for their own programs. They reach only projects and repositories."""

    def __init__(self) -> None:
        self._user_ids: BoundedDict[str, int] = BoundedDict(_REMEMBERED)

    def add(self, user_id: int) -> str:
        """Make a token of the person with this id."""
        value = secrets.token_urlsafe(33)
        self._user_ids[value] = user_id
        return value

    def user_id(self, value: str) -> int | None:
        """Return the id of the token's person. ``None`` for an unknown token."""
        return self._user_ids.get(value)
