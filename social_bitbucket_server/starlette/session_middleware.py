"""The application's SessionMiddleware: it is there, and its cookie comes back with a login."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection

from ..integration import UnsafeConfigurationError
from ..login import CookieSettings, lost_sessions

_NAMES = CookieSettings(
    same_site="same_site of SessionMiddleware",
    domain="domain of SessionMiddleware",
    secure="https_only of SessionMiddleware",
    lax="lax",
    strict="strict",
)


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
    cookie = session_cookie(connection)
    for origin in origins if cookie else ():
        for sentence in lost_sessions(cookie, origin, _NAMES):
            raise UnsafeConfigurationError(sentence)
        if origin.startswith("https:") and not cookie[_NAMES.secure]:
            raise UnsafeConfigurationError(
                f"Set {_NAMES.secure} to True, so that sessions of {origin} are never sent without TLS."
            )


def cookie_domain(connection: HTTPConnection) -> str:
    """Return the domain of the session's cookie; empty if it is the host alone, or not known."""
    return str(session_cookie(connection).get(_NAMES.domain) or "")


def session_cookie(connection: HTTPConnection) -> dict[str, Any]:
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
