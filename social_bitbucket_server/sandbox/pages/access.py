"""Access to pages: the guard for administrators, and the way over the log-in page and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlencode, urlsplit

from flask import abort, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from ..context import raw_target, signed_in, state

Parameters = ParamSpec("Parameters")
View = Callable[Parameters, AnyResponse | str]


def admin_only(view: View[Parameters]) -> View[Parameters]:
    """Let only administrators see the page of *view*. Everyone else gets the log-in page or 403."""

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> AnyResponse | str:
        user = signed_in()
        if user is None:
            return log_in_page()
        if not user.admin:
            abort(403)
        return view(*args, **kwargs)

    return guarded


def log_in_page() -> AnyResponse:
    """Send the browser to the log-in page, and from there back to here."""
    path, query = raw_target()
    here = f"{path}?{query}" if query and request.method == "GET" else path
    return redirect(f"{state().context}/login?{urlencode({'next': here})}")


def safe_next(target: str) -> str:
    """Return *target* if it is a page of this sandbox, otherwise the first page."""
    root = f"{state().context}/"
    is_plain = target.isprintable() and "\\" not in target and not target.startswith("//")
    if is_plain and target.startswith(root) and not urlsplit(target).netloc:
        return target
    return root
