"""Problems as an application shows them: status, headers, words and a number to quote."""

from __future__ import annotations

import logging
import secrets
from http import HTTPStatus

from social_core.exceptions import (
    AuthAssociationError,
    AuthConfigurationError,
    AuthInputError,
    AuthPolicyError,
    AuthProviderError,
    AuthResponseError,
    AuthSessionError,
    SocialAuthBaseException,
)

from .code import Code
from .problem import Problem
from .table import PROBLEMS

_LOG = logging.getLogger(__name__)
_PROBLEMS_OF_CORE = {
    "authentication_disallowed": Code.PERSON_REFUSED,
    "membership_required": Code.PERSON_REFUSED,
    "authorization_declined": Code.LOGIN_DECLINED,
    "email_in_use": Code.EMAIL_IN_USE,
    "email_verification_rejected": Code.EMAIL_UNCONFIRMED,
    "identifier_migration_conflict": Code.ACCOUNT_CONFLICT,
    "identity_in_use": Code.IDENTITY_IN_USE,
    "username_in_use": Code.USERNAME_IN_USE,
    "missing_setting": Code.SETTING_MISSING,
    "invalid_setting": Code.SETTING_INVALID,
    "missing_parameter": Code.CALLBACK_PARAMETER_MISSING,
    "invalid_parameter": Code.CALLBACK_PARAMETER_INVALID,
}
"""Our codes for the problems that social-core and its pipelines raise themselves, by core's code."""
_STATUS_BY_FAMILY: dict[type[SocialAuthBaseException], int] = {
    AuthInputError: 400,
    AuthSessionError: 400,
    AuthResponseError: 502,
    AuthPolicyError: 403,
    AuthAssociationError: 409,
}


def http_status(error: SocialAuthBaseException) -> int:
    """Return the HTTP status with which an application answers *error* to a browser. An integration that was deleted
    gives 404, like one that never was."""
    problem = error.context.get("problem")
    if problem in {Code.INTEGRATION_UNKNOWN, Code.TOO_OFTEN}:
        return 429 if problem == Code.TOO_OFTEN else 404
    if isinstance(error, AuthConfigurationError):
        return 502 if error.parameter == "base_url" else 503
    if isinstance(error, AuthProviderError):
        return {"timeout": 504, "rate_limited": 503}.get(error.code, 502)
    return next((status for family, status in _STATUS_BY_FAMILY.items() if isinstance(error, family)), 400)


def when_to_try_again(error: SocialAuthBaseException) -> dict[str, str]:
    """Return the headers that say when to try again, if waiting helps.

    A callback that found no room, or a server that is left alone for a moment, left its login under way, so the browser
    opens it again by itself.
    """
    wait = error.context.get("facts", {}).get("retry_after")
    if wait:
        return {"Retry-After": wait}
    if http_status(error) != HTTPStatus.SERVICE_UNAVAILABLE:
        return {}
    if may_come_back(error):
        return {"Retry-After": "5", "Refresh": "5"}
    return {"Retry-After": "5" if error.context.get("problem") == Code.SERVER_BUSY else "60"}


def may_come_back(error: SocialAuthBaseException) -> bool:
    """Return whether a callback that ended with *error* left its login under way: it was refused before the login was
    used up, because too much is asked at the moment."""
    too_much = {Code.SERVER_BUSY, Code.SERVER_OVERLOADED, Code.TOO_OFTEN}
    return error.stage == "callback" and error.context.get("problem") in too_much


def setting_to_show(error: SocialAuthBaseException) -> str:
    """Return the full name of the setting that *error* is about, if a page shows the problem itself."""
    shown = problem_to_show(error)
    is_shown = shown is not None and shown.code == error.context.get("problem")
    return str(error.context.get("setting", "")) if is_shown else ""


def reference_of(error: SocialAuthBaseException) -> str:
    """Return the number for the person to quote, under which the log says what happened.

    It names no person and holds no secret. An error of social-core's own gets its number, and its line in the log,
    here.
    """
    if "reference" not in error.context:
        error.context["reference"] = secrets.token_hex(4).upper()
        what = "login failed: reference=%s code=%s stage=%s name=%s"
        _LOG.warning(what, error.context["reference"], error.code, error.stage, error.parameter or error.claim or "-")
    return str(error.context["reference"])


def problem_to_show(error: SocialAuthBaseException) -> Problem | None:
    """Return the problem that a page shows for *error*, also if social-core raised it; ``None`` if there is none.

    A person who enters a server's address for their organization learns nothing about networks that this application
    may not reach: what is there looks like what does not exist. If the operator chose the one server, the page names
    it. No page says why a login is not under way.
    """
    code = error.context.get("problem") or _PROBLEMS_OF_CORE.get(error.code) or ""
    if isinstance(error, AuthSessionError) and error.code != "user_mismatch":
        code = Code.LOGIN_NOT_PENDING
    if isinstance(error, AuthConfigurationError) and error.parameter == "base_url":
        code = code if getattr(error.backend, "has_single_server", False) else Code.CONNECTION_FAILED
    return PROBLEMS.get(code)
