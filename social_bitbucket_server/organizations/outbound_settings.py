"""The texts and mappings in which an operator gives the rules of :mod:`.outbound`.

An error names the setting and what is wrong with it, and never shows a proxy's password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from ..integration import SettingsOf
from ..problems import BitbucketServerError, Code
from ..transport import Address, AddressPolicy, Network
from .outbound import EVERYBODY, Outbound

_PROXY = re.compile(r"https?://([!-?A-~]+@)?([A-Za-z0-9.-]+|\[[0-9a-f:.]+\]):[0-9]{1,5}/?")


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids by which an operator knows organizations.

    *pattern*: matches a whole id. *hint*: a sentence that says where to look ids up. It is a part of errors.
    """

    pattern: re.Pattern[str]
    hint: str

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and (text == EVERYBODY or self.pattern.fullmatch(text) is not None)


def read_outbound(settings: SettingsOf, ids: Ids, only: str | None = None) -> Outbound:
    """Return the rules for connections in *settings*, which are those of one application.

    *only*: the id of the one organization whose private networks are needed; ``None`` reads those of all. Raises
    ``setting_invalid``, which names the setting.
    """
    networks = settings["PRIVATE_NETWORKS"] or {}
    if only is not None and isinstance(networks, Mapping):
        networks = {name: networks[name] for name in (only, EVERYBODY) if name in networks}
    return Outbound(
        private_networks=read_private_networks(networks, setting=settings.name("PRIVATE_NETWORKS"), ids=ids),
        plain_http_hosts=read_hosts(settings["HTTP_HOSTS"] or (), setting=settings.name("HTTP_HOSTS")),
        proxies=read_proxies(settings["PROXIES"] or {}, setting=settings.name("PROXIES"), ids=ids),
        test_addresses=read_test_addresses(settings["TEST_ADDRESSES"] or (), setting=settings.name("TEST_ADDRESSES")),
        verify=settings.get("VERIFY_SSL", True),
        timeout=settings["REQUESTS_TIMEOUT"] or 10.0,
    )


def read_private_networks(
    given: str | Mapping[str, Iterable[str]], *, setting: str, ids: Ids
) -> dict[str, tuple[Network, ...]]:
    """Return private networks by id.

    *given*: a text such as ``17=10.20.0.0/16,10.21.0.0/16; *=192.168.7.0/24``, or a mapping of ids to lists of
    networks. *setting*: its full name, for errors. Raises ``setting_invalid`` with a reason that names what is wrong.
    """
    if isinstance(given, str):
        given = {organization: listed.split(",") for organization, listed in _entries(given, setting, ids).items()}
    if not isinstance(given, Mapping):
        raise _invalid(setting, "It does not map ids to lists of networks.")
    for organization in given:
        if organization not in ids:
            raise _invalid(setting, f"{organization} is not an id. {ids.hint}")
    return {organization: _networks(organization, listed, setting) for organization, listed in given.items()}


def read_proxies(given: str | Mapping[str, str], *, setting: str, ids: Ids) -> dict[str, Mapping[str, str]]:
    """Return proxies by id.

    *given*: a text such as ``17=http://proxy.acme.example:3128; *=http://proxy.example:3128``, for every scheme, or a
    mapping of schemes to addresses, for everybody. *setting*: its full name, for errors. Raises ``setting_invalid``
    with a reason that names the entry and never shows an address, which may hold a password.
    """
    if not isinstance(given, str):
        return {EVERYBODY: given}
    proxies: dict[str, Mapping[str, str]] = {}
    for organization, address in _entries(given, setting, ids).items():
        if not _PROXY.fullmatch(address):
            example = "http://proxy.example.com:3128"
            raise _invalid(
                setting, f"The one for {organization} is not a scheme, a host and a port, such as {example}."
            )
        proxies[organization] = {"all": address}
    return proxies


def read_hosts(given: Iterable[str], *, setting: str) -> frozenset[str]:
    """Return a list of hosts in lower case. *setting*: its full name, for errors. Raises ``setting_invalid``."""
    if isinstance(given, str) or not isinstance(given, Iterable):  # the letters of a text would be hosts
        raise _invalid(setting, 'It is a list of hosts, such as ["bitbucket.test.example"].')
    return frozenset(host.lower() for host in given)


def read_test_addresses(given: Iterable[str], *, setting: str) -> frozenset[Address]:
    """Return a list of single IP addresses. *setting*: its full name, for errors. Raises ``setting_invalid``."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise _invalid(setting, 'It is a list of IP addresses, such as ["127.0.0.1"].')
    addresses = set()
    for text in given:
        try:
            addresses.add(ip_address(str(text)))
        except ValueError as error:
            raise _invalid(setting, _words(error, text)) from None
    return frozenset(addresses)


def _entries(text: str, setting: str, ids: Ids) -> dict[str, str]:
    """Return the pairs in ``17=value; 18=value``. A wrong id is not shown, because it may be a proxy with its
    password."""
    entries: dict[str, str] = {}
    for number, entry in enumerate(filter(None, map(str.strip, text.split(";"))), 1):
        organization, _, value = entry.partition("=")
        organization = organization.strip()
        if organization not in ids:
            raise _invalid(
                setting, f"Entry {number} does not begin with an id and =. {ids.hint} {EVERYBODY} stands for all."
            )
        if organization in entries:
            raise _invalid(setting, f"It has two entries for {organization}; put them together.")
        entries[organization] = value.strip()
    return entries


def _networks(organization: str, listed: Iterable[str], setting: str) -> tuple[Network, ...]:
    if isinstance(listed, str) or not isinstance(listed, Iterable):
        raise _invalid(setting, f"What {organization} has is not a list of networks.")
    networks = []
    for text in listed:
        try:
            networks.append(ip_network(str(text).strip()))
            AddressPolicy(private_networks=(networks[-1],))
        except ValueError as error:
            raise _invalid(setting, f"For {organization}: {_words(error, text)}") from None
    return tuple(networks)


def _words(error: ValueError, text: object) -> str:
    """Return the words of *error*, unless *text* may be a proxy with its password."""
    return "one of them is an address of something else." if "@" in str(text) else f"{str(error).rstrip('.')}."


def _invalid(setting: str, reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.SETTING_INVALID, reason, setting=setting)
