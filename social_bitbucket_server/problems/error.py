"""The error that is raised for a problem, and its kinds."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping

from social_core.backends.base import BaseAuth
from social_core.exceptions import (
    AuthCanceled,
    AuthConfigurationError,
    AuthProviderError,
    AuthResponseError,
    ErrorStage,
    SocialAuthBaseException,
)

from .code import Code
from .table import PROBLEMS

_LOG = logging.getLogger(__name__)


class BitbucketServerError(Exception):
    """A problem that occurred. Each is a :class:`SettingError`, :class:`ServerError`, :class:`TokenError` or
    :class:`LoginError`.

    *reason* says what exactly is wrong, in words safe to show to an admin: never a key, token, verifier or text from
    the other side. *parameter* or *claim* names the setting, request parameter or response field concerned; *setting*
    is the full name of a setting, as its application writes it; *provider_code* is an ``oauth_problem`` from the known
    list; *status_code* the HTTP status that was answered; *facts* are for the operator's log.
    """

    def __new__(cls, code: Code, *_arguments: object, **_options: object) -> BitbucketServerError:
        """Make an error of the kind that *code* belongs to."""
        return super().__new__(_KINDS[code] if cls is BitbucketServerError else cls)

    def __init__(
        self,
        code: Code,
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
    def code(self) -> Code:
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
                "problem": self.code.value,
                "remedy": self.problem.remedy,
                "who": self.problem.who.value,
                "setting": self.setting,
                "facts": self.facts,
                "reference": reference,
            },
        )


class SettingError(BitbucketServerError):
    """Somebody has to configure something, here or in Bitbucket. Trying again does not help before."""


class ServerError(BitbucketServerError):
    """The server could not be asked, or did not answer as Bitbucket does. Trying again later may help."""


class TokenError(BitbucketServerError):
    """The stored access token is missing, ended or cannot be opened. The person has to log in once more."""


class LoginError(BitbucketServerError):
    """This login, this account or this person is refused."""


_OF_TOKENS = frozenset(
    {Code.TOKEN_EXPIRED, Code.TOKEN_MISSING, Code.TOKEN_REJECTED, Code.TOKEN_REVOKED, Code.TOKEN_UNOPENABLE}
)
_BY_FAMILY: dict[type[SocialAuthBaseException], type[BitbucketServerError]] = {
    AuthConfigurationError: SettingError,
    AuthProviderError: ServerError,
    AuthResponseError: ServerError,
}
_KINDS = {
    code: TokenError if code in _OF_TOKENS else _BY_FAMILY.get(problem.family, LoginError)
    for code, problem in PROBLEMS.items()
}
