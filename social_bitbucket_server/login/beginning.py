"""A login begins: everything that would stop it later is checked first, and what it begins with is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic

from ..integration import Admission, refuse_unsafe_login
from .backend import LoginBackend
from .callback_address import note_another_host
from .choice import IntegrationT
from .digests import binding_of, configuration_of
from .pending import PendingLogins
from .roles import roles_at
from .stored_tokens import keeps_tokens, key_ring_of


@dataclass(frozen=True, slots=True)
class Beginning(Generic[IntegrationT]):
    """The configuration that a login begins with: the *integration*, its *admission* of people, and the *callback*, the
    absolute address that the login comes back to."""

    integration: IntegrationT
    admission: Admission
    callback: str


def prepare_login(backend: LoginBackend[Any, IntegrationT]) -> Beginning[IntegrationT]:
    """Return what a login begins with. Raises the problems of a bad configuration."""
    integration = backend.chosen_integration()
    callback = backend.callback_url(integration)
    admission = backend.get_admission(integration)
    roles_at(backend, integration, admission)
    if keeps_tokens(backend):
        key_ring_of(backend)
    refuse_unsafe_login(backend)
    note_another_host(backend)
    return Beginning(integration, admission, callback)


def remember_login(
    backend: LoginBackend[Any, IntegrationT],
    token: str,
    integration: IntegrationT,
    beginning: Beginning[IntegrationT],
    verifier_seed: str = "",
) -> None:
    """Keep the login in the browser's session until it comes back with *token*, which *integration* got: that of the
    *beginning*, perhaps with other credentials. Raises ``token_of_another_login``."""
    binding = binding_of(configuration_of(integration, beginning.admission), beginning.callback)
    pending_logins = PendingLogins(backend.strategy, backend.name)
    pending_logins.begin(token, integration.id, binding, backend.intent, verifier_seed)
