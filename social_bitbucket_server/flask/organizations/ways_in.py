"""The login link in a browser: which one it is, and whether this browser was given it."""

from __future__ import annotations

from typing import Any

from flask import session, url_for

from ...organizations import LoginWays
from ...sqlalchemy.organizations import IntegrationMixin
from .current import store
from .navigation import absolute

_KEY = "bitbucket_login_key"


def login_link(organization: Any) -> str:
    """Return the address that people open to log in."""
    key = store.ways_in.of(organization).key or None
    return absolute(url_for("bitbucket.organization.login", slug=organization.slug, key=key))


def end_logins(organization: Any) -> None:
    """End everybody's sessions and the logins under way, which enabling *organization* again does not bring back.

    An application calls this when it disables an organization, and commits. Until then *may_log_in* alone keeps people
    out.
    """
    store.ways_in.end_logins(organization)


def came_by_link(organization: Any, ways: LoginWays, key: str) -> bool:
    """Return whether this browser was given the current login link, now by its *key* or before. Remember that."""
    if ways.is_current_link(key):
        remember(organization, ways)
        return True
    return bool(session.get(_KEY) == _remembered(organization, ways))


def remember(organization: Any, ways: LoginWays) -> None:
    """Let this browser go on with the login link that is current now."""
    if ways.key:
        session[_KEY] = _remembered(organization, ways)


def is_open(record: IntegrationMixin, ways: LoginWays) -> bool:
    """Return whether this browser may begin a login through *record*. *ways* are those into its organization."""
    return came_by_link(record.organization, ways, "") and ways.closed_by(record.id) is None


def _remembered(organization: Any, ways: LoginWays) -> list[str]:
    return [str(store.key_of(organization)), ways.key]
