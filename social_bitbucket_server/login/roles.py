"""Roles on their way through a login: which an integration gives, and how social-core's mapping of groups sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


def groups_in(response: Mapping[str, Any], *, is_single_server: bool) -> list[str] | None:
    """Return the roles in *response* as core's mapping of groups knows them, or ``None`` if there are none to give.

    With several servers each begins with its integration's id, so that no server gives the roles of another.
    """
    roles = response.get("roles")
    if is_single_server:
        return roles
    return [f"{response.get('integration', '')}:{role}" for role in roles or ()]


def mapping_of(mapping: Any, integration_id: str) -> Any:
    """Return the part of core's *mapping* of groups that is about this integration. Core checks a value of another
    kind."""
    if not isinstance(mapping, dict):
        return mapping
    return {role: groups for role, groups in mapping.items() if _integration_in(role) == integration_id}


def mappings_by_integration(mapping: Any) -> Iterator[tuple[str, Any]]:
    """Yield the id of each integration in core's *mapping* of groups, and the part that is about it. Core checks a
    value of another kind."""
    if not isinstance(mapping, dict):
        yield "", mapping
        return
    for integration_id in dict.fromkeys(map(_integration_in, mapping)):
        yield integration_id, mapping_of(mapping, integration_id)


def _integration_in(role: Any) -> str:
    """Return what comes before the first colon, which no integration's id contains; without a colon, nothing."""
    before, colon, _ = str(role).partition(":")
    return before if colon else ""
