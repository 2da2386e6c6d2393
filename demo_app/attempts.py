"""How an integration fares, read from the audit log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import aliased

from social_bitbucket_server.problems import PROBLEMS, Code, Who

from . import database
from .models import AuditEntry, IntegrationRecord

_OF_ONE_PERSON = frozenset(
    {Code.ACCOUNT_INACTIVE, Code.ACCOUNT_NOT_ADMITTED, Code.PERSON_INACTIVE, Code.PERSON_NOT_ALLOWED}
)
_EXPLAINED = Code.SIGNATURE_INVALID
"""The problem of which the test of the connection says more: which part of what was signed the server saw otherwise."""
_TO_BE_MENDED = tuple(
    code for code, problem in PROBLEMS.items() if problem.who is not Who.PERSON and code not in _OF_ONE_PERSON
)
"""The problems that keep everybody out until somebody does something, unlike one person's own."""


class State(StrEnum):
    """How an integration fares."""

    DISABLED = "disabled"
    DRAFT = "draft"
    """It never worked: no test passed, and nobody logged in."""
    NEVER_USED = "never used"
    """A test passed, and nobody has logged in yet."""
    WORKING = "working"
    FAILING = "failing"
    """It worked, and since then something happened that has to be mended."""


@dataclass(frozen=True)
class Condition:
    """An integration's *state*; where it is failing, *since* when, and the code of the first *problem*."""

    state: State
    since: datetime | None = None
    problem: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether to show the login link: the integration is enabled and has worked at least once."""
        return self.state not in (State.DISABLED, State.DRAFT)

    @property
    def remedy(self) -> str:
        """Remedy for the problem, in a sentence or two. Empty if it is not one of the library's problems."""
        return PROBLEMS[self.problem].remedy if self.problem in PROBLEMS else ""

    @property
    def is_explained(self) -> bool:
        """Whether the test of the connection finds the cause part by part."""
        return self.problem == _EXPLAINED

    @property
    def cause(self) -> str:
        """Cause of the problem, in a sentence. Empty if it is not one of the library's problems."""
        return PROBLEMS[self.problem].title if self.problem in PROBLEMS else ""


def conditions_of(records: Iterable[IntegrationRecord]) -> dict[str, Condition]:
    """The condition of each of *records*, by its id, in a fixed number of queries."""
    by_id = {record.id: record for record in records}
    worked, failed = _telling(AuditEntry.integration_id.in_(by_id))
    return {key: _condition(record, key in worked, failed.get(key)) for key, record in by_id.items()}


def telling() -> set[int]:
    """The ids of the audit entries, old ones among them, that tell how the integrations fare."""
    worked, failed = _telling(AuditEntry.integration_id.in_(select(IntegrationRecord.id)))
    return {*worked.values(), *(entry.id for entry in failed.values())}


def _telling(of_these: ColumnElement[bool]) -> tuple[dict[str, int], dict[str, AuditEntry]]:
    """By the integration's id: the id of the last entry that says that it works, with the server that it has now, and
    the first failure since."""
    entry, anew = AuditEntry, aliased(AuditEntry)
    began_anew = select(func.coalesce(func.max(anew.id), 0)).where(
        anew.integration_id == entry.integration_id, anew.event == "integration.began_anew"
    )
    last = (
        select(entry.integration_id, func.max(entry.id).label("id"))
        .where(of_these, _works(), entry.id > began_anew.scalar_subquery())
        .group_by(entry.integration_id)
        .subquery()
    )
    first_failure = (
        select(func.min(entry.id))
        .join(last, last.c.integration_id == entry.integration_id)
        .where(entry.id > last.c.id, _fails())
        .group_by(entry.integration_id)
    )
    worked = {row.integration_id: row.id for row in database.session.execute(select(last))}
    failed = database.session.scalars(select(entry).where(entry.id.in_(first_failure)))
    return worked, {row.integration_id: row for row in failed if row.integration_id is not None}


def condition_of(record: IntegrationRecord) -> Condition:
    """The condition of *record*."""
    return conditions_of([record])[record.id]


def _condition(record: IntegrationRecord, worked: bool, failure: AuditEntry | None) -> Condition:
    if record.disabled_at is not None:
        return Condition(State.DISABLED)
    if failure is not None:
        return Condition(State.FAILING, failure.at, failure.problem)
    if record.last_login_at is not None:
        return Condition(State.WORKING)
    return Condition(State.NEVER_USED if worked else State.DRAFT)


def _works() -> ColumnElement[bool]:
    tested = (AuditEntry.event == "integration.tested") & (AuditEntry.outcome == "passed")
    return (AuditEntry.event == "login.success") | tested


def _fails() -> ColumnElement[bool]:
    failed = (AuditEntry.event == "login.failure") & AuditEntry.problem.in_(_TO_BE_MENDED)
    # OAuth 1 goes on working, whatever comes of OAuth 2 meanwhile.
    failed &= AuditEntry.details["upgrade"].as_boolean().is_not(True)
    tested = (AuditEntry.event == "integration.tested") & (AuditEntry.outcome == "failed")
    fails: ColumnElement[bool] = failed | tested
    return fails
