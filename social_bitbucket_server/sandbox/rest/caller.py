"""The person for whom a program calls, and the headers that name them."""

from __future__ import annotations

import secrets
from urllib.parse import quote

from flask import Blueprint, Response, g, request

from ..context import message, signed_in, state
from ..oauth1.rules import signed_user
from ..program_calls import json_error, prepare
from ..state.users import User
from .authentication import report_refused_logins, user_by_bearer_token, user_by_password


def identify_caller(blueprint: Blueprint) -> None:
    """Find out who calls *blueprint*, keep it as ``g.user``, and name them in the answers."""
    prepare(blueprint)
    report_refused_logins(blueprint)
    blueprint.before_request(_find_out_who)
    blueprint.after_request(_add_headers)


def not_permitted() -> Response:
    """Return the refusal of a resource that the caller must not see."""
    return json_error(401, "You are not permitted to access this resource", "AuthorisationException")


def _find_out_who() -> None:
    """Identify the caller by signature, bearer token or password; in a browser, by the sign-in to the pages."""
    g.user = signed_user(message(), state()) or _bearer() or user_by_password(state()) or signed_in()


def _bearer() -> User | None:
    if not request.path.startswith("/rest/") and not state().whoami_takes_bearer_tokens:
        return None
    user, g.scopes = user_by_bearer_token(state())
    return user


def _add_headers(response: Response) -> Response:
    """Name the user, and set a session cookie that nobody needs."""
    if "BITBUCKETSESSIONID" not in request.cookies:
        response.set_cookie("BITBUCKETSESSIONID", secrets.token_hex(16).upper(), path="/", httponly=True)
    user: User | None = g.get("user")
    if user is not None and not state().faults.user_headers_removed:
        response.headers["X-AUSERNAME"] = quote(user.name, safe="")
        response.headers["X-AUSERID"] = str(user.id)
    return response
