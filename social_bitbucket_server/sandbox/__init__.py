"""A stand-in for Atlassian Bitbucket Server, for demos and tests: OAuth 1.0a and 2, the user part of REST, and
pages.

It imports nothing of the client side, so that a mistake cannot hide in both.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .browser import BrowserError, LoginFailedError
    from .sandbox import Sandbox
    from .state.external_applications import ExternalApplication
    from .state.faults import Faults
    from .state.links import Consumer, Link, LinkRefusedError
    from .state.projects import Project
    from .state.records import RequestRecord
    from .state.users import User

_HOMES = {
    "BrowserError": "browser",
    "Consumer": "state.links",
    "ExternalApplication": "state.external_applications",
    "Faults": "state.faults",
    "Link": "state.links",
    "LinkRefusedError": "state.links",
    "LoginFailedError": "browser",
    "Project": "state.projects",
    "RequestRecord": "state.records",
    "Sandbox": "sandbox",
    "User": "state.users",
}

__all__ = [
    "BrowserError",
    "Consumer",
    "ExternalApplication",
    "Faults",
    "Link",
    "LinkRefusedError",
    "LoginFailedError",
    "Project",
    "RequestRecord",
    "Sandbox",
    "User",
]


def __getattr__(name: str) -> object:
    # pytest imports this package for its plugin in every project. Flask and waitress would take a quarter of a second.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
