"""Logins of programs to REST by a bearer token or by a password (HTTP Basic)."""

from __future__ import annotations

import re

from flask import Blueprint, Response, request

from ..oauth2.rules import BearerRefusedError, bearer_grant
from ..program_calls import json_error
from ..state.external_applications import closure
from ..state.state import State
from ..state.users import User

_BEARER = re.compile(r"Bearer +(\S+)", re.IGNORECASE)


class BasicDisabledError(Exception):
    """The administrator has not switched basic authentication on."""


class PasswordRefusedError(Exception):
    """There is no active person with this name and password."""


class CaptchaRequiredError(Exception):
    """Too many passwords of this person were wrong; they must log in in a browser first."""


def report_refused_logins(blueprint: Blueprint) -> None:
    """Let *blueprint* answer the errors of this module as Bitbucket does."""
    for error, answer in _ANSWERS.items():
        blueprint.register_error_handler(error, answer)


def user_by_password(state: State) -> User | None:
    """Return the person whose name and password the request has. ``None`` without HTTP Basic.

    Raises :class:`BasicDisabledError`, :class:`PasswordRefusedError` or :class:`CaptchaRequiredError`.
    """
    given = request.authorization
    if given is None or given.type != "basic":
        return None
    if not state.takes_basic:
        raise BasicDisabledError
    name = given.username or ""
    if state.failed_logins.are_too_many(name):
        raise CaptchaRequiredError
    user = state.users.by_password(name, given.password or "")
    if user is None or not user.active:
        state.failed_logins.add(name)
        raise PasswordRefusedError
    return user


def user_by_bearer_token(state: State) -> tuple[User | None, tuple[str, ...]]:
    """Return the person and the scopes of the request's OAuth 2 token or HTTP access token. ``None`` without a token.

    Raises :class:`~.oauth2.rules.BearerRefusedError` or :class:`~.oauth1.refusals.AccountNotAdmittedError`.
    """
    bearer = _BEARER.fullmatch(request.headers.get("Authorization", "").strip())
    if bearer is None:
        return None, ()
    user = state.users.by_id(state.http_access_tokens.user_id(bearer[1]))
    if user is not None and user.active:
        return user, ("REPO_ADMIN",)
    return bearer_grant(bearer[1], state)


def may_administer(scopes: tuple[str, ...]) -> bool:
    """Return whether a bearer token with *scopes* reaches administrative resources. An HTTP access token never does."""
    return "ADMIN_WRITE" in closure(scopes)


def _basic_disabled(_: Exception) -> Response:
    return json_error(403, "Basic Authentication has been disabled on this instance.", "AuthorisationException")


def _password_refused(_: Exception) -> Response:
    text = "Authentication failed. Please check your credentials and try again."
    return json_error(401, text, "auth.IncorrectPasswordAuthenticationException")


def _captcha_required(_: Exception) -> Response:
    text = "CAPTCHA required. Log in in a browser, and answer the CAPTCHA there."
    response = json_error(403, text, "auth.CaptchaRequiredAuthenticationException")
    response.headers["X-Authentication-Denied-Reason"] = "CAPTCHA_CHALLENGE"
    return response


def _bearer_refused(_: Exception) -> Response:
    return json_error(401, "The access token is not valid.", "AuthenticationException")


_ANSWERS = {
    BasicDisabledError: _basic_disabled,
    BearerRefusedError: _bearer_refused,
    CaptchaRequiredError: _captcha_required,
    PasswordRefusedError: _password_refused,
}
