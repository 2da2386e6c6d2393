"""The way to a server, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..crypto import Secret
from .addresses import AddressPolicy


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a server.

    Certificates and *client_key* are as in :mod:`.trust`. *policy*: the addresses that may be reached, ``None`` for
    all. *connect_to*: host and port that connections go to instead of the URL's. *proxy*: the address of a proxy that
    connects there. *owner*: the id of the integration that the connections and failures belong to. What fails for one
    integration says nothing about another.
    """

    verify: bool | str = True
    ca_certificates: str = field(default="", repr=False)
    client_certificate: str = field(default="", repr=False)
    client_key: Secret = field(default=Secret(), repr=False)
    policy: AddressPolicy | None = None
    connect_to: tuple[str, int] | None = None
    proxy: str | None = field(default=None, repr=False)
    owner: str = ""
