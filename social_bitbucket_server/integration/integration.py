"""An integration as a value: what one organization configured to log its people in through one Bitbucket Server."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ..crypto import PrivateKey, Secret
from ..problems import BitbucketServerError, Code
from .admission import EVERYBODY, Admission
from .roles import NO_ROLES, Roles
from .server import Server

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{0,64}")
_CREDENTIAL = re.compile(r"[!-~]{1,255}")
_ALLOWED = {
    "id": "letters, digits and any of _ -, at most 64",
    "namespace": "letters, digits and any of . _ -, at most 64",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The consumer key by which an application link knows an application, and the private key that signs requests."""

    consumer_key: str
    private_key: PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One Bitbucket Server to log in with.

    *id*: immutable, opaque and safe in addresses. *server*: the Bitbucket Server, and how it is reached. *namespace*:
    what the numeric user ids of this server are prefixed with in an account's uid; give each integration one of its
    own, random, and never use it again. Empty only where there is a single server. *pending*: new credentials that
    Bitbucket may have by now, with the same consumer key or with another one; a login whose signature or consumer key
    is refused is signed with them once. *replaced*: those before; logins that began with another consumer key are
    finished with them. *name*: for people. *admission*: the conditions of a login. *revision*: any text that
    an application changes with its record. A login that began with another revision ends with
    ``integration_changed``, so disabling and enabling can end the logins under way. *organization*: what the
    application calls the organization. All integrations of one share the threads that may wait for slow servers;
    without it, each integration has its own. *roles*: the roles that its people may have, each with its conditions.

    Raises ``setting_invalid`` for an id, namespace or consumer key with other characters.
    """

    id: str
    server: Server
    consumer_key: str
    private_key: PrivateKey
    namespace: str
    pending: Credentials | None = None
    replaced: Credentials | None = None
    name: str = ""
    admission: Admission = EVERYBODY
    revision: str = ""
    organization: str = ""
    roles: Roles = NO_ROLES
    _digest: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        consumer_keys = (known.consumer_key for known in (self, self.pending, self.replaced) if known is not None)
        _check(self, *(("consumer_key", consumer_key) for consumer_key in consumer_keys))

    @property
    def fingerprint(self) -> str:
        """A digest of everything that a login under way depends on. The key pair does not count: a login that
        began before a key rotation ends with the new key pair. Name, proxies, time limit and address policy do not
        count either: they concern each request, and the current ones are used."""
        return _fingerprint(self, self.consumer_key)

    @property
    def successor(self) -> Integration | None:
        """This integration with the pending credentials, or ``None`` if there are none."""
        return self._with(self.pending)

    @property
    def predecessor(self) -> Integration | None:
        """This integration with the replaced credentials, or ``None`` if there are none."""
        return self._with(self.replaced)

    def _with(self, given: Credentials | None) -> Integration | None:
        if given is None:
            return None
        return replace(
            self, consumer_key=given.consumer_key, private_key=given.private_key, pending=None, replaced=None
        )

    @property
    def tenant(self) -> str:
        """The holder of the limits on waiting threads: the organization, or the integration alone."""
        return tenant_of(self.organization, f"integration {self.id}")

    def uid(self, user_id: int) -> str:
        """Return the identity of the server's user *user_id* in this application."""
        return _uid(self, user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2Integration:
    """One Bitbucket Server to log in with by OAuth 2, through an *External application* link.

    *client_id* and *client_secret* are those that Bitbucket shows after *Save*. Everything else is as in
    :class:`Integration`. Where one server is logged in with by both, give both the same *id* and *namespace*: then
    people have the same uid either way.

    Raises ``setting_invalid`` for an id, namespace or client credential with other characters.
    """

    id: str
    server: Server
    client_id: str
    client_secret: Secret = field(repr=False)
    namespace: str
    name: str = ""
    admission: Admission = EVERYBODY
    revision: str = ""
    organization: str = ""
    roles: Roles = NO_ROLES
    _digest: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "client_secret", Secret(self.client_secret))
        _check(self, ("client_id", self.client_id), ("client_secret", self.client_secret))

    @property
    def fingerprint(self) -> str:
        """A digest of everything that a login under way depends on. The client secret does not count: a login
        that began before the secret was renewed ends with the new one. For the rest see :class:`Integration`."""
        return _fingerprint(self, self.client_id)

    @property
    def tenant(self) -> str:
        """The holder of the limits on waiting threads: the organization, or the integration alone."""
        return tenant_of(self.organization, f"integration {self.id}")

    def uid(self, user_id: int) -> str:
        """Return the identity of the server's user *user_id* in this application."""
        return _uid(self, user_id)


AnyIntegration: TypeAlias = Integration | OAuth2Integration
"""An integration by either OAuth."""


def _check(integration: AnyIntegration, *credentials: tuple[str, str]) -> None:
    for parameter, value, pattern in (
        ("id", integration.id, _ID),
        ("namespace", integration.namespace, _NAMESPACE),
        *((parameter, value, _CREDENTIAL) for parameter, value in credentials),
    ):
        words = _ALLOWED.get(parameter, "printable ASCII without spaces, at most 255")
        if not isinstance(value, str) or not pattern.fullmatch(value):
            reason = f"It is not a text of the allowed characters ({words})."
            raise BitbucketServerError(Code.SETTING_INVALID, reason, parameter=parameter)


def _fingerprint(integration: AnyIntegration, credential: str) -> str:
    """Return the digest. It is made once, because plain settings give each login the same integration."""
    if integration._digest:
        return integration._digest
    server = integration.server
    parts = (
        integration.id,
        str(server.url),
        credential,
        integration.namespace,
        server.verify,
        server.ca_certificates,
        server.client_certificate,
        str(server.connect_to or ""),
        integration.admission.conditions,
        integration.revision,
        *((integration.roles.each,) if integration.roles.named else ()),
    )
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    object.__setattr__(integration, "_digest", digest)
    return digest


def tenant_of(organization: str, otherwise: str) -> str:
    """Return the holder of the limits on waiting threads: *organization*, or *otherwise* if that is empty."""
    return f"organization {organization}" if organization else otherwise


def _uid(integration: AnyIntegration, user_id: int) -> str:
    return f"{integration.namespace}:{user_id}" if integration.namespace else str(user_id)
