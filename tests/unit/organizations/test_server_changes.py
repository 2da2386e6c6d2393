"""A server that moved, and another server."""

from __future__ import annotations

import pytest

from social_bitbucket_server.account import Profile
from social_bitbucket_server.organizations import ServerChange, server_change, shows_same_server

OLD, NEW = "https://bitbucket.example.com", "https://git.example.com"


@pytest.mark.parametrize(
    ("after", "has_people", "says_moved", "needs_proof", "change"),
    [
        (OLD, True, None, True, ServerChange.NONE),
        (OLD, True, True, True, ServerChange.NONE),
        (NEW, True, None, True, ServerChange.ASK),
        (NEW, True, None, False, ServerChange.ASK),
        (NEW, True, True, True, ServerChange.MOVED),
        (NEW, True, True, False, ServerChange.MOVED),
        (NEW, True, False, True, ServerChange.ANOTHER),
        (NEW, False, None, True, ServerChange.ANOTHER),
        (NEW, False, False, False, ServerChange.ANOTHER),
        (NEW, False, True, True, ServerChange.ANOTHER),
        (NEW, False, True, False, ServerChange.MOVED),
    ],
)
def test_the_admin_is_asked_only_if_people_would_lose_their_accounts(
    after: str, has_people: bool, says_moved: bool | None, needs_proof: bool, change: ServerChange
) -> None:
    assert server_change(OLD, after, has_people=has_people, says_moved=says_moved, needs_proof=needs_proof) is change


@pytest.mark.parametrize(
    ("slug", "known_username", "is_shown"),
    [
        ("jane", "jane", True),
        ("jane", "omar", False),
        ("jane", None, False),
        (None, "Jane", True),
        (None, "jane", False),
    ],
)
def test_the_same_number_and_username_show_the_same_server(
    slug: str | None, known_username: str | None, is_shown: bool
) -> None:
    profile = Profile(id=1, name="Jane", slug=slug, display_name="Jane", email=None, avatar_url=None, url=None)
    assert shows_same_server(profile, known_username) is is_shown
