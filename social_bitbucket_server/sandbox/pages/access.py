"""Access to pages: for administrators, by forms that only the sandbox can show, and over the log-in page."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from urllib.parse import urlencode

from flask import Response, abort, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

from ..context import raw_target, signed_in, state
from ..state.external_applications import ExternalApplication
from ..state.grants import Grant
from ..state.links import Link
from ..state.oauth1_tokens import AccessToken


def form_token() -> str:
    """Return the value that every form carries. It belongs to this browser."""
    if "form_token" not in session:
        session["form_token"] = secrets.token_urlsafe(24)
    return str(session["form_token"])


def own_forms_only() -> Response | None:
    """Refuse forms that were not shown to this browser."""
    if request.method != "POST":
        return None
    if hmac.compare_digest(request.form.get("form_token", "").encode(), form_token().encode()):
        return None
    text = "This form was open for too long, or comes from elsewhere. Go back, load the page again and repeat."
    return Response(render_template("message.html", title="The form is too old", text=text), 400)


def admins_only() -> AnyResponse | None:
    """Let only administrators see a page. Everyone else gets the log-in page or 403."""
    if request.method == "OPTIONS":  # Flask answers it, and shows no page
        return None
    user = signed_in()
    if user is None:
        return log_in_page()
    return None if user.admin else abort(403)


def log_in_page() -> AnyResponse:
    """Send the browser to the log-in page, and from there back to here."""
    path, query = raw_target()
    here = f"{path}?{query}" if query and request.method == "GET" else path
    return redirect(f"{state().context}/login?{urlencode({'next': here})}")


def question(
    template: str, link: Link | ExternalApplication, tokens: Collection[AccessToken | Grant]
) -> Response | None:
    """Return the page that asks for the name of *link* before its *tokens* end. ``None`` if the name was typed."""
    refusal = ""
    if request.method == "POST":
        if request.form.get("confirmed_name", "").strip() == link.name:
            return None
        refusal = f"That is not the name. Type {link.name} to go on."
    people = {token.user_id for token in tokens}
    page = render_template(template, link=link, tokens=len(tokens), people=len(people), refusal=refusal)
    return Response(page, 400 if refusal else 200)
