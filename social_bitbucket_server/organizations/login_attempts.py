"""Attempts to log in: which events begin and end one, and its outcome in words."""

from __future__ import annotations

from enum import StrEnum

from ..problems import Code
from .events import EventCode


class LoginOutcome(StrEnum):
    """The outcome of one attempt to log in."""

    LOGGED_IN = "logged in"
    CONNECTED = "connected"
    """The person connected another Bitbucket account."""
    UNDER_WAY = "under way"
    """The person has not come back from Bitbucket yet."""
    ABANDONED = "did not come back"
    DECLINED = "declined"
    """The person denied the login on Bitbucket's page."""
    FAILED = "failed"


_SUCCEEDED = {
    EventCode.LOGIN_SUCCESS: LoginOutcome.LOGGED_IN,
    EventCode.IDENTITY_CONNECTED: LoginOutcome.CONNECTED,
}

FAILED_ATTEMPTS = (
    EventCode.LOGIN_FAILURE,
    EventCode.LOGIN_MIXUP,
    EventCode.LOGIN_REPLAY,
    EventCode.REQUEST_FAILURE,
)
"""Events with which an attempt fails."""

ENDED_ATTEMPTS = (*_SUCCEEDED, *FAILED_ATTEMPTS)
"""Events with which an attempt ends."""


def event_of_failed_login(problem: str) -> EventCode:
    """Return the event of a login that failed with the code *problem*, which may be one of social-core's."""
    is_mixed_up = problem in {Code.LOGIN_MIXED_UP, Code.TOKEN_OF_ANOTHER_LOGIN}
    return EventCode.LOGIN_MIXUP if is_mixed_up else EventCode.LOGIN_FAILURE


def login_outcome(event: str, *, problem: str | None, may_come_back: bool) -> LoginOutcome:
    """Return the outcome of an attempt whose last event has the code *event*, with the code of its *problem*.

    *may_come_back*: the attempt began so lately that the person may still come back from Bitbucket.
    """
    if event == EventCode.LOGIN_BEGIN:
        return LoginOutcome.UNDER_WAY if may_come_back else LoginOutcome.ABANDONED
    if event in _SUCCEEDED:
        return _SUCCEEDED[EventCode(event)]
    return LoginOutcome.DECLINED if problem == Code.LOGIN_DECLINED else LoginOutcome.FAILED
