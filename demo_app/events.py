"""The list of events for an organization's owner: filtered, page by page, and as a whole for an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from flask import Flask
from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import aliased

from social_bitbucket_server.login import LIFETIME
from social_bitbucket_server.organizations import (
    ENDED_ATTEMPTS,
    FAILED_ATTEMPTS,
    EventCode,
    EventKind,
    LoginOutcome,
    login_outcome,
)
from social_bitbucket_server.problems import Code

from . import audit, clock, database, integrations, people
from .errors import Words, words_of
from .models import AuditEntry, IntegrationRecord, Organization

PAGE_LENGTH = 50
"""How many events one page of the list holds."""
MOST_EXPORTED = 10_000
"""How many events one export holds. The newest ones come first."""

_READ_AT_ONCE = 500
_TESTS = (EventCode.INTEGRATION_TESTED, EventCode.UPGRADE_TESTED)
_ATTEMPTS = (EventCode.LOGIN_BEGIN, *ENDED_ATTEMPTS)


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
class Filter:
    """Which events to show. An empty field, or ``None``, means all.

    *failed_logins*: only logins that failed, without those that people declined. *first_day* and *last_day* are days in
    UTC and belong to the range.
    """

    kind: EventKind | None = None
    failed_logins: bool = False
    integration_id: str = ""
    reference: str = ""
    first_day: date | None = None
    last_day: date | None = None


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
    words: Words | None = None

    @property
    def is_of_a_login(self) -> bool:
        """Whether it is about a login, by a person who may be unknown."""
        return self.code.startswith(("login.", "request."))


def page(organization: Organization, wanted: Filter, before: int | None = None) -> tuple[list[Event], bool]:
    """Return one page of the events of *organization* that *wanted* lets through, newest first.

    The events are older than the one with the id *before*. The second value says whether there are older ones.
    """
    entries = _read(organization, wanted, before, PAGE_LENGTH + 1)
    return _in_words(organization, entries[:PAGE_LENGTH]), len(entries) > PAGE_LENGTH


def count(organization: Organization, wanted: Filter) -> int:
    """Return how many events there are, and one more than :data:`MOST_EXPORTED` if there are more."""
    some = _matching(organization, wanted).with_only_columns(AuditEntry.id).limit(MOST_EXPORTED + 1).subquery()
    return database.session.scalar(select(func.count()).select_from(some)) or 0


def to_export(app: Flask, organization_id: int, wanted: Filter) -> Iterator[Event]:
    """Yield the newest events, at most :data:`MOST_EXPORTED`.

    It reads them bit by bit, and goes on after the request is over: each part has a context of *app* of its own.
    """
    left, before = MOST_EXPORTED, None
    while left > 0:
        with app.app_context():
            organization = database.session.get(Organization, organization_id)
            if organization is None:
                return
            found = _in_words(organization, _read(organization, wanted, before, min(left, _READ_AT_ONCE)))
        if not found:
            return
        yield from found
        left, before = left - len(found), found[-1].id


def find(organization: Organization, event_id: int) -> Event | None:
    """Return one event of *organization*, or ``None``."""
    entry = database.session.scalar(
        select(AuditEntry).where(
            AuditEntry.id == event_id,
            AuditEntry.organization_id == organization.id,
            AuditEntry.event.in_(audit.SENTENCES),
        )
    )
    return _in_words(organization, [entry])[0] if entry is not None else None


def recent(record: IntegrationRecord, most: int = 5) -> list[Event]:
    """Return the newest events of *record*, newest first."""
    entries = _read(record.organization, Filter(integration_id=record.id), None, most)
    return _in_words(record.organization, entries)


def failures_since(record: IntegrationRecord, since: datetime) -> tuple[int, Event | None, Event | None]:
    """Return how many logins failed *since* then, with the first and the last of them."""
    failed = _failed_logins(record, since)
    number = database.session.scalar(select(func.count()).select_from(failed.subquery())) or 0
    first = database.session.scalars(failed.order_by(AuditEntry.id).limit(1)).all()
    last = database.session.scalars(failed.order_by(AuditEntry.id.desc()).limit(1)).all()
    both = _in_words(record.organization, [*first, *last])
    return (number, both[0], both[-1]) if both else (0, None, None)


def _failed_logins(record: IntegrationRecord, since: datetime) -> Select[AuditEntry]:
    return select(AuditEntry).where(AuditEntry.integration_id == record.id, AuditEntry.at >= since, _is_failed_login())


def _read(organization: Organization, wanted: Filter, before: int | None, most: int) -> Sequence[AuditEntry]:
    matching = _matching(organization, wanted)
    if before is not None:
        matching = matching.where(AuditEntry.id < before)
    return database.session.scalars(matching.order_by(AuditEntry.id.desc()).limit(most)).all()


def _matching(organization: Organization, wanted: Filter) -> Select[AuditEntry]:
    matching = select(AuditEntry).where(
        AuditEntry.organization_id == organization.id,
        AuditEntry.event.in_(audit.SENTENCES),
        ~_has_gone_on(),
    )
    if wanted.kind is not None:
        matching = matching.where(AuditEntry.event.in_(wanted.kind.codes))
    if wanted.failed_logins:
        matching = matching.where(_is_failed_login())
    if wanted.integration_id:
        matching = matching.where(AuditEntry.integration_id == wanted.integration_id)
    if wanted.reference:
        matching = matching.where(AuditEntry.reference == wanted.reference)
    if wanted.first_day is not None:
        matching = matching.where(AuditEntry.at >= _beginning(wanted.first_day))
    if wanted.last_day is not None and wanted.last_day < date.max:
        matching = matching.where(AuditEntry.at < _beginning(wanted.last_day + timedelta(days=1)))
    return matching


def _has_gone_on() -> ColumnElement[bool]:
    """Return whether an entry is a login's beginning and another entry says how it went on."""
    later = aliased(AuditEntry)
    return and_(
        AuditEntry.event == EventCode.LOGIN_BEGIN,
        exists().where(later.transaction == AuditEntry.transaction, later.id > AuditEntry.id),
    )


