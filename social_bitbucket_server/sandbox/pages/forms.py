"""Who may see a page, and forms that only the sandbox's own pages can send."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, abort, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

from ..context import raw_target, signed_in, state

Parameters = ParamSpec("Parameters")
View = Callable[Parameters, AnyResponse | str]


def form_token() -> str:
    """The value that every form carries; it belongs to this browser."""
    if "form_token" not in session:
        session["form_token"] = secrets.token_urlsafe(24)
    return str(session["form_token"])


def protect(blueprint: Blueprint) -> None:
    """Refuse forms from elsewhere in a blueprint of pages."""

    @blueprint.before_request
    def check_form_token() -> Response | None:
        if request.method != "POST" or hmac.compare_digest(
            request.form.get("form_token", "").encode(), form_token().encode()
        ):
            return None
        text = "This form was open for too long, or comes from elsewhere. Go back, load the page again and repeat."
        return Response(render_template("message.html", title="The form is too old", text=text), 400)


def admin_only(view: View[Parameters]) -> View[Parameters]:
    """For pages of administrators."""

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> AnyResponse | str:
        user = signed_in()
        if user is None:
            return log_in_page()
        if not user.admin:
            abort(403)
        return view(*args, **kwargs)

    return guarded


def confirmation_refusal(name: str) -> str | None:
    """Why a question must still be asked: empty at first, a sentence after a wrong answer, None after the right one.

    *name* is what must be typed.
    """
    if request.method == "GET":
        return ""
    if request.form.get("confirmed_name", "").strip() != name:
        return f"That is not the name. Type {name} to go on."
    return None


def log_in_page() -> AnyResponse:
    """Send the browser to the log-in page, and from there back to here."""
    path, query = raw_target()
    here = f"{path}?{query}" if query and request.method == "GET" else path
    return redirect(f"{state().context}/login?{urlencode({'next': here})}")


def safe_next(target: str) -> str:
    """*target* where it is a page of this sandbox, otherwise the first page."""
    root = f"{state().context}/"
    is_plain = target.isprintable() and "\\" not in target and not target.startswith("//")
    if is_plain and target.startswith(root) and not urlsplit(target).netloc:
        return target
    return root
