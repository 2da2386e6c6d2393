"""The application's own function is told that a login began, succeeded or failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from social_core.exceptions import SocialAuthBaseException
from social_core.utils import user_is_active

from ..organizations import EventCode, event_of_failed_login, tell
from ..problems import reference_of
from .purpose import Purpose

if TYPE_CHECKING:
    from .backend import LoginBackend


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
