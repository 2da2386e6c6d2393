"""Digests of what must not change while a login is under way."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend import LoginBackend
    from .choice import IntegrationT


def configuration_of(backend: LoginBackend[Any, IntegrationT], integration: IntegrationT) -> str:
    """Return a digest of the server and credentials of *integration*, and of who may log in through it."""
    conditions = backend.get_admission(integration).conditions
    return hashlib.sha256(json.dumps([integration.fingerprint, conditions]).encode()).hexdigest()


def binding_of(backend: LoginBackend[Any, IntegrationT], integration: IntegrationT, callback: str) -> str:
    """Return the digest that binds a pending login to *integration* as it is now, and to its address *callback*."""
    return hashlib.sha256(f"{configuration_of(backend, integration)}\n{callback}".encode()).hexdigest()[:32]
