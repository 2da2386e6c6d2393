"""This library's settings in Django, read each time they are used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from inspect import unwrap
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string
from social_django.utils import Storage, Strategy

from ..crypto import KeyRing, Secret, opaque
from ..integration import (
    BACKENDS,
    OAUTH1,
    OAUTH2,
    SettingsOf,
    callback_origin,
    configured_backend,
    is_loopback,
    read_role_names,
)
from ..login import LoginBackend
from ..organizations import EVERYBODY, Ids, Limited, Outbound, read_outbound
from ..problems import BitbucketServerError, Code
from ..transport import Limits, default_transport

FIND = "social_bitbucket_server.django.integrations.find"
"""Dotted path of the function that looks integrations up in the database."""
FIND_OAUTH2 = "social_bitbucket_server.django.integrations.find_oauth2"
"""Dotted path of the function that looks them up for logins by OAuth 2."""

_IDS = Ids(re.compile(r"[0-9a-f]{24}"), "'python manage.py bitbucket_server list' prints the ids.")


class Settings(Mapping[str, Any]):
    """Django's settings by name. None is looked at that nobody asks for: some say that they are deprecated."""

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(settings, name)
        except AttributeError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (name for name in dir(settings) if name.isupper())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def setting(name: str, default: Any = None, backend: str = OAUTH1) -> Any:
    """Return the setting *name*, looked up as social-core does: for *backend*, for all backends, and by its bare
    name."""
    return SettingsOf(backend, Settings()).get(name, default)


def backend_of(provider: str) -> LoginBackend[Any, Any]:
    """Return the backend called *provider*, without a request. Raises core's error if it is not configured."""
    strategy = Strategy(Storage)
    return cast("LoginBackend[Any, Any]", configured_backend(strategy.get_backends(), provider)(strategy))


def full_name(name: str) -> str:
    """Return the full name of the setting *name*: the one that it is set by, or else this backend's own."""
    return SettingsOf(OAUTH1, Settings()).name(name)


def limit() -> Callable[[HttpRequest, Limited, str], object] | None:
    """Return the project's function for rate limits, or ``None`` if it has none. Raises ImportError for a path that
    leads nowhere."""
    configured = setting("LIMIT")
    found: Callable[[HttpRequest, Limited, str], object] | None
    found = import_string(configured) if isinstance(configured, str) else configured
    return found


def origin() -> str:
    """Return scheme and host of this application. Raises ``setting_missing`` and ``setting_invalid``."""
    return callback_origin(_needed("CALLBACK_ORIGIN", "It is scheme and host of this application."))


def _needed(name: str, reason: str) -> Any:
    value = setting(name)
    if not value:
        raise BitbucketServerError(Code.SETTING_MISSING, reason, parameter=name, setting=full_name(name))
    return value


def application_name() -> str:
    """Return the name that people see when Bitbucket asks them to allow the login: as configured, or else the host."""
    return str(setting("APPLICATION_NAME") or urlsplit(origin()).hostname)


@opaque
def key_ring() -> KeyRing:
    """Return the key ring that seals private keys. Raises ``setting_missing`` and ``key_ring_invalid``."""
    return _parsed_ring(Secret(_needed("KEY_RING", "Private keys are kept sealed, and need a key ring.")))


@lru_cache(maxsize=4)
def _parsed_ring(text: str) -> KeyRing:
    return KeyRing.parse(text)


def outbound(only: str | None = EVERYBODY) -> Outbound:
    """Return which servers may be reached: *only* that of the integration with this id, or what all may reach.
    ``None`` reads the private networks of every one. Raises ``setting_invalid``.

    The key is no login link, because another integration may get that of a deleted one.
    """
    return read_outbound(SettingsOf(OAUTH1, Settings()), _IDS, only)


def limits() -> Limits:
    """Return how long the servers of one organization may keep threads waiting. Raises ``setting_invalid``."""
    return default_transport().limits.with_settings(setting)


def role_names() -> tuple[str, ...]:
    """Return the names of the roles that administrators of integrations may give. Raises ``setting_invalid``."""
    return read_role_names(setting("ORGANIZATION_ROLES"))


def is_local() -> bool:
    """Return whether only browsers on this machine reach the application."""
    try:
        return is_loopback(urlsplit(origin()).hostname or "")
    except (BitbucketServerError, ValueError):  # there is no usable origin
        return False


def has_integrations_in_database() -> bool:
    """Return whether integrations are looked up in the database, and not in plain settings or elsewhere."""
    return bool(backends_in_database())


def has_oauth2_in_database() -> bool:
    """Return whether integrations in the database may be for OAuth 2."""
    return OAUTH2 in backends_in_database()


def backends_in_database() -> frozenset[str]:
    """Return the names of our backends that look integrations up in the database.

    A function that calls ours counts only if it is marked with ``functools.wraps``.
    """
    functions = {name: unwrap(setting("INTEGRATIONS", backend=name)) for name in BACKENDS}
    module = FIND.rpartition(".")[0]
    return frozenset(
        name
        for name, function in functions.items()
        if function in (FIND, FIND_OAUTH2) or getattr(function, "__module__", "") == module
    )


def installed_backends() -> set[str]:
    """Return which of our backends the project uses, by their names."""
    names = {getattr(import_string(path), "name", "") for path in settings.AUTHENTICATION_BACKENDS}
    return names & BACKENDS.keys()
