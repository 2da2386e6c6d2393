"""Roles on their way through a login: which an integration gives, and how social-core's mapping of groups sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..integration import Admission, AnyIntegration, Roles, refuse_too_many, roles_for_several_servers

if TYPE_CHECKING:
    from .backend import LoginBackend


def roles_at(backend: LoginBackend[Any, Any], integration: AnyIntegration, admission: Admission) -> Roles:
    """Return the roles that *integration* gives to the people whom *admission* lets in.

    Raises ``setting_invalid`` if there are roles for one server, and several servers; and if one login cannot ask for
    so many conditions.
    """
    if backend.setting("ROLES") and not backend.has_single_server:
        raise roles_for_several_servers()
    refuse_too_many(integration.roles, admission)
    return integration.roles


def mapping_of(mapping: Any, integration_id: str) -> Any:
    """Return the part of core's *mapping* of groups that is about this integration. Core checks a value of another
    kind."""
    if not isinstance(mapping, dict):
        return mapping
    return {role: groups for role, groups in mapping.items() if integration_in(role) == integration_id}


def integration_in(role: Any) -> str:
    """Return what comes before the first colon, which no integration's id contains; without a colon, nothing."""
    before, colon, _ = str(role).partition(":")
    return before if colon else ""
