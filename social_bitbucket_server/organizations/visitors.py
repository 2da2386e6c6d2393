"""Visitors, by whose addresses requests are counted."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

_IPV6_NETWORK = 64  # what one customer has, at the least


def visitor_at(address: str) -> str:
    """Return what requests from *address* are counted by: an IPv4 address, or the network of an IPv6 address. An IPv4
    address that the server's socket shows as an IPv6 address counts as IPv4. Other texts are returned as they are."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, _IPV6_NETWORK), strict=False))
