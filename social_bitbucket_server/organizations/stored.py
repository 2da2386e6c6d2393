"""The columns that these rules read. Any row with such attributes will do, whatever stores it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from ..integration import Admission, Roles


class StoredKeyPair(Protocol):
    """One key pair of an integration, with its private key sealed.

    *state*: a :class:`~.key_pairs.KeyState`, or its text. *consumer_key*: that of its application link.
    *sealed_private_key*: empty or ``None`` after it was erased. *replaced_at*: when another application link was put in
    use, with a time zone; ``None`` if none was.
    """

    @property
    def id(self) -> str: ...
    @property
    def integration_id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def consumer_key(self) -> str: ...
    @property
    def sealed_private_key(self) -> str | None: ...
    @property
    def replaced_at(self) -> datetime | None: ...


class StoredClientCredentials(Protocol):
    """The credentials that Bitbucket made for an integration's logins by OAuth 2, with the client secret sealed."""

    @property
    def id(self) -> str: ...
    @property
    def integration_id(self) -> str: ...
    @property
    def client_id(self) -> str: ...
    @property
    def sealed_client_secret(self) -> str: ...


class StoredClientKey(Protocol):
    """An integration's row, of which only the key of its client certificate counts; empty if there is none."""

    @property
    def id(self) -> str: ...
    @property
    def sealed_client_key(self) -> str: ...


class StoredIntegration(StoredClientKey, Protocol):
    """An integration's row. Texts are empty if there is nothing to store; certificates are clean PEM.

    *login_revision*: any text that changes when logins under way have to end. *admission*: who of the server's people
    may log in. *roles*: the roles that its people have. *shares_limits_of*: returns the organization whose integrations
    share the limits on waiting threads; empty for this one alone.
    """

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def connect_to(self) -> str: ...
    @property
    def ca_certificates(self) -> str: ...
    @property
    def client_certificate(self) -> str: ...
    @property
    def login_revision(self) -> str: ...
    @property
    def admission(self) -> Admission: ...
    @property
    def roles(self) -> Roles: ...
    def shares_limits_of(self) -> str: ...
