"""Steps of a pipeline: one that an application may add, and those that take the place of core's of the same name."""

from __future__ import annotations

from typing import Any, cast

from social_core.backends.base import BaseAuth
from social_core.exceptions import AuthConfigurationError, SocialAuthBaseException
from social_core.pipeline import user as core_steps
from social_core.storage import UserMixin, UserProtocol
from social_core.strategy import BaseStrategy

from .account import new_accounts
from .integration import BACKENDS, configured_backend
from .login import LoginBackend, OlderIdentity, problems_at
from .problems import BitbucketServerError, Code

_OTHER = dict(zip(BACKENDS, reversed(BACKENDS), strict=True))


def associate_by_bitbucket_identity(
    backend: BaseAuth[object],
    uid: str,
    response: dict[str, Any],
    user: UserProtocol | None = None,
    social: UserMixin | None = None,
    *args: Any,  # noqa: ARG001  # core's signature
    **kwargs: Any,  # noqa: ARG001  # core's signature
) -> dict[str, Any] | None:
    """Find the person who logged in by the other OAuth with the same account of the same Bitbucket Server.

    Put it into the pipeline right after ``social_core.pipeline.social_auth.social_user``. It compares the numeric user
    id alone. Both backends must be in ``AUTHENTICATION_BACKENDS``, and have the same base URL and namespace for the
    integration of this login. It does nothing for other backends and for identities that are known.

    Raises the social error of ``identity_in_use`` if a person connects an account that is another person's by the
    other OAuth.
    """
    if social is not None or not isinstance(backend, LoginBackend):
        return None
    known = _identity_by_other_oauth(backend, uid, response["integration"])
    if known is None or getattr(known, "uid", uid) != uid:  # some databases compare without case
        return None
    if user is None:
        return {"user": known.user, "is_new": False}
    if known.user != user:
        raise BitbucketServerError(Code.IDENTITY_IN_USE).as_social_error(backend, "pipeline")
    return None


def carry_over_identity(
    backend: BaseAuth[object],
    uid: str,
    response: dict[str, Any],
    user: UserProtocol | None = None,
    social: UserMixin | None = None,
    *args: Any,  # noqa: ARG001  # core's signature
    **kwargs: Any,  # noqa: ARG001  # core's signature
) -> dict[str, Any] | None:
    """Give a person who logs in for the first time the account of an older identity, which the setting ``CARRY_OVER``
    allows for this server.

    Put it into the pipeline right after ``social_core.pipeline.social_auth.social_user``, or after
    :func:`associate_by_bitbucket_identity`. It does nothing for other backends, for people who are known or logged in,
    and without the setting. What it does with an older identity, and what it leaves, is written down.

    Raises the social error of ``setting_invalid``.
    """
    if social is not None or user is not None or not isinstance(backend, LoginBackend):
        return None
    with problems_at("pipeline", backend):
        older = OlderIdentity.find(backend, uid, response)
        carried = older.carry_over() if older is not None else None
    if carried is None:
        return None
    return {"social": carried, "user": carried.user, "is_new": False, "new_association": False}


def create_user(
    strategy: BaseStrategy[object],
    details: dict[str, Any],
    backend: BaseAuth[object],
    user: UserProtocol | None = None,
    *args: Any,
    **kwargs: Any,
) -> dict[str, Any] | None:
    """Make an account as core's step does, with names that are cut to their columns.

    Raises the social errors of ``email_missing``, before anything is made, and ``account_refused``.
    """
    users = strategy.storage.user
    fitting = _fitting(strategy, details, backend)  # without an e-mail address that is too long
    if user is None and not fitting.get("email") and new_accounts.needs_email(users):
        raise BitbucketServerError(Code.EMAIL_MISSING, claim="email").as_social_error(backend, "pipeline")
    try:
        made: dict[str, Any] | None = core_steps.create_user(strategy, fitting, backend, user, *args, **kwargs)
    except SocialAuthBaseException:
        raise
    except Exception as error:
        if not strategy.storage.is_integrity_error(error):
            raise
        column = new_accounts.refused_column(error)
        reason = f"The column {column} must have a value." if column else ""
        raise BitbucketServerError(Code.ACCOUNT_REFUSED, reason).as_social_error(backend, "pipeline") from error
    return made


def user_details(
    strategy: BaseStrategy[object],
    details: dict[str, Any],
    backend: BaseAuth[object],
    user: UserProtocol | None = None,
    *args: Any,
    **kwargs: Any,
) -> None:
    """Update an account as core's step does, with names that are cut to their columns."""
    core_steps.user_details(strategy, _fitting(strategy, details, backend), backend, user, *args, **kwargs)


def _fitting(strategy: BaseStrategy[object], details: dict[str, Any], backend: BaseAuth[object]) -> dict[str, Any]:
    attributes = cast("dict[str, str]", backend.setting("USER_FIELD_MAPPING") or {})
    return new_accounts.fitting(details, strategy.storage.user, attributes)


def _identity_by_other_oauth(backend: LoginBackend[Any, Any], uid: str, integration_id: str) -> UserMixin | None:
    try:
        other_class = configured_backend(backend.strategy.get_backends(), _OTHER.get(backend.name, ""))
    except AuthConfigurationError:  # the application does not use it
        return None
    if not issubclass(other_class, LoginBackend):
        return None
    other = other_class(backend.strategy)
    try:
        space = backend.identity_space(integration_id)
        if space is None or space != other.identity_space(integration_id):
            return None
    except BitbucketServerError as error:
        raise error.as_social_error(backend, "pipeline") from None
    return cast("UserMixin | None", backend.strategy.storage.user.get_social_auth(other.name, uid))
