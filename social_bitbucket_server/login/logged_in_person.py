"""The person who is logged in while a login begins or comes back."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from social_core.storage import PartialMixin, UserProtocol
from social_core.utils import setting_url, user_is_active, user_is_authenticated

from ..problems import BitbucketServerError, Code
from .pending import LONGEST_PERSON
from .purpose import Purpose

if TYPE_CHECKING:
    from .backend import LoginBackend


def id_of(users: Any, user: UserProtocol | None) -> str:
    """Return what tells *user* from all others in the storage's *users*; empty if nobody is logged in.

    A long id is replaced by its digest, so that it fits into a session. Raises ``setting_invalid`` if users have no
    primary key that is known.
    """
    if user is None or not user_is_authenticated(user):
        return ""
    text = str(primary_key_of(users, user))
    is_short = len(quote(text, safe="")) < LONGEST_PERSON  # no shorter one looks like a digest
    return text if is_short else hashlib.sha256(text.encode()).hexdigest()


def primary_key_of(users: Any, user: UserProtocol) -> object:
    """Return the primary key of *user* as the storage's *users* know it, or as Django and social-core call it.

    Raises ``setting_invalid`` if users have no primary key that is known.
    """
    own = getattr(users, "primary_key_of", None)
    if own is not None:
        return own(user)
    name = next((name for name in ("pk", "id") if hasattr(user, name)), None)
    if name is None:
        raise BitbucketServerError(
            Code.SETTING_INVALID,
            "Its users have neither id nor pk, and its user class has no primary_key_of().",
            parameter="STORAGE",
        )
    return getattr(user, name)


def user_of_post(strategy: Any) -> UserProtocol | None:
    """Return the user of the request of *strategy*, as Django keeps both, if it is a POST; ``None`` if there is none.

    Some applications, such as Weblate, call core's ``do_auth`` without the user.
    """
    request = getattr(strategy, "request", None)
    return getattr(request, "user", None) if getattr(request, "method", None) == "POST" else None


def refuse_another_person(
    backend: LoginBackend[Any, Any], user: UserProtocol | None, uid: str, purpose: Purpose
) -> None:
    """Check that the login of the identity *uid* concerns nobody but *user*, who is logged in.

    Raises ``another_person`` if a login would attach the identity to them, and ``identity_in_use`` if connecting would
    take it from its owner.
    """
    if not user_is_authenticated(user):
        return
    identity = backend.strategy.storage.user.get_social_auth(backend.name, uid)
    if identity is not None and identity.user == user:
        return
    if purpose is not Purpose.CONNECT:
        raise BitbucketServerError(Code.ANOTHER_PERSON)
    if identity is not None:
        raise BitbucketServerError(Code.IDENTITY_IN_USE)


def refuse_to_go_on(users: Any, partial: PartialMixin, user: UserProtocol | None) -> None:
    """Check that a halted pipeline may go on for *user*, who is logged in, because the login began as theirs or its
    steps found them. Raises ``another_person``."""
    if user is None or not user_is_authenticated(user):
        return
    own = {partial.kwargs.get("connects_to"), id_of(users, partial.kwargs.get("user"))}
    if id_of(users, user) not in own:
        raise BitbucketServerError(Code.ANOTHER_PERSON)


def refuse_inactive(backend: LoginBackend[Any, Any], person: object) -> None:
    """Raise ``person_inactive`` for a *person* who is disabled here, unless an address is configured for them: core
    sends them there. It would also send them to ``LOGIN_URL``, where they begin again and learn nothing."""
    is_person = isinstance(person, backend.strategy.storage.user.user_model())
    if not is_person or user_is_active(cast("UserProtocol", person)) or backend.setting("ALLOW_INACTIVE_USERS_LOGIN"):
        return
    if setting_url(backend, "INACTIVE_USER_URL", "LOGIN_ERROR_URL") is None:
        raise BitbucketServerError(Code.PERSON_INACTIVE)
