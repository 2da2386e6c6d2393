"""Rows as the rules see them, without a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass
class PairRow:
    """A key pair of the integration ``acme``."""

    id: str = "pair"
    integration_id: str = "acme"
    state: str = "active"
    consumer_key: str = "first link"
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
    sealed_client_key: str = ""
