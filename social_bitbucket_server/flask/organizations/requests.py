"""Rules for every request to the pages: no forms of other sites, and nothing that a browser or proxy keeps."""

from __future__ import annotations

from flask import Response, g, request
from flask_wtf.csrf import CSRFError, validate_csrf
from wtforms.validators import ValidationError


def refuse_foreign_forms() -> None:
    """Refuse a form without this session's token, or of another site, as its browser says. Raises CSRFError."""
    if request.method not in {"POST", "PUT", "PATCH", "DELETE"}:
        return
    if request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
        raise CSRFError
    try:
        validate_csrf(request.form.get("csrf_token"))
    except ValidationError as error:
        raise CSRFError from error


def keep_private(response: Response) -> Response:
    """Let nobody keep a page: it shows what one person may see."""
    if request.endpoint != "bitbucket.static":
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response


def allow_forms_to_reach(origins: set[str]) -> None:
    """Say that this page's forms are redirected to *origins*, for the application's Content-Security-Policy."""
    g.bitbucket_form_targets = origins


def form_targets() -> list[str]:
    """Return the origins to which forms of this request's page are redirected. A Content-Security-Policy with
    ``form-action`` has to list them, or browsers stop the way to Bitbucket."""
    return sorted(g.get("bitbucket_form_targets", ()))
