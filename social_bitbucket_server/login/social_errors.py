"""Problems at the edge to social-core: each becomes an error of core's, with its stage and the setting's full name. The
application's own function is told of errors, and of logins that began or succeeded."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from social_core.exceptions import SocialAuthBaseException
from social_core.utils import user_is_active

from ..account import is_named_by_email
from ..integration import setting_of_field
from ..organizations import EventCode, event_of_failed_login, tell
from ..problems import BitbucketServerError, Code, reference_of
from .purpose import Purpose

if TYPE_CHECKING:
    from social_core.exceptions import ErrorStage

    from .backend import LoginBackend

_LOG = logging.getLogger(__name__)
_ABOUT_SETTINGS = frozenset(
    {Code.CA_CERTIFICATE_INVALID, Code.KEY_RING_INVALID, Code.SETTING_INVALID, Code.SETTING_MISSING}
)
_ANSWERS = frozenset(
    {
        "aiohttp.web_exceptions.HTTPException",
        "django.core.exceptions.BadRequest",
        "django.core.exceptions.PermissionDenied",
        "django.core.exceptions.SuspiciousOperation",
        "django.http.response.Http404",
        "pyramid.httpexceptions.HTTPException",
        "starlette.exceptions.HTTPException",
        "werkzeug.exceptions.HTTPException",
    }
)
"""The errors by which frameworks answer a request; a step may raise one on purpose."""


@contextmanager
def problems_at(stage: ErrorStage, backend: LoginBackend[Any, Any]) -> Iterator[None]:
    """Turn problems into core's errors of this *stage*."""
    try:
        yield
    except BitbucketServerError as error:
        problem, name = error, error.parameter
        if name and not error.setting and error.code in _ABOUT_SETTINGS:
            if name.isupper():
                problem = error.in_setting(backend.full_name(name))
            elif backend.has_single_server:
                problem = error.in_setting(backend.full_name(setting_of_field(name)))
        # Without the way it came: the variables of the functions on it hold tokens.
        raise problem.as_social_error(backend, stage) from None


@contextmanager
def failed_steps(backend: LoginBackend[Any, Any]) -> Iterator[None]:
    """Turn whatever a step of the pipeline raises into ``step_failed``, but for core's errors and those by which a
    framework answers. The log says where it was, without the error's text: that may be about a person."""
    try:
        yield
    except SocialAuthBaseException as error:
        if error.code == "username_in_use" and is_named_by_email(backend.strategy.storage.user):
            raise BitbucketServerError(Code.EMAIL_IN_USE).as_social_error(backend, "pipeline") from None
        reference_of(error)  # writes it to the log, because some applications show errors in ways of their own
        raise
    except Exception as error:
        if _ANSWERS.intersection(f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__):
            raise
        failed = BitbucketServerError(Code.STEP_FAILED, f"It raised {type(error).__qualname__}.")
        failure = failed.as_social_error(backend, "pipeline")
        place = "".join(traceback.format_tb(error.__traceback__))
        _LOG.error("reference=%s: %s at\n%s", reference_of(failure), type(error).__qualname__, place)
        raise failure from None


def tell_of(backend: LoginBackend[Any, Any], event: EventCode, **details: str) -> None:
    """Tell of *event* at the integration that this request is about."""
    tell(backend.setting("ON_EVENT"), event, {"integration_id": backend.known_integration_id, **details})


@contextmanager
def failure_told(backend: LoginBackend[Any, Any], purpose: Purpose = Purpose.LOG_IN) -> Iterator[None]:
    """Tell of a login with this *purpose* that fails with one of core's errors. The error goes on. Trials are not
    told."""
    try:
        yield
    except SocialAuthBaseException as error:
        if purpose is not Purpose.TRY and backend.setting("ON_EVENT"):
            problem = error.context.get("problem") or error.code or ""
            reference = reference_of(error)
            event = event_of_failed_login(problem)
            tell_of(backend, event, problem=problem, stage=error.stage or "", reference=reference)
        raise


def tell_of_person(backend: LoginBackend[Any, Any], found: object, *, connects: bool) -> None:
    """Tell of a login that ended with *found*. Unless that is a person who may log in, the login has not ended, or core
    shows a disabled person the way out. *connects*: the account is connected to a person who is logged in."""
    if not isinstance(found, backend.strategy.storage.user.user_model()):
        return
    if user_is_active(found) or backend.setting("ALLOW_INACTIVE_USERS_LOGIN"):
        tell_of(backend, EventCode.IDENTITY_CONNECTED if connects else EventCode.LOGIN_SUCCESS)
