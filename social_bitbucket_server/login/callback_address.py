"""The address that Bitbucket sends the browser back to, and whether the browser's session will be there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode, urlsplit

from ..integration import AnyIntegration, callback_origin
from ..problems import BitbucketServerError, Code
from .session_cookies import host_of, is_shared

if TYPE_CHECKING:
    from .backend import LoginBackend

_LOG = logging.getLogger(__name__)


def callback_address(backend: LoginBackend[Any, Any], integration: AnyIntegration) -> str:
    """Return the absolute address of *integration*'s callback.

    Raises ``setting_missing`` with many integrations and no configured origin.
    """
    uri = cast("str", backend.redirect_uri)
    origin = backend.setting("CALLBACK_ORIGIN")
    if origin:
        uri = callback_origin(origin) + urlsplit(uri).path
    if backend.has_single_server:
        return uri
    if not origin:
        raise BitbucketServerError(
            Code.SETTING_MISSING,
            "With several integrations the callback's scheme and host must be configured.",
            parameter="CALLBACK_ORIGIN",
        )
    # Core's own route names the backend there, which an integration may be called like.
    path = urlsplit(uri).path.rstrip("/").removesuffix(f"/complete/{backend.name}")
    if integration.id in path.split("/"):
        return uri
    return f"{uri}?{urlencode({'integration': integration.id})}"


def note_another_host(backend: LoginBackend[Any, Any]) -> None:
    """Write to the log that this browser's session will be missing, because the login comes back to another host.

    The person is not stopped: a proxy in front of the application may have changed the ``Host``. A strategy that
    answers every request with the configured host may tell the browser's by a method ``browsers_host``.
    """
    origin = backend.setting("CALLBACK_ORIGIN")
    browsers_host = getattr(backend.strategy, "browsers_host", backend.strategy.request_host)
    try:
        host = browsers_host()
    except NotImplementedError:
        return
    if origin and not is_shared(_cookie_domain(backend), host_of(str(origin)), host_of(str(host))):
        _LOG.warning(
            "A login began at %r and comes back to %s, as %s says; a browser keeps a session for each host, so the "
            "login will not be under way there. Let people open %s, or let the proxy pass on the Host header.",
            str(host)[:255],
            origin,
            backend.full_name("CALLBACK_ORIGIN"),
            origin,
        )


def _cookie_domain(backend: LoginBackend[Any, Any]) -> str:
    try:
        return str(backend.strategy.get_setting("SESSION_COOKIE_DOMAIN") or "")
    except (AttributeError, KeyError):
        return ""
