"""Digests of what must not change while a login is under way."""

from __future__ import annotations

import hashlib
import json

from ..integration import Admission, AnyIntegration


def configuration_of(integration: AnyIntegration, admission: Admission) -> str:
    """Return a digest of the server and credentials of *integration*, and of its *admission*: who may log in."""
    return hashlib.sha256(json.dumps([integration.fingerprint, admission.conditions]).encode()).hexdigest()


def binding_of(configuration: str, callback: str) -> str:
    """Return the digest that binds a pending login to the *configuration* that it began with, itself a digest, and to
    the address *callback* that it comes back to."""
    return hashlib.sha256(f"{configuration}\n{callback}".encode()).hexdigest()[:32]
