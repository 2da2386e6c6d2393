"""The application's settings: read once, checked once, refused where they are unsafe together."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.integration import ORGANIZATION_RULES, BaseURLRules, is_loopback
from social_bitbucket_server.transport import AddressPolicy, Network

from .instance_files import InstanceFolder, UnsafeSettingError

SETTINGS = {
    "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
    "INSTANCE_PATH": "instance",
    "DATABASE_URL": "",
    "SECRET_KEY": "",
    "KEY_RING": "",
    "APPLICATION_NAME": "Demo App",
    "OUTBOUND_MODE": "public",
    "ALLOWED_PRIVATE_NETWORKS": "",
    "ALLOW_INSECURE_HTTP": "",
    "OUTBOUND_PROXIES": "",
    "CA_BUNDLE": "",
    "TRUSTED_PROXY_HOPS": "0",
    "RATE_LIMIT_STORAGE": "memory://",
    "LOGINS_PER_MINUTE": "10",
    "STORE_ACCESS_TOKENS": "",
    "FLASK_DEBUG": "",
}
"""Every setting with its default; the environment overrides it."""


_EVERYBODY = "*"
_ID = re.compile(r"[1-9][0-9]{0,9}")
_PORTS = frozenset(ORGANIZATION_RULES.ports or ())
_SANDBOX_ADDRESS = IPv4Address("127.0.0.1")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?P<port>:[0-9]{1,5})?")
_PROXY = re.compile(r"https?://([!-?A-~]+@)?([A-Za-z0-9.-]+|\[[0-9a-f:.]+\]):[0-9]{1,5}/?")


class OutboundMode(StrEnum):
    """Which servers an organization may connect."""

    PUBLIC = "public"
    """Those with a public address."""
    LISTED = "listed"
    """Also those in the private networks that ALLOWED_PRIVATE_NETWORKS lists for the organization."""
    TEST = "test"
    """Also this machine's own 127.0.0.1, for the sandbox."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How this installation is set up.

    *public_base_url* is scheme, host and port as browsers see them, without a trailing slash. *key_ring* is None where
    the environment gives none: then the one in *instance* is used.

    Which servers organizations may connect is the operator's choice alone: *outbound_mode*; *private_networks* by an
    organization's id, with ``*`` for all (``17=10.20.0.0/16,10.21.0.0/16; *=192.168.7.0/24``); *insecure_hosts*, which
    may be used without TLS; *proxies* by an organization's id, with ``*`` for those that have none of their own
    (``17=http://proxy.acme.example:3128``); *ca_bundle_path* with the CA certificates that are trusted besides an
    integration's own, or empty for the machine's. Ids stand there because anybody may register a slug.

    *trusted_proxy_hops*: how many proxies of the operator's own stand in front and add the address they saw to
    ``X-Forwarded-For``; scheme and host never come from a header. *rate_limit_storage* counts for all processes where
    it is the address of a Redis. *logins_per_minute* is for each address and integration.

    *store_access_tokens*: each person's access token is kept, sealed with the key ring, so that Bitbucket can be asked
    for them between two logins.
    """

    public_base_url: str
    instance: InstanceFolder
    database_url: Secret
    secret_key: Secret
    key_ring: Secret | None
    application_name: str
    outbound_mode: OutboundMode
    private_networks: Mapping[str, tuple[Network, ...]]
    insecure_hosts: frozenset[str]
    proxies: Mapping[str, str] = field(repr=False)
    ca_bundle_path: str
    trusted_proxy_hops: int
    rate_limit_storage: Secret
    logins_per_minute: int
    store_access_tokens: bool

    @classmethod
    def read(cls, given: Mapping[str, object] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
        """Settings from *given*, else from *environment*, else the defaults. Raises UnsafeSettingError."""
        chosen = {
            name: str((given or {}).get(name, environment.get(name, default))).strip()
            for name, default in SETTINGS.items()
        }
        public_base_url = _public_base_url(chosen["PUBLIC_BASE_URL"])
        if not chosen["SECRET_KEY"] and not _is_local(public_base_url):
            raise UnsafeSettingError(
                "SECRET_KEY is missing; set it to the output of: "
                "python -c 'import secrets; print(secrets.token_hex(32))'"
            )
        instance = InstanceFolder(Path(chosen["INSTANCE_PATH"]).resolve())
        settings = cls(
            public_base_url=public_base_url,
            instance=instance,
            database_url=Secret(chosen["DATABASE_URL"] or f"sqlite:///{instance.path / 'demo.sqlite'}"),
            secret_key=Secret(
                chosen["SECRET_KEY"] or instance.read_or_make("secret_key", lambda: secrets.token_hex(32))
            ),
            key_ring=Secret(chosen["KEY_RING"]) or None,
            application_name=chosen["APPLICATION_NAME"],
            outbound_mode=_outbound_mode(chosen["OUTBOUND_MODE"]),
            private_networks=_private_networks(chosen["ALLOWED_PRIVATE_NETWORKS"]),
            insecure_hosts=frozenset(chosen["ALLOW_INSECURE_HTTP"].lower().replace(",", " ").split()),
            proxies=_proxies(chosen["OUTBOUND_PROXIES"]),
            ca_bundle_path=chosen["CA_BUNDLE"],
            trusted_proxy_hops=_number("TRUSTED_PROXY_HOPS", chosen["TRUSTED_PROXY_HOPS"], least=0),
            rate_limit_storage=Secret(chosen["RATE_LIMIT_STORAGE"]),
            logins_per_minute=_number("LOGINS_PER_MINUTE", chosen["LOGINS_PER_MINUTE"], least=1),
            store_access_tokens=_switch("STORE_ACCESS_TOKENS", chosen["STORE_ACCESS_TOKENS"]),
        )
        settings._refuse_unsafe_combinations(debug=chosen["FLASK_DEBUG"].lower() not in {"", "0", "false", "no"})
        return settings

    def _refuse_unsafe_combinations(self, *, debug: bool) -> None:
        if len(self.secret_key.encode()) < 32:
            raise UnsafeSettingError(
                "SECRET_KEY has fewer than 32 bytes; set it to the output of: "
                "python -c 'import secrets; print(secrets.token_hex(32))'"
            )
        if self.private_networks and self.outbound_mode is OutboundMode.PUBLIC:
            raise UnsafeSettingError("ALLOWED_PRIVATE_NETWORKS works with OUTBOUND_MODE=listed only.")
        if self.ca_bundle_path and not Path(self.ca_bundle_path).is_file():
            raise UnsafeSettingError("CA_BUNDLE must be the path of a file with CA certificates.")
        if self.is_local:
            return
        if not self.is_https:
            raise UnsafeSettingError("PUBLIC_BASE_URL must begin with https://, except on this machine itself.")
        if self.outbound_mode is OutboundMode.TEST:
            raise UnsafeSettingError("OUTBOUND_MODE=test is for a PUBLIC_BASE_URL on this machine itself.")
        if debug:
            raise UnsafeSettingError("FLASK_DEBUG is for a PUBLIC_BASE_URL on this machine itself.")

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the application through TLS."""
        return self.public_base_url.startswith("https://")

    @property
    def is_local(self) -> bool:
        """Whether only browsers on this machine reach the application."""
        return _is_local(self.public_base_url)

    @property
    def ca_bundle(self) -> str | None:
        """The path of the operator's CA certificates, if there are any."""
        return self.ca_bundle_path or None

    @property
    def base_url_rules(self) -> BaseURLRules:
        """Which base URLs organizations may enter."""
        is_test = self.outbound_mode is OutboundMode.TEST
        return replace(
            ORGANIZATION_RULES,
            ports=_PORTS | {80} if self.insecure_hosts else _PORTS,
            plain_http_hosts=self.insecure_hosts,
            literal_hosts=frozenset({str(_SANDBOX_ADDRESS)}) if is_test else frozenset(),
        )

    def address_policy(self, organization_id: int) -> AddressPolicy:
        """Return the addresses that the servers of the organization may have."""
        own = self.private_networks.get(str(organization_id), ())
        return AddressPolicy(
            private_networks=(*own, *self.private_networks.get(_EVERYBODY, ())),
            test_addresses=frozenset({_SANDBOX_ADDRESS} if self.outbound_mode is OutboundMode.TEST else ()),
        )

    def proxies_of(self, organization_id: int) -> dict[str, str]:
        """The proxy through which the servers of the organization are asked, as the library takes it."""
        proxy = self.proxies.get(str(organization_id), self.proxies.get(_EVERYBODY, ""))
        return {"all": proxy} if proxy else {}

    def way_out(self, organization_id: int) -> dict[str, Any]:
        """Return how the servers of the organization are reached, by the names of the library."""
        return {
            "verify": self.ca_bundle or True,
            "proxies": self.proxies_of(organization_id),
            "address_policy": self.address_policy(organization_id),
        }


def _private_networks(text: str) -> dict[str, tuple[Network, ...]]:
    """Return networks by an organization's id. Raises UnsafeSettingError that names a wrong network."""
    networks: dict[str, tuple[Network, ...]] = {}
    for organization, listed in _by_organization("ALLOWED_PRIVATE_NETWORKS", text):
        try:
            found = tuple(ip_network(network.strip()) for network in listed.split(","))
            AddressPolicy(private_networks=found)
        except ValueError as error:
            raise UnsafeSettingError(f"ALLOWED_PRIVATE_NETWORKS for {organization}: {error}") from error
        networks[organization] = found
    return networks


def _proxies(text: str) -> dict[str, str]:
    """Return proxies by an organization's id. Raises UnsafeSettingError that names the organization of a wrong address,
    and not the address, which may hold a password."""
    proxies = dict(_by_organization("OUTBOUND_PROXIES", text))
    for organization, address in proxies.items():
        if not _PROXY.fullmatch(address):
            raise UnsafeSettingError(
                f"OUTBOUND_PROXIES for {organization}: a proxy is a scheme, a host and a port, such as "
                "http://proxy.example.com:3128"
            )
    return proxies


def _by_organization(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs in ``17=value; 18=value``. Raises UnsafeSettingError for a wrong or repeated id. A wrong one is
    not shown, because it may be a proxy with its password."""
    seen: set[str] = set()
    for number, entry in enumerate(filter(None, (part.strip() for part in text.split(";"))), 1):
        organization, _, value = entry.partition("=")
        organization = organization.strip()
        if organization != _EVERYBODY and not _ID.fullmatch(organization):
            raise UnsafeSettingError(
                f"{name}: entry {number} must begin with an organization's number and =, such as 17=, which 'flask "
                "organizations list' prints; * stands for all organizations. Addresses do not count here, because "
                "anybody may register one."
            )
        if organization in seen:
            raise UnsafeSettingError(f"{name} has two entries for {organization}; put them together.")
        seen.add(organization)
        yield organization, value.strip()


def _public_base_url(text: str) -> str:
    """Scheme and host, as browsers write them: without the port that the scheme has by itself."""
    shape = _ORIGIN.fullmatch(text.rstrip("/").lower())
    if shape is None:
        raise UnsafeSettingError("PUBLIC_BASE_URL must be a scheme and a host, such as https://app.example.com")
    has_own_port = (shape["scheme"], shape["port"]) in {("https", ":443"), ("http", ":80")}
    return f"{shape['scheme']}://{shape['host']}" + ("" if has_own_port else shape["port"] or "")


def _is_local(public_base_url: str) -> bool:
    return is_loopback(urlsplit(public_base_url).hostname or "")


def _number(name: str, text: str, *, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7 and int(text) >= least):
        raise UnsafeSettingError(f"{name} must be a whole number, at least {least}.")
    return int(text)


def _switch(name: str, text: str) -> bool:
    if text.lower() not in {"", "0", "false", "no", "1", "true", "yes"}:
        raise UnsafeSettingError(f"{name} must be 1 or 0.")
    return text.lower() in {"1", "true", "yes"}


def _outbound_mode(text: str) -> OutboundMode:
    try:
        return OutboundMode(text)
    except ValueError:
        modes = ", ".join(OutboundMode)
        raise UnsafeSettingError(f"OUTBOUND_MODE must be one of: {modes}.") from None
