"""A login begins: everything that would stop it later is checked first, and what it begins with is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..integration import refuse_unsafe_login
from .callback_address import note_another_host
from .digests import binding_of
from .pending import PendingLogins
from .stored_tokens import keeps_tokens, key_ring_of

if TYPE_CHECKING:
    from .backend import LoginBackend
    from .choice import IntegrationT


def prepare_login(backend: LoginBackend[Any, IntegrationT]) -> tuple[IntegrationT, str]:
    """Return the integration that a login begins with, and the address that it comes back to.

    Raises the problems of a bad configuration.
    """
    integration = backend.chosen_integration()
    callback = backend.callback_url(integration)
    backend.get_admission(integration)
    if keeps_tokens(backend):
        key_ring_of(backend)
    refuse_unsafe_login(backend)
    note_another_host(backend)
    return integration, callback


def remember_login(
    backend: LoginBackend[Any, IntegrationT],
    token: str,
    integration: IntegrationT,
    callback: str,
    verifier_seed: str = "",
) -> None:
    """Keep the login in the browser's session until it comes back with *token*. Raises ``token_of_another_login``."""
    binding = binding_of(backend, integration, callback)
    pending_logins = PendingLogins(backend.strategy, backend.name)
    pending_logins.begin(token, integration.id, binding, backend.intent, verifier_seed)
