"""The class of problems, and the remedies that several of them share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from social_core.exceptions import (
    AuthAssociationError,
    AuthCanceled,
    AuthConfigurationError,
    AuthCredentialError,
    AuthInputError,
    AuthPolicyError,
    AuthProviderError,
    AuthResponseError,
    AuthSessionError,
    SocialAuthBaseException,
)

from .code import Code

START_AGAIN = "Go back to the login page and begin again."
ASK_SERVER = "Open the base URL in a browser from this machine's network and check that Bitbucket answers there."

_CODES_OF_CORE: dict[type[SocialAuthBaseException], str] = {
    AuthAssociationError: "email_in_use identifier_migration_conflict identity_in_use username_in_use",
    AuthCanceled: "authorization_declined",
    AuthConfigurationError: "backend_missing invalid_setting missing_setting unknown_error",
    AuthCredentialError: "email_verification_rejected",
    AuthInputError: "invalid_parameter missing_parameter",
    AuthPolicyError: "authentication_disallowed profile_email_missing",
    AuthProviderError: "authorization_code_rejected connection_failed http_error rate_limited timeout tls_error "
    "token_revoked unavailable",
    AuthResponseError: "invalid_claim malformed_response missing_claim",
    AuthSessionError: "session_context_missing state_mismatch user_mismatch",
}
_FAMILIES = {code: family for family, codes in _CODES_OF_CORE.items() for code in codes.split()}


class Who(StrEnum):
    """People who can remove a problem."""

    PERSON = "you"
    ORGANIZATION_ADMIN = "your organization's admin"
    BITBUCKET_ADMIN = "your Bitbucket admin"
    OPERATOR = "the operator of this application"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that can go wrong.

    *code* is stable and may be relied upon; *title*, *meaning* and *remedy* are sentences for people; *who* can
    carry out the remedy. *social_code* says how social-core's applications see it.
    """

    code: Code
    title: str
    meaning: str
    remedy: str
    who: Who
    social_code: str

    @property
    def family(self) -> type[SocialAuthBaseException]:
        """The class of social-core's errors that have this code."""
        return _FAMILIES[self.social_code]

    @property
    def documentation(self) -> str:
        """Path and anchor of the problem's explanation in this project's documentation."""
        return f"docs/problems.md#{self.code}"


class Row(NamedTuple):
    """A problem of the tables, which have it by its code."""

    title: str
    meaning: str
    remedy: str
    who: Who
    social_code: str
