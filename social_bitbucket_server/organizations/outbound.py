"""The operator's rules for servers that organizations enter: base URLs, addresses and proxies.

Organizations are known by their ids, because anybody may register a name. ``*`` stands for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address

from ..crypto import Secret
from ..integration import ORGANIZATION_RULES, BaseURLRules, ConnectTo, Server, ServerURL
from ..transport import Address, AddressPolicy, Network

EVERYBODY = "*"
"""Stands for all organizations in place of an id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOut:
    """How the servers of one organization are reached.

    *base_url_rules*: the rules for their base URLs. All others are as in
    :class:`~social_bitbucket_server.integration.Server`.
    """

    base_url_rules: BaseURLRules
    address_policy: AddressPolicy
    verify: bool | str = True
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 10.0

    def server(
        self,
        base_url: str,
        *,
        connect_to: str = "",
        ca_certificates: str = "",
        client_certificate: str = "",
        client_key: str = "",
    ) -> Server:
        """Return the server at *base_url*. Every parameter is a text as it is stored; empty if there is none.

        Raises ``invalid_base_url`` or ``connect_to_invalid`` if the operator does not allow the server, and what
        :class:`~social_bitbucket_server.integration.Server` raises.
        """
        return Server(
            ServerURL.parse(base_url, self.base_url_rules),
            verify=self.verify,
            ca_certificates=ca_certificates,
            client_certificate=client_certificate,
            client_key=Secret(client_key),
            connect_to=ConnectTo.parse(connect_to, self.base_url_rules) if connect_to else None,
            proxies=self.proxies,
            timeout=self.timeout,
            address_policy=self.address_policy,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """Limits that an operator sets to the servers of organizations.

    *private_networks*: those that may be reached, by an organization's id; those of ``*`` are for all organizations.
    *plain_http_hosts*: lower-case hosts that may be used without TLS. *proxies*: scheme to address, by an
    organization's id; those of ``*`` are for organizations without their own. *test_addresses*: addresses of any class
    that may be reached and entered, for the sandbox. *verify*: ``True``, or the path of a bundle of CA certificates.
    *timeout*: seconds for one answer.
    """

    private_networks: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    plain_http_hosts: frozenset[str] = frozenset()
    proxies: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    test_addresses: frozenset[Address] = frozenset()
    verify: bool | str = True
    timeout: float = 10.0

    @property
    def base_url_rules(self) -> BaseURLRules:
        """The rules for base URLs that organizations enter."""
        return replace(
            ORGANIZATION_RULES,
            ports=frozenset(ORGANIZATION_RULES.ports or ()) | ({80} if self.plain_http_hosts else set()),
            plain_http_hosts=self.plain_http_hosts,
            literal_hosts=frozenset(
                f"[{address}]" if isinstance(address, IPv6Address) else str(address) for address in self.test_addresses
            ),
        )

    def address_policy(self, organization: str) -> AddressPolicy:
        """Return the addresses that servers of the organization with this id may have."""
        return AddressPolicy(
            private_networks=(
                *self.private_networks.get(organization, ()),
                *self.private_networks.get(EVERYBODY, ()),
            ),
            test_addresses=self.test_addresses,
        )

    def proxies_of(self, organization: str) -> Mapping[str, str]:
        """Return the proxies, scheme to address, for servers of the organization with this id."""
        return self.proxies.get(organization, self.proxies.get(EVERYBODY, {}))

    def way_out(self, organization: str) -> WayOut:
        """Return how servers of the organization with this id are reached."""
        return WayOut(
            base_url_rules=self.base_url_rules,
            address_policy=self.address_policy(organization),
            verify=self.verify,
            proxies=self.proxies_of(organization),
            timeout=self.timeout,
        )
