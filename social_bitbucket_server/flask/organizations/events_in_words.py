"""Events in words, for an organization's admin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ...login import LIFETIME
from ...organizations import ENDED_ATTEMPTS, EventCode, LoginOutcome, login_outcome
from ...problems import PROBLEMS, Problem
from ...sqlalchemy.organizations import EventMixin, clock
from .current import store
from .errors import Words, words_of

_REASONS = {
    "form_refused": "Its form was too old, or another site sent it.",
    "password_wrong": "The e-mail address or password was wrong.",
    "pending_key": "It is the new one, which waits for Bitbucket; people log in with the one in use. Make another one.",
    "replaced_key": "It is the old one; logins that began with it have to begin again.",
    "too_often": "It was tried too often.",
}
"""For what only an application with organizations can refuse."""


class Tone(StrEnum):
    """How an event is marked: done, failed, waiting, or ended without a result."""

    DONE = "check"
    FAILED = "cross"
    WAITING = "clock"
    ENDED = "dash"


_OF_AN_ATTEMPT = {
    LoginOutcome.LOGGED_IN: ("Login succeeded", "", Tone.DONE),
    LoginOutcome.UNDER_WAY: ("Login under way", "Waits for the person in Bitbucket", Tone.WAITING),
    LoginOutcome.ABANDONED: ("Login abandoned", "The person did not come back from Bitbucket", Tone.ENDED),
    LoginOutcome.DECLINED: ("Login declined", "The person pressed Deny in Bitbucket", Tone.ENDED),
}
"""Title, detail and tone of attempts to log in, apart from those that failed and those that connected an account."""


@dataclass(frozen=True)
class Event:
    """One event in words.

    *integration* and *person* are empty where the event has none or they were deleted. *words* say what to do about a
    failure, and who can do it.
    """

    id: int
    at: datetime
    code: str
    title: str
    detail: str
    tone: Tone
    integration_id: str
    integration: str
    person: str
    address: str
    reference: str
    problem: str
    words: Words | Problem | None

    @property
    def is_of_a_login(self) -> bool:
        """Whether it is about a login, by a person who may be unknown."""
        return self.code.startswith(("login.", "request."))


def in_words(organization: Any, rows: Sequence[EventMixin]) -> list[Event]:
    """Return these events of *organization* in words."""
    persons = store.people.names(organization, (row.user_id for row in rows))
    names = {record.id: record.name for record in store.integrations.of(organization)}
    events = []
    for row in rows:
        title, detail, tone = _title(row)
        problem = row.problem or str(row.details.get("code") or "")
        event = Event(
            id=row.id,
            at=row.at,
            code=row.event,
            title=title,
            detail=detail,
            tone=tone,
            integration_id=row.integration_id or "",
            integration=names.get(row.integration_id or "", ""),
            person=persons.get(row.user_id, ""),
            address=row.address or "",
            reference=row.reference or "",
            problem=problem,
            words=words_of(problem) if tone is Tone.FAILED and problem else None,
        )
        events.append(event)
    return events


def _title(row: EventMixin) -> tuple[str, str, Tone]:
    """Return title, detail and tone. The detail is why it failed, for the admin; empty if there is nothing to say."""
    reason = _REASONS.get(row.problem or row.details.get("code", ""), "")
    reason = (PROBLEMS[row.problem].title if row.problem in PROBLEMS else reason).rstrip(".")
    if row.event in {EventCode.LOGIN_BEGIN, *ENDED_ATTEMPTS}:
        is_recent = clock.now() - row.at < timedelta(seconds=LIFETIME)
        outcome = login_outcome(row.event, problem=row.problem, may_come_back=is_recent)
        if outcome in _OF_AN_ATTEMPT:
            title, detail, tone = _OF_AN_ATTEMPT[outcome]
            return title, detail or reason, tone
    title = EventCode(row.event).sentence.rstrip(".") if row.event != EventCode.LOGIN_FAILURE else "Login failed"
    if row.outcome in {"failure", "failed"}:
        return title, reason, Tone.FAILED
    if row.event in {EventCode.INTEGRATION_TESTED, EventCode.UPGRADE_TESTED} and row.outcome == "passed":
        return title, "All stages passed", Tone.DONE
    return title, reason, Tone.ENDED if row.outcome == "interrupted" else Tone.DONE
