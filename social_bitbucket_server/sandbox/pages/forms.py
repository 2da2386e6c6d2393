"""Forms that only the sandbox's own pages can send."""

from __future__ import annotations

import hmac
import secrets

from flask import Blueprint, Response, render_template, request, session


def form_token() -> str:
    """Return the value that every form carries. It belongs to this browser."""
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


def confirmation_refusal(name: str) -> str | None:
    """Return why a question must still be asked: empty at first, a sentence after a wrong answer, ``None`` at last.

    *name* is what must be typed.
    """
    if request.method == "GET":
        return ""
    if request.form.get("confirmed_name", "").strip() != name:
        return f"That is not the name. Type {name} to go on."
    return None
