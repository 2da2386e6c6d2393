"""Another base URL for an integration: the server moved, or it is another server.

People are recognized by their number on the server, which on another server is another person's. So another server gets
a new namespace, and the identities, sessions and client secret of the old one are deleted. All of them stay if the
server moved.
"""

from __future__ import annotations

from enum import StrEnum

from ..account import Profile


class ServerChange(StrEnum):
    """Meanings of a change of the base URL."""

    NONE = "none"
    """The base URL is the same."""
    ASK = "ask"
    """People log in here: the organization's admin must say whether their server moved."""
    MOVED = "moved"
    """The same server has a new address."""
    ANOTHER = "another"
    """It is another server, where every person begins anew."""


def server_change(
    before: str, after: str, *, has_people: bool, says_moved: bool | None, needs_proof: bool
) -> ServerChange:
    """Return what the change of a base URL means. *before* and *after* are base URLs in their clean form.

    *has_people*: people logged in through the integration. *says_moved* is the admin's answer, and ``None`` without
    one. *needs_proof*: the answer counts only after a trial login, which is impossible before people have logged in.
    """
    if before == after:
        return ServerChange.NONE
    if says_moved is None and has_people:
        return ServerChange.ASK
    return ServerChange.MOVED if says_moved and (has_people or not needs_proof) else ServerChange.ANOTHER


def shows_same_server(profile: Profile, known_username: str | None) -> bool:
    """Return whether a trial login at a new address shows that the server moved.

    It does if the person *profile* has the same number and the same username there as before. *known_username* is the
    username that the integration knows for this number, and ``None`` if it knows no such person. The number alone shows
    nothing, because every server has a person with a small number.
    """
    return known_username is not None and known_username == profile.username
