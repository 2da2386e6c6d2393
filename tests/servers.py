"""Integrations whose server is another one, or is reached in another way."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from social_bitbucket_server.integration import Integration, OAuth2Integration

_AnyIntegration = TypeVar("_AnyIntegration", Integration, OAuth2Integration)


def with_server(integration: _AnyIntegration, **changes: Any) -> _AnyIntegration:
    """Return *integration* with *changes* of its server."""
    return dataclasses.replace(integration, server=dataclasses.replace(integration.server, **changes))
