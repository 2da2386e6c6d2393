"""This library's settings in Django, read each time they are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from inspect import unwrap
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from social_core.utils import setting_name

from ..addresses import AddressPolicy
from ..configuration import callback_origin
from ..key_ring import KeyRing
from ..problems import BitbucketServerError
from ..secret import Secret, opaque
from ..server_url import ORGANIZATION_RULES, BaseURLRules, is_loopback

_BACKEND = "bitbucket-server"
FIND = "social_bitbucket_server.django.integrations.find"
"""What looks integrations up in the database."""

_PLAIN_HTTP = 80


def setting(name: str, default: Any = None) -> Any:
    """A setting by its name without prefix, looked up as social-core does it: for this backend, for all, and bare."""
    for full_name in (setting_name(_BACKEND, name), setting_name(name), name):
        if hasattr(settings, full_name):
            return getattr(settings, full_name)
    return default


def full_name(name: str) -> str:
    """Return the full name of the setting *name*: the one that it is set by, or else this backend's own."""
    own = setting_name(_BACKEND, name)
    return next((full for full in (own, setting_name(name), name) if hasattr(settings, full)), own)


def origin() -> str:
    """Scheme and host of this application. Raises ``setting_missing`` and ``setting_invalid``."""
    configured = setting("CALLBACK_ORIGIN")
    if not configured:
        raise BitbucketServerError(
            "setting_missing",
            "It is scheme and host of this application.",
            parameter="CALLBACK_ORIGIN",
            setting=full_name("CALLBACK_ORIGIN"),
        )
    return callback_origin(configured)


def application_name() -> str:
    """What people see when Bitbucket asks whether they allow the login: as configured, else the host."""
    return str(setting("APPLICATION_NAME") or urlsplit(origin()).hostname)


@opaque
def key_ring() -> KeyRing:
    """What seals private keys. Raises ``setting_missing`` and ``key_ring_invalid``."""
    text = setting("KEY_RING")
    if not text:
        raise BitbucketServerError(
            "setting_missing",
            "Private keys are kept sealed, and need a key ring.",
            parameter="KEY_RING",
            setting=full_name("KEY_RING"),
        )
    return _parsed_ring(Secret(text))


@lru_cache(maxsize=4)
def _parsed_ring(text: str) -> KeyRing:
    return KeyRing.parse(text)


def base_url_rules() -> BaseURLRules:
    """Which base URLs an integration may have. Raises ``setting_invalid``."""
    hosts = setting("HTTP_HOSTS") or ()
    if isinstance(hosts, str):  # whose letters would be hosts
        raise BitbucketServerError(
            "setting_invalid",
            'It is a list of hosts, such as ["bitbucket.test.example"].',
            parameter="HTTP_HOSTS",
            setting=full_name("HTTP_HOSTS"),
        )
    plain_http = frozenset(hosts)
    ports = frozenset(ORGANIZATION_RULES.ports or ())
    return replace(
        ORGANIZATION_RULES,
        ports=ports | {_PLAIN_HTTP} if plain_http else ports,
        plain_http_hosts=plain_http,
        literal_hosts=frozenset(setting("TEST_ADDRESSES") or ()),
    )


def address_policy(integration_id: str) -> AddressPolicy:
    """Which addresses the server of the integration may have. Raises ``ValueError`` that names a wrong one."""
    networks = private_networks()
    return AddressPolicy(
        private_networks=tuple(
            ip_network(text) for text in (*networks.get(integration_id, ()), *networks.get("*", ()))
        ),
        test_addresses=frozenset(ip_address(text) for text in setting("TEST_ADDRESSES") or ()),
    )


def private_networks() -> Mapping[str, Any]:
    """The private networks that the operator allows, by an integration's id, with ``*`` for all. A login link may be
    given again."""
    networks: Mapping[str, Any] = setting("PRIVATE_NETWORKS") or {}
    return networks


def is_local() -> bool:
    """Whether only browsers on this machine reach the application."""
    try:
        return is_loopback(urlsplit(origin()).hostname or "")
    except (BitbucketServerError, ValueError):  # of an origin that is none nothing is known
        return False


def has_integrations_in_database() -> bool:
    """Whether integrations are looked up in the database, and not in plain settings or elsewhere. Of a function that
    calls ours nothing is known, except where it says by ``functools.wraps`` that it does."""
    configured = unwrap(setting("INTEGRATIONS"))
    return configured == FIND or getattr(configured, "__module__", "") == FIND.rpartition(".")[0]
