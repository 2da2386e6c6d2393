"""Sessions that are missing when a login comes back, because of where their cookies go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..integration import is_loopback


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


def is_shared(domain: str, *hosts: str) -> bool:
    """Return whether all *hosts* get the same cookie: they are one, or have the *domain* of the cookie."""
    return len(set(hosts)) == 1 or (bool(domain) and all(covers(domain, host) for host in hosts))
