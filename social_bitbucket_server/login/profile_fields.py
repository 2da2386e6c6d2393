"""A profile as social-core's pipeline knows it: the response, and what an identity keeps."""

from __future__ import annotations

from typing import Any

from ..account import Profile
from ..integration import AnyIntegration

KEPT: list[str | tuple[str, str] | tuple[str, str, bool]] = [
    "first_name",
    "last_name",
    "email",
    "name",
    "username",
    "display_name",
    "type",
    "active",
    "url",
    "avatar_url",
]
"""The fields that an identity keeps, by the names of core's own bitbucket-datacenter-oauth2."""


def response_of(profile: Profile, integration: AnyIntegration, roles: list[str] | None) -> dict[str, Any]:
    """Return the response that core's pipeline gets for *profile*, with the names of *roles*; ``None`` if *integration*
    gives none."""
    return {
        "id": profile.id,
        "uid": integration.uid(profile.id),
        "integration": integration.id,
        "name": profile.name,
        "slug": profile.slug,
        "username": profile.username,
        "display_name": profile.display_name,
        "email": profile.email,
        "type": "NORMAL",
        "active": True,
        "url": profile.url,
        "avatar_url": profile.avatar_url,
        "roles": roles,
    }
