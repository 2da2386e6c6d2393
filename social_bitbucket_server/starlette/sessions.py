"""The session of a browser, which names the user who is logged in.

The application's SessionMiddleware keeps it: it is there, and its cookie comes back with a login.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from social_core.storage import BaseStorage
from social_core.utils import user_is_active
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection

from ..integration import BACKENDS, UnsafeConfigurationError
from ..login import CookieSettings, lost_sessions, primary_key_of, under_way

_USER = "bitbucket_server_user"
_NAMES = CookieSettings(
    same_site="same_site of SessionMiddleware",
    domain="domain of SessionMiddleware",
    secure="https_only of SessionMiddleware",
    lax="lax",
    strict="strict",
)


def log_in(session: MutableMapping[str, Any], storage: type[BaseStorage], user: Any) -> None:
    """Make *session* that of *user*. Of what it held before, only logins that are under way in other tabs stay."""
    kept = under_way(session, BACKENDS)
    session.clear()
    session.update(kept)
    session[_USER] = primary_key_of(storage.user, user)


def is_logged_in(session: Mapping[str, Any]) -> bool:
    """Return whether *session* names a user."""
    return _USER in session


def find_user(session: Mapping[str, Any], storage: type[BaseStorage]) -> Any:
    """Return the user of *session*, or ``None``. A user who was deleted or disabled is not logged in."""
    if not is_logged_in(session):
        return None
    user = storage.user.get_user(session[_USER])
    return user if user is not None and user_is_active(user) else None


def refuse_lost_sessions(connection: HTTPConnection, origins: Iterable[str]) -> None:
    """Check that *connection* has a session, and that its cookie is sent to *origins*, by TLS alone where they have it.

    Of a session that other middleware keeps, only its presence is checked. Raises
    :class:`~social_bitbucket_server.integration.UnsafeConfigurationError`.
    """
    if "session" not in connection.scope:
        raise UnsafeConfigurationError(
            "Add SessionMiddleware to the application, such as by app.add_middleware(SessionMiddleware, "
            "secret_key=…, https_only=True), because a login is kept in the browser's session until it comes back."
        )
    cookie = _session_cookie(connection)
    for origin in origins if cookie else ():
        for sentence in lost_sessions(cookie, origin, _NAMES):
            raise UnsafeConfigurationError(sentence)
        if origin.startswith("https:") and not cookie[_NAMES.secure]:
            raise UnsafeConfigurationError(
                f"Set {_NAMES.secure} to True, so that sessions of {origin} are never sent without TLS."
            )


def cookie_domain(connection: HTTPConnection) -> str:
    """Return the domain of the session's cookie; empty if it is the host alone, or not known."""
    return str(_session_cookie(connection).get(_NAMES.domain) or "")


def _session_cookie(connection: HTTPConnection) -> dict[str, Any]:
    """Return the settings of the session's cookie; empty if the application's own middleware does not keep it."""
    application = connection.scope.get("app")
    for middleware in getattr(application, "user_middleware", ()):
        if inspect.isclass(middleware.cls) and issubclass(middleware.cls, SessionMiddleware):
            call = inspect.signature(middleware.cls).bind_partial(application, *middleware.args, **middleware.kwargs)
            call.apply_defaults()
            return {
                _NAMES.same_site: call.arguments.get("same_site"),
                _NAMES.domain: call.arguments.get("domain"),
                _NAMES.secure: call.arguments.get("https_only"),
            }
    return {}
