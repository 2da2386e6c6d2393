"""Logins of programs to REST by a bearer token, or by a password (HTTP Basic)."""

from __future__ import annotations

import re

from flask import Response, abort, request

from ..oauth2.rules import bearer_grant
from ..program_calls import json_error
from ..state.state import State
from ..state.users import User

_BEARER = re.compile(r"Bearer +(\S+)", re.IGNORECASE)


def user_by_password(state: State) -> User | None:
    """Return the person whose name and password the request has. ``None`` without HTTP Basic.

    Ends the request if basic authentication is off, the password is wrong, or the person must solve a CAPTCHA first.
    """
    given = request.authorization
    if given is None or given.type != "basic":
        return None
    if not state.takes_basic:
        text = "Basic Authentication has been disabled on this instance."
        abort(json_error(403, text, "AuthorisationException"))
    name = given.username or ""
    if state.failed_logins.are_too_many(name):
        text = "CAPTCHA required. Log in in a browser, and answer the CAPTCHA there."
        response = json_error(403, text, "auth.CaptchaRequiredAuthenticationException")
        response.headers["X-Authentication-Denied-Reason"] = "CAPTCHA_CHALLENGE"
        abort(response)
    user = state.users.by_password(name, given.password or "")
    if user is None or not user.active:
        state.failed_logins.add(name)
        text = "Authentication failed. Please check your credentials and try again."
        abort(json_error(401, text, "auth.IncorrectPasswordAuthenticationException"))
    return user


def user_by_bearer_token(state: State) -> tuple[User | None, tuple[str, ...]]:
    """Return the person and the scopes of the request's OAuth 2 token or HTTP access token. ``None`` without a token.

    Ends the request if the token is unknown, revoked or too old. Raises
    :class:`~.oauth1.rules.AccountNotAdmittedError`.
    """
    bearer = _BEARER.fullmatch(request.headers.get("Authorization", "").strip())
    if bearer is None:
        return None, ()
    user = state.users.by_id(state.http_access_tokens.get(bearer[1]))
    if user is not None and user.active:
        return user, ("REPO_ADMIN",)
    granted = bearer_grant(bearer[1], state)
    if granted is None:
        abort(json_error(401, "The access token is not valid.", "AuthenticationException"))
    return granted


def not_permitted() -> Response:
    """Return the refusal of a resource that the caller must not see."""
    return json_error(401, "You are not permitted to access this resource", "AuthorisationException")
