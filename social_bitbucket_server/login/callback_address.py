"""The address that Bitbucket sends the browser back to, and whether the browser's session will be there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlencode, urlsplit

from ..integration import AnyIntegration, callback_origin, is_loopback
from ..problems import BitbucketServerError, Code

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
    hosts = {host_of(str(origin)), host_of(str(host))}
    if not origin or len(hosts) == 1:
        return
    domain = _cookie_domain(backend)
    if not domain or not all(covers(domain, name) for name in hosts):
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


class CookieSettings(NamedTuple):
    """Names of the settings of a framework's session cookie. The defaults are Flask's and Django's.

    *lax* and *strict* are values of *same_site*.
    """

    same_site: str = "SESSION_COOKIE_SAMESITE"
    domain: str = "SESSION_COOKIE_DOMAIN"
    secure: str = "SESSION_COOKIE_SECURE"
    lax: str = "Lax"
    strict: str = "Strict"


_FLASK_AND_DJANGO = CookieSettings()


def lost_sessions(
    configured: Mapping[str, Any], origin: str, names: CookieSettings = _FLASK_AND_DJANGO
) -> Iterator[str]:
    """Yield a sentence for each setting of the session's cookie among *configured* with which the browser would not
    send it to *origin*, the scheme and host that logins come back to, or empty if they are not known. *names*: those of
    *configured*."""
    if str(configured.get(names.same_site)).lower() == names.strict.lower():
        yield (
            f'Set {names.same_site} to "{names.lax}", because with "{names.strict}" the session is missing when a '
            "login comes back from Bitbucket."
        )
    host = host_of(origin)
    domain = configured.get(names.domain)
    if host and domain and not covers(str(domain), host):
        yield f"Set {names.domain} to a domain of {host}, because logins come back to {origin}."
    if configured.get(names.secure) is True and origin.startswith("http:") and not is_loopback(host):
        yield f"Set {names.secure} to False, or serve {origin} with https://, because logins come back to it."


def host_of(address: str) -> str:
    """Return the host name in an origin, or in a host with its port; nothing where it has none."""
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""


def covers(domain: str, host: str) -> bool:
    """Return whether the browser sends a cookie of *domain* to *host* (RFC 6265, section 5.1.3)."""
    name = domain.lower().lstrip(".")
    return host == name or host.endswith(f".{name}")
