"""Addresses in this application, as a browser sees them, without scheme and host."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote

from starlette.requests import HTTPConnection, Request

from ..login import LONGEST_NEXT


def route_path(connection: HTTPConnection, name: str, integration: str = "") -> str:
    """Return the path of the route called *name*, for this *integration*, also if it is below a mount.

    Raises ``NoMatchFound`` if the application has no such route.
    """
    router = cast("Any", connection.scope.get("router") or connection.scope["app"])
    parameters = {"integration": quote(integration, safe="")} if integration else {}
    return application_root(connection) + str(router.url_path_for(name, **parameters))


def application_root(connection: HTTPConnection) -> str:
    """Return the path that a proxy serves this application below; empty if it is the host's root."""
    scope = connection.scope
    return str(scope.get("app_root_path", scope.get("root_path", ""))).rstrip("/")


def page_to_come_back_to(request: Request) -> str:
    """Return path and query of *request*; empty if it is not for a page, or if they are too long to be kept."""
    root, path = application_root(request), str(request.scope["path"])
    if root and not path.startswith(f"{root}/"):  # some servers leave the root out of the path
        path = root + path
    query = request.scope["query_string"].decode("latin-1")
    address = quote(path) + (f"?{query}" if query else "")
    return address if request.method in {"GET", "HEAD"} and len(address) <= LONGEST_NEXT else ""
