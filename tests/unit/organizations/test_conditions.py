"""The condition of an integration, and the next step of a draft."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from social_bitbucket_server.organizations import (
    TO_BE_MENDED,
    Condition,
    EventCode,
    FailureEvent,
    SetupStep,
    State,
    condition,
    next_step,
    sign_of,
    turn,
)
from social_bitbucket_server.problems import PROBLEMS, Code

SINCE = datetime(2026, 11, 26, 12, tzinfo=UTC)
FAILURE = FailureEvent(SINCE, Code.SIGNATURE_INVALID)


@pytest.mark.parametrize(
    ("is_enabled", "has_worked", "is_used", "failure", "state"),
    [
        (False, False, False, None, State.DISABLED),
        (False, True, True, FAILURE, State.DISABLED),
        (True, False, False, None, State.DRAFT),
        (True, False, False, FAILURE, State.DRAFT),
        (True, True, False, None, State.NEVER_USED),
        (True, True, False, FAILURE, State.FAILING),
        (True, True, True, None, State.WORKING),
        (True, False, True, None, State.WORKING),
        (True, True, True, FAILURE, State.FAILING),
        (True, False, True, FAILURE, State.FAILING),
    ],
)
def test_the_state_follows_from_the_newest_events(
    is_enabled: bool, has_worked: bool, is_used: bool, failure: FailureEvent | None, state: State
) -> None:
    found = condition(is_enabled=is_enabled, has_worked=has_worked, is_used=is_used, failure=failure)
    assert found == Condition(state, FAILURE if state is State.FAILING else None)


@pytest.mark.parametrize(
    ("state", "is_ready"),
    [
        (State.DISABLED, False),
        (State.DRAFT, False),
        (State.NEVER_USED, True),
        (State.WORKING, True),
        (State.FAILING, True),
    ],
)
def test_the_login_link_is_shown_once_an_integration_has_worked(state: State, is_ready: bool) -> None:
    assert Condition(state).is_ready is is_ready


def test_a_failing_integration_says_since_when_why_and_what_to_do() -> None:
    failing, problem = Condition(State.FAILING, FAILURE), PROBLEMS[Code.SIGNATURE_INVALID]
    assert (failing.since, failing.problem) == (SINCE, Code.SIGNATURE_INVALID)
    assert (failing.cause, failing.remedy) == (problem.title, problem.remedy)
    assert failing.is_explained


@pytest.mark.parametrize("failure", [None, FailureEvent(SINCE, None), FailureEvent(SINCE, "password_wrong")])
def test_nothing_is_said_about_a_problem_that_is_not_in_the_table(failure: FailureEvent | None) -> None:
    failing = Condition(State.FAILING, failure)
    assert (failing.cause, failing.remedy, failing.is_explained) == ("", "", False)


def test_a_working_integration_can_wait_for_a_key_and_for_the_end_of_an_upgrade() -> None:
    found = condition(
        is_enabled=True, has_worked=True, is_used=True, failure=None, waits_for_key=True, is_upgrade_begun=True
    )
    assert (found.state, found.waits_for_key, found.is_upgrade_begun) == (State.WORKING, True, True)


@pytest.mark.parametrize(
    ("code", "keeps_everybody_out"),
    [
        (Code.CONSUMER_KEY_UNKNOWN, True),
        (Code.CONNECTION_FAILED, True),
        (Code.ACCOUNT_INACTIVE, False),
        (Code.ACCOUNT_NOT_ADMITTED, False),
        (Code.LOGIN_DECLINED, False),
        (Code.LOGIN_NOT_PENDING, False),
    ],
)
def test_one_persons_problem_does_not_make_an_integration_fail(code: Code, keeps_everybody_out: bool) -> None:
    assert (code in TO_BE_MENDED) is keeps_everybody_out


@pytest.mark.parametrize(
    ("state", "has_credentials", "is_tested", "step"),
    [
        (None, False, False, SetupStep.SERVER),
        (State.DRAFT, True, False, SetupStep.BITBUCKET),
        (State.DRAFT, False, False, SetupStep.BITBUCKET),
        (State.DRAFT, False, True, SetupStep.BITBUCKET),
        (State.DRAFT, True, True, SetupStep.TEST),
        (State.NEVER_USED, True, True, SetupStep.SHARE),
        (State.WORKING, True, True, None),
        (State.FAILING, True, True, None),
        (State.DISABLED, True, False, None),
    ],
)
def test_a_draft_opens_at_its_next_step(
    state: State | None, has_credentials: bool, is_tested: bool, step: SetupStep | None
) -> None:
    assert next_step(state, has_credentials=has_credentials, is_tested=is_tested) is step


def test_the_steps_before_the_next_one_are_finished() -> None:
    assert SetupStep.SERVER.finished == ()
    assert SetupStep.SHARE.finished == (SetupStep.SERVER, SetupStep.BITBUCKET, SetupStep.TEST)


@pytest.mark.parametrize(
    ("event", "has_passed", "problem", "sign"),
    [
        (EventCode.LOGIN_SUCCESS, None, None, True),
        (EventCode.INTEGRATION_TESTED, True, None, True),
        (EventCode.INTEGRATION_TESTED, False, Code.SERVER_ERROR, False),
        (EventCode.INTEGRATION_TESTED, None, None, None),
        (EventCode.LOGIN_FAILURE, None, Code.SIGNATURE_INVALID, False),
        (EventCode.LOGIN_FAILURE, None, Code.LOGIN_DECLINED, None),
        (EventCode.LOGIN_FAILURE, None, None, None),
        (EventCode.UPGRADE_TESTED, False, Code.SIGNATURE_INVALID, None),
        (EventCode.LOGIN_BEGIN, True, None, None),
    ],
)
def test_an_event_says_that_an_integration_works_or_fails_or_neither(
    event: EventCode, has_passed: bool | None, problem: str | None, sign: bool | None
) -> None:
    assert sign_of(event, has_passed=has_passed, problem=problem) is sign


@pytest.mark.parametrize(
    ("works", "worked_before", "has_ever_worked", "event"),
    [
        (False, True, True, EventCode.INTEGRATION_FAILING),
        (True, False, True, EventCode.INTEGRATION_WORKING),
        (False, False, True, None),
        (True, True, True, None),
        (True, None, True, None),
        (False, None, False, None),
        (True, False, False, None),
    ],
)
def test_an_integration_begins_to_fail_and_works_again_once(
    works: bool, worked_before: bool | None, has_ever_worked: bool, event: EventCode | None
) -> None:
    assert turn(works=works, worked_before=worked_before, has_ever_worked=lambda: has_ever_worked) is event