def _is_failed_login() -> ColumnElement[bool]:
    return and_(AuditEntry.event.in_(FAILED_ATTEMPTS), AuditEntry.problem.is_distinct_from(Code.LOGIN_DECLINED))


def _beginning(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _in_words(organization: Organization, entries: Sequence[AuditEntry]) -> list[Event]:
    persons = people.names(organization, (entry.user_id for entry in entries))
    names = {record.id: record.name for record in integrations.of(organization)}
    return [_event(entry, persons, names) for entry in entries]


def _event(entry: AuditEntry, persons: Mapping[int, str], names: Mapping[str, str]) -> Event:
    title, detail, tone = _title(entry)
    problem = entry.problem or str(entry.details.get("code") or "")
    return Event(
        id=entry.id,
        at=entry.at,
        code=entry.event,
        title=title,
        detail=detail or audit.reason(entry).rstrip("."),
        tone=tone,
        integration_id=entry.integration_id or "",
        integration=names.get(entry.integration_id or "", ""),
        person=persons.get(entry.user_id or 0, ""),
        address=entry.address or "",
        reference=entry.reference or "",
        problem=problem,
        words=words_of(problem) if tone is Tone.FAILED and problem else None,
    )


def _title(entry: AuditEntry) -> tuple[str, str, Tone]:
    """Return title, detail and tone. An empty detail leaves the word to the entry's reason."""
    if entry.event in _ATTEMPTS:
        is_recent = clock.now() - entry.at < timedelta(seconds=LIFETIME)
        outcome = login_outcome(entry.event, problem=entry.problem, may_come_back=is_recent)
        if outcome in _OF_AN_ATTEMPT:
            return _OF_AN_ATTEMPT[outcome]
    title = audit.SENTENCES[entry.event].rstrip(".") if entry.event != EventCode.LOGIN_FAILURE else "Login failed"
    if entry.outcome in {"failure", "failed"}:
        return title, "", Tone.FAILED
    if entry.event in _TESTS and entry.outcome == "passed":
        return title, "All stages passed", Tone.DONE
    return title, "", Tone.ENDED if entry.outcome == "interrupted" else Tone.DONE
