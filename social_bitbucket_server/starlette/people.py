"""The user who is logged in, whose primary key the session keeps."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from social_core.storage import BaseStorage
from social_core.utils import user_is_active

from ..integration import BACKENDS
from ..login import primary_key_of, under_way

_USER = "bitbucket_server_user"


def log_in(session: MutableMapping[str, Any], storage: type[BaseStorage], user: Any) -> None:
    """Make *session* that of *user*. Of what it held before, only logins that are under way in other tabs stay."""
    kept = under_way(session, BACKENDS)
    session.clear()
    session.update(kept)
    session[_USER] = primary_key_of(storage.user, user)


def is_logged_in(session: Mapping[str, Any]) -> bool:
    """Return whether *session* names a user."""
    return _USER in session


def find(session: Mapping[str, Any], storage: type[BaseStorage]) -> Any:
    """Return the user of *session*, or ``None``. A user who was deleted or disabled is not logged in."""
    if not is_logged_in(session):
        return None
    user = storage.user.get_user(session[_USER])
    return user if user is not None and user_is_active(user) else None
