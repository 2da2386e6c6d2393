"""The outcome of an attempt to log in."""

from __future__ import annotations

import pytest

from social_bitbucket_server.organizations import (
    ENDED_ATTEMPTS,
    FAILED_ATTEMPTS,
    EventCode,
    LoginOutcome,
    login_outcome,
)
from social_bitbucket_server.problems import Code


@pytest.mark.parametrize(
    ("event", "problem", "may_come_back", "outcome"),
    [
        (EventCode.LOGIN_BEGIN, None, True, LoginOutcome.UNDER_WAY),
        (EventCode.LOGIN_BEGIN, None, False, LoginOutcome.ABANDONED),
        (EventCode.LOGIN_SUCCESS, None, False, LoginOutcome.LOGGED_IN),
        ("login.success", None, True, LoginOutcome.LOGGED_IN),
        (EventCode.IDENTITY_CONNECTED, None, False, LoginOutcome.CONNECTED),
        (EventCode.LOGIN_FAILURE, Code.LOGIN_DECLINED, True, LoginOutcome.DECLINED),
        (EventCode.LOGIN_FAILURE, Code.CONNECTION_FAILED, True, LoginOutcome.FAILED),
        (EventCode.LOGIN_MIXUP, Code.LOGIN_MIXED_UP, False, LoginOutcome.FAILED),
        (EventCode.LOGIN_REPLAY, Code.LOGIN_NOT_PENDING, False, LoginOutcome.FAILED),
        (EventCode.REQUEST_FAILURE, None, False, LoginOutcome.FAILED),
    ],
)
def test_the_last_event_of_an_attempt_tells_its_outcome(
    event: str, problem: str | None, may_come_back: bool, outcome: LoginOutcome
) -> None:
    assert login_outcome(event, problem=problem, may_come_back=may_come_back) is outcome


def test_an_attempt_ends_with_a_success_or_a_failure() -> None:
    assert set(ENDED_ATTEMPTS) - set(FAILED_ATTEMPTS) == {EventCode.LOGIN_SUCCESS, EventCode.IDENTITY_CONNECTED}
