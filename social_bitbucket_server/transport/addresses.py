"""The IP addresses that may be reached. Organizations enter host names, and some lead to addresses that must not be."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


class AddressClass(StrEnum):
    """The class of an address, which says what it is for."""

    NEVER = "never"
    """This machine, its link, documentation, translation, multicast, cloud metadata: no server for people."""
    PRIVATE = "private"
    """A company's own network; reached only where the operator allows that network."""
    PUBLIC = "public"


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_NEVER = _networks(
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "::/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    # Services for the cloud's own machines: AWS, Google, Oracle, Scaleway.
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "fd00:c1::a9fe:a9fe/128",
    "fd00:42::42/128",
)
_PRIVATE = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")


def classify(address: Address) -> AddressClass:
    """Return the class of *address*. An IPv4 address mapped into IPv6 has the class of the IPv4 address."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if _within(address, _NEVER):
        return AddressClass.NEVER
    if _within(address, _PRIVATE):
        return AddressClass.PRIVATE
    if isinstance(address, IPv6Address) and address not in _PUBLIC_IPV6:
        return AddressClass.NEVER
    return AddressClass.PUBLIC


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """The rules for where connections may go.

    *private_networks*: the private networks that are allowed. They must not overlap with what is never allowed.
    *test_addresses*: single addresses of any class that are allowed, for tests and the sandbox. Raises ``ValueError``
    that names the network.
    """

    private_networks: tuple[Network, ...] = ()
    test_addresses: frozenset[Address] = frozenset()

    def __post_init__(self) -> None:
        for network in self.private_networks:
            if not any(network.version == own.version and network.subnet_of(own) for own in _PRIVATE):  # type: ignore[arg-type]  # of one version
                raise ValueError(f"{network} is not within a private network.")
            if any(network.version == never.version and network.overlaps(never) for never in _NEVER):
                raise ValueError(f"{network} overlaps with addresses that are never reached.")

    def permits(self, address: Address) -> bool:
        """Return whether a connection may go to *address*."""
        if address in self.test_addresses:
            return True
        address_class = classify(address)
        if address_class is AddressClass.PRIVATE:
            return _within(_unmapped(address), self.private_networks)
        return address_class is AddressClass.PUBLIC


def _unmapped(address: Address) -> Address:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


PUBLIC_ONLY = AddressPolicy()
"""For servers that organizations enter, unless the operator allows them more."""
