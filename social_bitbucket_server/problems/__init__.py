"""Everything that can go wrong, in one table: a stable code, what it means, what to do, and who can do it."""

from __future__ import annotations

import logging
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING

from social_core.exceptions import (
    AuthAssociationError,
    AuthCanceled,
    AuthConfigurationError,
    AuthInputError,
    AuthPolicyError,
    AuthProviderError,
    AuthResponseError,
    AuthSessionError,
    ErrorStage,
    SocialAuthBaseException,
)

from . import login, oauth, reaching, settings
from .problem import Problem, Who

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_core.backends.base import BaseAuth

__all__ = [
    "PROBLEMS",
    "BitbucketServerError",
    "Problem",
    "Who",
    "http_status",
    "problem_to_show",
    "when_to_try_again",
]

_LOG = logging.getLogger(__name__)

PROBLEMS: dict[str, Problem] = {
    problem.code: problem for table in (settings, reaching, oauth, login) for problem in table.PROBLEMS
}
"""Every problem by its code."""


class BitbucketServerError(ValueError):
    """A problem that occurred.

    *code* is a key of :data:`PROBLEMS`. *reason* says what exactly is wrong, in words safe to show to an admin:
    never a key, token, verifier or text from the other side. *parameter* or *claim* names the setting, request
    parameter or response field concerned; *setting* is the full name of a setting, as its application writes it;
    *provider_code* is an ``oauth_problem`` from the known list; *status_code* the HTTP status that was answered;
    *facts* are for the operator's log.
    """

    def __init__(
        self,
        code: str,
        reason: str = "",
        *,
        parameter: str | None = None,
        setting: str = "",
        claim: str | None = None,
        provider_code: str | None = None,
        status_code: int | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self.problem = PROBLEMS[code]
        self.reason = reason
        self.parameter = parameter
        self.setting = setting
        self.claim = claim
        self.provider_code = provider_code
        self.status_code = status_code
        self.facts = dict(facts or {})
        super().__init__(" ".join(filter(None, (self.problem.title, setting and f"{setting}:", reason))).rstrip(":"))

    @property
    def code(self) -> str:
        """The problem's stable code."""
        return self.problem.code

    def in_setting(self, setting: str) -> BitbucketServerError:
        """Return the same problem, as that of the setting with this full name."""
        return BitbucketServerError(
            self.code,
            self.reason,
            parameter=self.parameter,
            setting=setting,
            claim=self.claim,
            provider_code=self.provider_code,
            status_code=self.status_code,
            facts=self.facts,
        )

    def as_social_error(self, backend: BaseAuth[object] | None, stage: ErrorStage) -> SocialAuthBaseException:
        """Return the same problem in social-core's family, with our code, remedy and a ``reference`` number in its
        ``context``.

        It is written to the log here, because applications catch such errors in ways of their own, and core's text says
        neither problem nor setting.
        """
        reference = secrets.token_hex(4).upper()
        name = self.setting or self.parameter or self.claim or "-"
        level = logging.INFO if self.problem.family is AuthCanceled else logging.WARNING
        what = "login failed: reference=%s problem=%s stage=%s name=%s: %s"
        _LOG.log(level, what, reference, self.code, stage, name, self)
        return self.problem.family(
            backend,
            str(self),
            code=self.problem.social_code,
            stage=stage,
            parameter=self.parameter,
            claim=self.claim,
            provider_code=self.provider_code,
            status_code=self.status_code,
            context={
                "problem": self.code,
                "remedy": self.problem.remedy,
                "who": self.problem.who.value,
                "setting": self.setting,
                "facts": self.facts,
                "reference": reference,
            },
        )


def http_status(error: SocialAuthBaseException) -> int:
    """The HTTP status with which an application answers *error* to a browser. An integration that was taken away is not
    there, like one that never was."""
    if error.context.get("problem") == "integration_unknown":
        return 404
    if isinstance(error, AuthConfigurationError):
        return 502 if error.parameter == "base_url" else 503
    if isinstance(error, AuthProviderError):
        return {"timeout": 504, "rate_limited": 503}.get(error.code, 502)
    for family, status in _STATUS_BY_FAMILY.items():
        if isinstance(error, family):
            return status
    return 400


def when_to_try_again(error: SocialAuthBaseException) -> dict[str, str]:
    """Return the headers that say when to try again, if waiting helps.

    A callback that found no room, or a server that is left alone for a moment, left its login under way, so the browser
    opens it again by itself.
    """
    if http_status(error) != HTTPStatus.SERVICE_UNAVAILABLE:
        return {}
    problem, seconds = error.context.get("problem"), str(_SECONDS_IN_TURN)
    if error.stage == "callback" and problem in {"server_busy", "server_overloaded"}:
        return {"Retry-After": seconds, "Refresh": seconds}
    return {"Retry-After": seconds if problem == "server_busy" else str(_SECONDS_TO_WAIT)}


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
    code = error.context.get("problem") or _PROBLEMS_OF_CORE.get(error.code, "")
    if isinstance(error, AuthSessionError) and error.code != "user_mismatch":
        code = "login_not_pending"
    if isinstance(error, AuthConfigurationError) and error.parameter == "base_url":
        code = code if getattr(error.backend, "has_single_server", False) else "connection_failed"
    return PROBLEMS.get(code)


_SECONDS_TO_WAIT = 60
_SECONDS_IN_TURN = 5
_PROBLEMS_OF_CORE = {
    "authentication_disallowed": "person_refused",
    "membership_required": "person_refused",
    "authorization_declined": "login_declined",
    "email_in_use": "email_in_use",
    "email_verification_rejected": "email_unconfirmed",
    "identifier_migration_conflict": "account_conflict",
    "identity_in_use": "identity_in_use",
    "username_in_use": "username_in_use",
    "missing_setting": "setting_missing",
    "invalid_setting": "setting_invalid",
    "missing_parameter": "callback_parameter_missing",
    "invalid_parameter": "callback_parameter_invalid",
}
"""Our codes for the problems that social-core and its pipelines raise themselves, by core's code."""
_STATUS_BY_FAMILY: dict[type[SocialAuthBaseException], int] = {
    AuthInputError: 400,
    AuthSessionError: 400,
    AuthResponseError: 502,
    AuthPolicyError: 403,
    AuthAssociationError: 409,
}
