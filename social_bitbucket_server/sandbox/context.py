"""The context of a view: the sandbox's state, the OAuth message, and the person who is signed in."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlsplit

from flask import current_app, g, request, session

from .oauth1.messages import Message
from .state.state import State
from .state.users import User

EXTENSION = "bitbucket_sandbox"


def state() -> State:
    """Return the state of the sandbox that serves this request."""
    return cast("State", current_app.extensions[EXTENSION])


def message() -> Message:
    """Return this request as OAuth sees it."""
    if "message" not in g:
        is_form = request.method == "POST" and request.mimetype == "application/x-www-form-urlencoded"
        g.message = Message.read(
            request.method,
            _seen_url(),
            authorization=request.headers.get("Authorization", ""),
            query=raw_target()[1],
            body=request.get_data(as_text=True) if is_form else "",
        )
    return cast("Message", g.message)


def raw_target() -> tuple[str, str]:
    """Return path and query exactly as they were sent."""
    path, _, query = request.environ["REQUEST_URI"].partition("?")
    return path, query


def signed_in() -> User | None:
    """Return the active person who is signed in to the pages in this browser, or ``None``."""
    user = state().users.by_id(session.get("user_id"))
    return user if user is not None and user.active else None


def _seen_url() -> str:
    """Return the address as the server saw it. Signatures are checked over it, not over the configured base URL."""
    faults, context = state().faults, state().context
    seen = urlsplit(f"//{request.headers.get('Host', '')}")
    host = faults.seen_host or (f"[{seen.hostname}]" if ":" in (seen.hostname or "") else seen.hostname or "")
    port = str(faults.seen_port) if faults.seen_port else seen.netloc.rpartition("]")[2].rpartition(":")[2]
    has_port = bool(faults.seen_port) or ":" in seen.netloc.rpartition("]")[2]
    authority = f"{host}:{port}" if has_port else host
    path = (context if faults.seen_context_twice else "") + raw_target()[0]
    return f"{faults.seen_scheme or request.scheme}://{authority}{path}"
