"""Access tokens that end when their person logs out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from social_django.utils import Storage

from ..login import revoke_at_logout
from .configuration import backend_of

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


def revoke_access_tokens(user: AbstractBaseUser | None, **_signal: Any) -> None:
    """Erase and revoke the access tokens of *user*, who logs out, if ``…_REVOKE_AT_LOGOUT`` is ``True``. It receives
    Django's signal ``user_logged_out``, whose user is ``None`` if nobody was logged in."""
    if user is not None:
        revoke_at_logout(user, Storage, backend_of)
