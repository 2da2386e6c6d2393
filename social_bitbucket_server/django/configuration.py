"""This library's settings in Django, read each time they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from inspect import unwrap
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from ..crypto import KeyRing, Secret, opaque
from ..integration import ORGANIZATION_RULES, BaseURLRules, SettingsOf, callback_origin, is_loopback
from ..problems import BitbucketServerError, Code
from ..transport import AddressPolicy

_BACKEND = "bitbucket-server"
FIND = "social_bitbucket_server.django.integrations.find"
"""Dotted path of the function that looks integrations up in the database."""

_PLAIN_HTTP = 80


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


def setting(name: str, default: Any = None, backend: str = _BACKEND) -> Any:
    """Return the setting *name*, looked up as social-core does: for *backend*, for all backends, and by its bare
    name."""
    return SettingsOf(backend, Settings()).get(name, default)


def full_name(name: str) -> str:
    """Return the full name of the setting *name*: the one that it is set by, or else this backend's own."""
    return SettingsOf(_BACKEND, Settings()).name(name)


def origin() -> str:
    """Return scheme and host of this application. Raises ``setting_missing`` and ``setting_invalid``."""
    configured = setting("CALLBACK_ORIGIN")
    if not configured:
        raise BitbucketServerError(
            Code.SETTING_MISSING,
            "It is scheme and host of this application.",
            parameter="CALLBACK_ORIGIN",
            setting=full_name("CALLBACK_ORIGIN"),
        )
    return callback_origin(configured)


def application_name() -> str:
    """Return the name that people see when Bitbucket asks them to allow the login: as configured, or else the host."""
    return str(setting("APPLICATION_NAME") or urlsplit(origin()).hostname)


@opaque
def key_ring() -> KeyRing:
    """Return the key ring that seals private keys. Raises ``setting_missing`` and ``key_ring_invalid``."""
    text = setting("KEY_RING")
    if not text:
        raise BitbucketServerError(
            Code.SETTING_MISSING,
            "Private keys are kept sealed, and need a key ring.",
            parameter="KEY_RING",
            setting=full_name("KEY_RING"),
        )
    return _parsed_ring(Secret(text))


@lru_cache(maxsize=4)
def _parsed_ring(text: str) -> KeyRing:
    return KeyRing.parse(text)


def base_url_rules() -> BaseURLRules:
    """Return the rules for the base URLs of integrations. Raises ``setting_invalid``."""
    hosts = setting("HTTP_HOSTS") or ()
    if isinstance(hosts, str):  # whose letters would be hosts
        raise BitbucketServerError(
            Code.SETTING_INVALID,
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
    """Return the addresses that the integration's server may have. Raises ``ValueError`` that names a wrong one."""
    networks = private_networks()
    return AddressPolicy(
        private_networks=tuple(
            ip_network(text) for text in (*networks.get(integration_id, ()), *networks.get("*", ()))
        ),
        test_addresses=frozenset(ip_address(text) for text in setting("TEST_ADDRESSES") or ()),
    )


def private_networks() -> Mapping[str, Any]:
    """Return the private networks that the operator allows, by an integration's id; ``*`` stands for all. The key is
    no login link, because another integration may get that of a deleted one."""
    networks: Mapping[str, Any] = setting("PRIVATE_NETWORKS") or {}
    return networks


def is_local() -> bool:
    """Return whether only browsers on this machine reach the application."""
    try:
        return is_loopback(urlsplit(origin()).hostname or "")
    except (BitbucketServerError, ValueError):  # there is no usable origin
        return False


def has_integrations_in_database() -> bool:
    """Return whether integrations are looked up in the database, and not in plain settings or elsewhere.

    A function that calls ours counts only if it is marked with ``functools.wraps``.
    """
    configured = unwrap(setting("INTEGRATIONS"))
    return configured == FIND or getattr(configured, "__module__", "") == FIND.rpartition(".")[0]
