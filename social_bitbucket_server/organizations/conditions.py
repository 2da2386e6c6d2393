"""The condition of an integration, from its newest events; what to do next where it has never worked.

Queries for the events are the storage's matter. Two events say that an integration works: a login that succeeded, and
a check-up that passed. Two say that it fails: a check-up that failed, and a login that failed with one of
:data:`TO_BE_MENDED`. Events from before the integration got another server say nothing about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ..problems import PROBLEMS, Code, Who
from .events import EventCode

_OF_ONE_PERSON_OR_ON_PURPOSE = {
    Code.ACCOUNT_INACTIVE,
    Code.ACCOUNT_NOT_ADMITTED,
    Code.ANOTHER_WAY_ONLY,
    Code.LOGIN_LINK_CLOSED,
    Code.PERSON_DISABLED,
    Code.PERSON_INACTIVE,
    Code.PERSON_NOT_ALLOWED,
}

TO_BE_MENDED = tuple(
    code
    for code, problem in PROBLEMS.items()
    if problem.who is not Who.PERSON and code not in _OF_ONE_PERSON_OR_ON_PURPOSE
)
"""Problems of logins that keep everybody out until somebody mends them, unlike one person's own, and unlike what the
organization's admin wants."""


class State(StrEnum):
    """The state of an integration."""

    DISABLED = "disabled"
    DRAFT = "draft"
    """It never worked: no check-up passed, and no person logged in."""
    NEVER_USED = "never used"
    """A check-up passed, and no person has logged in yet."""
    WORKING = "working"
    FAILING = "failing"
    """It worked once, and has failed since with a problem that has to be mended."""


@dataclass(frozen=True, slots=True)
class FailureEvent:
    """The first event since an integration worked last that says that it fails.

    *at* has a time zone. *problem* is the code of the problem, and ``None`` if the event has none.
    """

    at: datetime
    problem: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of an integration.

    *failure* is the event that a failing integration has failed since. *waits_for_key*: a new key pair waits until
    Bitbucket has its public key. *is_upgrade_begun*: OAuth 2 is set up, and no person has logged in by it yet.
    """

    state: State
    failure: FailureEvent | None = None
    waits_for_key: bool = False
    is_upgrade_begun: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether to show the login link: the integration is enabled and has worked at least once."""
        return self.state not in {State.DISABLED, State.DRAFT}

    @property
    def since(self) -> datetime | None:
        """Since when the integration fails; ``None`` if it does not fail."""
        return self.failure.at if self.failure is not None else None

    @property
    def problem(self) -> str | None:
        """The code of the first problem of a failing integration, if it is known."""
        return self.failure.problem if self.failure is not None else None

    @property
    def cause(self) -> str:
        """The problem in a sentence; empty if it is not one of the library's."""
        return PROBLEMS[self.problem].title if self.problem in PROBLEMS else ""

    @property
    def remedy(self) -> str:
        """The remedy for the problem; empty if it is not one of the library's."""
        return PROBLEMS[self.problem].remedy if self.problem in PROBLEMS else ""

    @property
    def is_explained(self) -> bool:
        """Whether a check-up finds the cause of the problem part by part."""
        return self.problem == Code.SIGNATURE_INVALID


def condition(
    *,
    is_enabled: bool,
    has_worked: bool,
    is_used: bool,
    failure: FailureEvent | None,
    waits_for_key: bool = False,
    is_upgrade_begun: bool = False,
) -> Condition:
    """Return the condition of an integration.

    *has_worked*: an event says that it works with the server that it has now. *is_used*: a person has logged in there.
    *failure* is the first event since the last such one that says that it fails; an integration that never worked does
    not count as failing.
    """
    if not is_enabled:
        state = State.DISABLED
    elif not (has_worked or is_used):
        state = State.DRAFT
    elif failure is not None:
        state = State.FAILING
    else:
        state = State.WORKING if is_used else State.NEVER_USED
    return Condition(state, failure if state is State.FAILING else None, waits_for_key, is_upgrade_begun)


def sign_of(event: str, *, has_passed: bool | None, problem: str | None) -> bool | None:
    """Return whether the *event* says that an integration works; ``None`` if it says nothing about that.

    *has_passed* is the result of a check-up: ``None`` if it has none. *problem* is the code of a login's problem.
    """
    if event == EventCode.INTEGRATION_TESTED:
        return has_passed
    if event == EventCode.LOGIN_FAILURE and problem in TO_BE_MENDED:
        return False
    return True if event == EventCode.LOGIN_SUCCESS else None


def turn(*, works: bool, worked_before: bool | None, has_ever_worked: Callable[[], bool]) -> EventCode | None:
    """Return the event of an integration that begins to fail, or works again; ``None`` if it goes on as it was.

    *works* is the newest sign, and *worked_before* the one before it. It is ``None`` if the integration has had no
    other sign with its present server. *has_ever_worked* is called only if the two differ: a draft whose tests fail
    does not begin to fail.
    """
    if worked_before is None or works is worked_before or not has_ever_worked():
        return None
    return EventCode.INTEGRATION_WORKING if works else EventCode.INTEGRATION_FAILING


class SetupStep(StrEnum):
    """Steps on the way to an integration that people can use, in their order."""

    SERVER = "server"
    """Say which server it is."""
    BITBUCKET = "bitbucket"
    """Let a Bitbucket admin enter the application link there."""
    TEST = "test"
    """Test the connection."""
    SHARE = "share"
    """Give people the login link."""

    @property
    def label(self) -> str:
        """The name of the step."""
        return "Share the link" if self is SetupStep.SHARE else self.capitalize()

    @property
    def number(self) -> int:
        """Number of the step, from 1."""
        return tuple(SetupStep).index(self) + 1

    @property
    def finished(self) -> tuple[SetupStep, ...]:
        """The steps before this one."""
        return tuple(SetupStep)[: self.number - 1]


def next_step(state: State | None, *, has_credentials: bool, is_tested: bool) -> SetupStep | None:
    """Return the next step of an integration that no person uses yet; ``None`` if there is none.

    *state* is ``None`` before the integration is saved. *has_credentials*: this application has its own half, which is
    a key pair or, for OAuth 2, the client ID and secret that Bitbucket made. *is_tested*: Bitbucket has the other half,
    as far as this application knows. With OAuth 1 a test of the connection tells. With OAuth 2 it is ``True``: the
    client ID and secret come from there.
    """
    if state is None:
        return SetupStep.SERVER
    if state is State.NEVER_USED:
        return SetupStep.SHARE
    if state is not State.DRAFT:
        return None
    return SetupStep.TEST if has_credentials and is_tested else SetupStep.BITBUCKET
