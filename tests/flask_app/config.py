"""The application's settings: read once, checked once, refused where they are unsafe together."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.integration import is_loopback
from social_bitbucket_server.organizations import Ids, Outbound, read_hosts, read_private_networks, read_proxies
from social_bitbucket_server.problems import BitbucketServerError

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


_IDS = Ids(
    re.compile(r"[1-9][0-9]{0,9}"),
    "'flask organizations list' prints the ids. Addresses do not count here, because anybody may register one.",
)
_SANDBOX_ADDRESS = IPv4Address("127.0.0.1")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?P<port>:[0-9]{1,5})?")


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

    Which servers organizations may connect is the operator's choice alone: *outbound_mode* and *outbound*.

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
    outbound: Outbound
    private_networks: str
    proxies: Secret
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
        outbound_mode = _outbound_mode(chosen["OUTBOUND_MODE"])
        instance = InstanceFolder(Path(chosen["INSTANCE_PATH"]).resolve())
        settings = cls(
            public_base_url=public_base_url,
            instance=instance,
            database_url=Secret(chosen["DATABASE_URL"] or f"sqlite:///{instance.path / 'application.sqlite'}"),
            secret_key=Secret(
                chosen["SECRET_KEY"] or instance.read_or_make("secret_key", lambda: secrets.token_hex(32))
            ),
            key_ring=Secret(chosen["KEY_RING"]) or None,
            application_name=chosen["APPLICATION_NAME"],
            outbound_mode=outbound_mode,
            outbound=_outbound(chosen, outbound_mode),
            private_networks=chosen["ALLOWED_PRIVATE_NETWORKS"],
            proxies=Secret(chosen["OUTBOUND_PROXIES"]),
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
        if self.outbound.private_networks and self.outbound_mode is OutboundMode.PUBLIC:
            raise UnsafeSettingError("ALLOWED_PRIVATE_NETWORKS works with OUTBOUND_MODE=listed only.")
        ca_bundle = self.outbound.verify
        if isinstance(ca_bundle, str) and not Path(ca_bundle).is_file():
            raise UnsafeSettingError("CA_BUNDLE must be the path of a file with CA certificates.")
        if self.is_local:
            return
        if not self.is_https:
            raise UnsafeSettingError("PUBLIC_BASE_URL must begin with https://, except on this machine itself.")
        if self.outbound_mode is OutboundMode.TEST:
            raise UnsafeSettingError("OUTBOUND_MODE=test is for a PUBLIC_BASE_URL on this machine itself.")
        if debug:
            raise UnsafeSettingError("FLASK_DEBUG is for a PUBLIC_BASE_URL on this machine itself.")

    def of_the_library(self, key_ring: str) -> dict[str, object]:
        """Return the settings of the library, by their names without the prefix."""
        named = {
            "CALLBACK_ORIGIN": self.public_base_url,
            "KEY_RING": key_ring,
            "APPLICATION_NAME": self.application_name,
            "PRIVATE_NETWORKS": self.private_networks,
            "HTTP_HOSTS": sorted(self.outbound.plain_http_hosts),
            "PROXIES": self.proxies,
            "TEST_ADDRESSES": [str(_SANDBOX_ADDRESS)] if self.outbound_mode is OutboundMode.TEST else [],
            "VERIFY_SSL": self.outbound.verify,
            "STORE_ACCESS_TOKEN": self.store_access_tokens,
            "ORGANIZATION_ROLES": ["editor", "viewer"],
        }
        return {name: value for name, value in named.items() if (name, value) != ("VERIFY_SSL", True)}

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the application through TLS."""
        return self.public_base_url.startswith("https://")

    @property
    def is_local(self) -> bool:
        """Whether only browsers on this machine reach the application."""
        return _is_local(self.public_base_url)


def _outbound(chosen: Mapping[str, str], mode: OutboundMode) -> Outbound:
    """Return which servers organizations may connect. Raises UnsafeSettingError that names a wrong entry."""
    networks, proxies = "ALLOWED_PRIVATE_NETWORKS", "OUTBOUND_PROXIES"
    try:
        return Outbound(
            private_networks=read_private_networks(chosen[networks], setting=networks, ids=_IDS),
            plain_http_hosts=read_hosts(
                chosen["ALLOW_INSECURE_HTTP"].replace(",", " ").split(), setting="ALLOW_INSECURE_HTTP"
            ),
            proxies=read_proxies(chosen[proxies], setting=proxies, ids=_IDS),
            test_addresses=frozenset({_SANDBOX_ADDRESS} if mode is OutboundMode.TEST else ()),
            verify=chosen["CA_BUNDLE"] or True,
        )
    except BitbucketServerError as error:
        raise UnsafeSettingError(f"{error.setting}: {error.reason}") from None


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
