"""The full names of settings, for messages to the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..integration import names_of

if TYPE_CHECKING:
    from .backend import LoginBackend


def full_name(backend: LoginBackend[Any, Any], name: str) -> str:
    """Return the full name of the setting *name*: the one that it is set by, or else the backend's own."""
    names = names_of(backend.name, name)
    return next((full for full in names if _is_set(backend, full)), names[0])


def _is_set(backend: LoginBackend[Any, Any], full: str) -> bool:
    try:
        backend.strategy.get_setting(full)
    except (AttributeError, KeyError):
        return False
    return True
