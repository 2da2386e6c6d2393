"""Access tokens that end when their person logs out."""

from __future__ import annotations

from typing import Any

from django.contrib import auth
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from social_django.utils import Storage

from ..login import revoke_at_logout
from .configuration import backend_of

_ENDED = "bitbucket_server_session_is_over"


def end_session(request: HttpRequest) -> None:
    """End the session of *request*. Its person did not ask for that, so their access tokens stay: another session of
    theirs may have brought a newer one."""
    setattr(request, _ENDED, True)
    auth.logout(request)


def revoke_access_tokens(user: AbstractBaseUser | None, request: HttpRequest | None = None, **_signal: Any) -> None:
    """Erase and revoke the access tokens of *user*, who logs out, if ``…_REVOKE_AT_LOGOUT`` is ``True``. It receives
    Django's signal ``user_logged_out``, whose user is ``None`` if nobody was logged in."""
    if user is not None and not hasattr(request, _ENDED):
        revoke_at_logout(user, Storage, backend_of)
