"""Rows as the rules see them, without a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from social_bitbucket_server.integration import Admission, Roles


@dataclass
class PairRow:
    """A key pair of the integration ``acme``."""

    id: str = "pair"
    integration_id: str = "acme"
    state: str = "active"
    consumer_key: str = "first-link"
    sealed_private_key: str | None = ""
    replaced_at: datetime | None = None


@dataclass
class CredentialsRow:
    """Client credentials of the integration ``acme``."""

    id: str = "credentials"
    integration_id: str = "acme"
    client_id: str = "client"
    sealed_client_secret: str = ""


@dataclass
class IntegrationRow:
    """The integration ``acme``."""

    id: str = "acme"
    name: str = "Acme"
    namespace: str = "k3v9x1"
    base_url: str = "https://bitbucket.acme.example/bitbucket"
    connect_to: str = ""
    ca_certificates: str = ""
    client_certificate: str = ""
    sealed_client_key: str = ""
    login_revision: str = "7"
    admission: Admission = field(default_factory=Admission)
    roles: Roles = field(default_factory=Roles)

    def shares_limits_of(self) -> str:
        """Return the organization whose integrations share the limits on waiting threads."""
        return "17"
