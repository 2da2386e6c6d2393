"""An integration as a value: what one organization configured to log its people in through one Bitbucket Server."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .problems import BitbucketServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .addresses import AddressPolicy
    from .keys import PrivateKey
    from .server_url import ServerURL

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{0,64}")
_CONSUMER_KEY = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One Bitbucket Server to log in with.

    *id*: immutable, opaque and safe in addresses. *namespace*: what the numeric user ids of this server are prefixed
    with in an account's uid; give each integration one of its own, random, and never use it again. Empty only where
    there is a single server. *name*: for people. *verify*: ``True``, or the path of a bundle of CA certificates.
    *ca_certificates*: or the CA certificates themselves, as PEM text. *proxies*: scheme to address, used for this
    server alone; with an *address_policy* they are asked for the address that was checked, not for the name.
    *timeout*: seconds for one answer. *address_policy*: which addresses may be reached; ``None`` is for servers that
    the operator chose, :data:`~social_bitbucket_server.addresses.PUBLIC_ONLY` for all others.

    Raises ``setting_invalid`` for an id, namespace or consumer key with other characters, and for ``verify=False``.
    """

    id: str
    server_url: ServerURL
    consumer_key: str
    private_key: PrivateKey
    namespace: str
    name: str = ""
    verify: bool | str = True
    ca_certificates: str = field(default="", repr=False)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 10.0
    address_policy: AddressPolicy | None = None

    def __post_init__(self) -> None:
        for parameter, value, pattern in (
            ("id", self.id, _ID),
            ("namespace", self.namespace, _NAMESPACE),
            ("consumer_key", self.consumer_key, _CONSUMER_KEY),
        ):
            if not pattern.fullmatch(value):
                raise _invalid(parameter, f"The integration's {parameter} has characters that are not allowed.")
        if not self.verify:
            raise _invalid("verify", "Certificates are always verified; give the path of a CA bundle instead.")

    @property
    def fingerprint(self) -> str:
        """Changes whenever something changes that a login under way depends on."""
        parts = (self.id, str(self.server_url), self.consumer_key, self.private_key.public.fingerprint, self.namespace)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def uid(self, user_id: int) -> str:
        """The identity of the server's user *user_id* in this application."""
        return f"{self.namespace}:{user_id}" if self.namespace else str(user_id)


def _invalid(parameter: str, reason: str) -> BitbucketServerError:
    return BitbucketServerError("setting_invalid", reason, parameter=parameter)
