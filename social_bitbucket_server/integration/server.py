"""One Bitbucket Server, and the way to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

from ..crypto import Secret
from ..problems import BitbucketServerError, Code
from ..transport import AddressPolicy, Route
from .server_url import ConnectTo, ServerURL

LONGEST_TIMEOUT = 3600
"""The most seconds that a server may be given for one answer."""


@dataclass(frozen=True, slots=True)
class Server:
    """One Bitbucket Server, and the way to it.

    *url*: its base URL. *verify*: ``True``, or the path of a bundle of CA certificates. *ca_certificates*: or the CA
    certificates themselves, as PEM text. *client_certificate* and *client_key*: the certificate for a gateway in front
    of Bitbucket that asks for one, and its key, as :func:`~social_bitbucket_server.transport.read_client_certificate`
    returns them. *connect_to*: host and port of connections, for an application that cannot reach the base URL's;
    ``None`` for the base URL's own. The name in TLS, the ``Host`` header, the certificate check and signatures stay the
    base URL's, and *address_policy* concerns this host. *proxies*: scheme to address, used for this server alone. With
    an *address_policy*, proxies are asked for the address that was checked, and not for the name. *timeout*: seconds
    for one answer. *address_policy*: the addresses that may be reached. ``None`` allows all, for servers that the
    operator chose; :data:`~social_bitbucket_server.transport.PUBLIC_ONLY` is for all others.

    Raises ``setting_invalid`` for ``verify=False``, and for a value of another kind. Raises ``setting_missing`` for a
    client certificate without its key, or a key without its certificate.
    """

    url: ServerURL
    _: KW_ONLY
    verify: bool | str = True
    ca_certificates: str = field(default="", repr=False)
    client_certificate: str = field(default="", repr=False)
    client_key: Secret = field(default=Secret(), repr=False)
    connect_to: ConnectTo | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 10.0
    address_policy: AddressPolicy | None = None

    def __post_init__(self) -> None:
        if isinstance(self.verify, os.PathLike):
            object.__setattr__(self, "verify", os.fspath(self.verify))
        object.__setattr__(self, "client_key", Secret(self.client_key))
        if not self.verify:
            raise _invalid("verify", "Certificates are always verified; give the path of a CA bundle instead of False.")
        if self.verify is not True and not isinstance(self.verify, str):
            raise _invalid("verify", "It is neither True nor the path of a CA bundle.")
        if bool(self.client_certificate) != bool(self.client_key):
            missing = "client_key" if self.client_certificate else "client_certificate"
            raise BitbucketServerError(
                Code.SETTING_MISSING, "A client certificate and its key are given together.", parameter=missing
            )
        if not isinstance(self.connect_to, ConnectTo | None):
            raise _invalid("connect_to", "It is neither None nor a ConnectTo.")
        if not isinstance(self.proxies, Mapping) or not all(
            isinstance(address, str) for address in self.proxies.values() if address
        ):
            raise _invalid("proxies", "It is not a mapping of schemes to addresses.")
        if type(self.timeout) not in {int, float} or not 0 < self.timeout <= LONGEST_TIMEOUT:
            raise _invalid("timeout", f"It is not a number of seconds up to {LONGEST_TIMEOUT}.")

    def route_for(self, owner: str) -> Route:
        """Return how the server is reached. Connections and failures are kept apart by *owner*.

        Raises ``setting_invalid`` for ``connect_to`` with a proxy and ``http://``. A proxy sends such a request to the
        host that the request names, and to no other.
        """
        proxy = None
        if self.proxies:
            scheme, host = self.url.scheme, self.url.host
            # The most exact key, of the keys that requests knows.
            keys = (f"{scheme}://{host}", scheme, f"all://{host}", "all")
            proxy = next((self.proxies[key] for key in keys if self.proxies.get(key)), None)
        if proxy is not None and self.connect_to is not None and self.url.scheme == "http":
            raise _invalid("connect_to", "Through a proxy it needs a base URL with https://.")
        return Route(
            verify=self.verify,
            ca_certificates=self.ca_certificates,
            client_certificate=self.client_certificate,
            client_key=self.client_key,
            connect_to=self.connect_to,
            policy=self.address_policy,
            proxy=proxy,
            owner=owner,
        )


def _invalid(parameter: str, reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.SETTING_INVALID, reason, parameter=parameter)
