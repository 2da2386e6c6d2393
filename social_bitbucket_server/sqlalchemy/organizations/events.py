"""Events: written, read by an organization's admin, and what they tell about how integrations fare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from ...organizations import (
    FAILED_ATTEMPTS,
    TO_BE_MENDED,
    Condition,
    EventCode,
    EventKind,
    FailureEvent,
    KeyState,
    condition,
    turn,
)
from ...problems import Code
from . import clock
from .models import EventMixin, IntegrationMixin
from .part import Part

DAYS_KEPT = 90
"""Days for which each event is kept at least."""
MOST_EXPORTED = 10_000
"""How many events one export holds. The newest ones come first."""

_SHOWN = tuple(code.value for code in EventCode if code.is_shown)
_READ_AT_ONCE = 500
_DELETED_AT_ONCE = 1000  # so that nobody waits for it for long
_FINISHES = (EventCode.LOGIN_SUCCESS, EventCode.LOGIN_FAILURE, EventCode.LOGIN_MIXUP, EventCode.IDENTITY_CONNECTED)
# Literals, because psycopg parses a statement anew each time if it has more than 50 parameters or 4096 characters.
_TO_BE_MENDED: tuple[ColumnElement[str], ...] = tuple(literal_column(f"'{code}'") for code in sorted(TO_BE_MENDED))
_NEVER_FINISHED = (Code.LOGIN_NOT_PENDING, Code.CALLBACK_PARAMETER_MISSING, Code.CALLBACK_PARAMETER_INVALID)


@dataclass(frozen=True)
class EventFilter:
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


class Events(Part):
    """Events of organizations. Rows are only added, and deleted by :meth:`prune` alone."""

    def write(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add *rows*, with values by column, through a *connection* of their own: they outlive what is rolled back."""
        connection.execute(insert(self._models.event), list(rows))

    def page(
        self, organization: Any, wanted: EventFilter, before: int | None, most: int
    ) -> tuple[Sequence[EventMixin], bool]:
        """Return at most so many events of *organization* that *wanted* lets through, newest first.

        The events are older than the one with the id *before*; ``None`` begins with the newest. The second value says
        whether there are older ones.
        """
        found = self._read(organization, wanted, before, most + 1)
        return found[:most], len(found) > most

    def count(self, organization: Any, wanted: EventFilter) -> int:
        """Return how many events there are, and one more than :data:`MOST_EXPORTED` if there are more."""
        matching = self._matching(organization, wanted).with_only_columns(self._models.event.id)
        some = matching.limit(MOST_EXPORTED + 1).subquery()
        return self._session.scalar(select(func.count()).select_from(some)) or 0

    def to_export(self, organization: Any, wanted: EventFilter) -> Iterator[Sequence[EventMixin]]:
        """Yield the newest events bit by bit, at most :data:`MOST_EXPORTED`."""
        left, before = MOST_EXPORTED, None
        while left > 0:
            found = self._read(organization, wanted, before, min(left, _READ_AT_ONCE))
            if not found:
                return
            left, before = left - len(found), found[-1].id
            yield found

    def find(self, organization: Any, event_id: int) -> EventMixin | None:
        """Return one event of *organization* that its admin sees, or ``None``."""
        event = self._models.event
        return self._session.scalar(
            select(event).where(
                event.id == event_id,
                event.organization_id == self._store.key_of(organization),
                event.event.in_(_SHOWN),
            )
        )

    def recent(self, record: IntegrationMixin, most: int = 5) -> Sequence[EventMixin]:
        """Return the newest events of *record*, newest first."""
        return self._read(record.organization, EventFilter(integration_id=record.id), None, most)

    def failures_since(
        self, record: IntegrationMixin, since: datetime
    ) -> tuple[int, EventMixin | None, EventMixin | None]:
        """Return how many logins failed *since* then, with the first and the last of them."""
        event = self._models.event
        failed = select(event).where(event.integration_id == record.id, event.at >= since, self._is_failed_login())
        number = self._session.scalar(select(func.count()).select_from(failed.subquery())) or 0
        first = self._session.scalar(failed.order_by(event.id).limit(1))
        return number, first, self._session.scalar(failed.order_by(event.id.desc()).limit(1))

    def was_finished(self, transaction: str | None) -> bool:
        """Return whether the login with this digest of its request token was finished before, in whatever way."""
        event = self._models.event
        known = (
            select(event.id)
            .where(
                event.transaction == transaction,
                event.event.in_(_FINISHES),
                event.problem.is_(None) | event.problem.not_in(_NEVER_FINISHED),
            )
            .limit(1)
        )
        return self._session.scalar(known) is not None

    def was_tested(self, record: IntegrationMixin) -> bool:
        """Return whether the connection of *record* was ever tested."""
        event = self._models.event
        tested = select(event.id).where(event.integration_id == record.id, event.event == EventCode.INTEGRATION_TESTED)
        return self._session.scalar(tested.limit(1)) is not None

    def conditions_of(self, records: Iterable[IntegrationMixin]) -> dict[str, Condition]:
        """Return the condition of each of *records*, by its id, in a fixed number of statements."""
        by_id = {record.id: record for record in records}
        worked, failed = self._telling(self._models.event.integration_id.in_(by_id))
        waiting = self._with_waiting_key(by_id)
        return {
            key: condition(
                is_enabled=record.disabled_at is None,
                has_worked=key in worked,
                is_used=record.last_login_at is not None,
                failure=_failure(failed.get(key)),
                waits_for_key=key in waiting,
                is_upgrade_begun=record.oauth_versions.is_upgrade_begun,
            )
            for key, record in by_id.items()
        }

    def condition_of(self, record: IntegrationMixin) -> Condition:
        """Return the condition of *record*."""
        return self.conditions_of([record])[record.id]

    def turn(self, integration_id: str, *, works: bool) -> EventCode | None:
        """Return the event of an integration that begins to fail, or works again, because the newest sign says whether
        it *works*; see :func:`~social_bitbucket_server.organizations.conditions.turn`."""
        *found, began_anew = self._session.execute(self._last_signs, {"integration_id": integration_id}).one()
        has_worked, has_failed = max(found[:2]), max(found[2:])
        return turn(
            works=works,
            worked_before=None if max(has_worked, has_failed) <= began_anew else has_worked > has_failed,
            has_ever_worked=lambda: has_worked > began_anew,
        )

    @cached_property
    def _last_signs(self) -> Select[Any]:
        """Read the ids of an integration's last login, last test that passed, last failures, and last new server. Each
        is 0 if there is none. The statement is made once, because each login sends it."""
        event = aliased(self._models.event, name="e")  # a short name keeps the statement short, see _TO_BE_MENDED

        def last(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
            """Read the end of a range of the index, and few rows before it."""
            newest = select(func.coalesce(func.max(event.id), literal_column("0")))
            of_integration = event.integration_id == bindparam("integration_id")
            return newest.where(of_integration, *conditions).correlate(None).scalar_subquery()

        logins, tests = map(last, self._signs_of_work(event))
        failures = (last(sign, event.id > logins) for sign in self._signs_of_failure(event))
        columns: list[Any] = [logins, tests, *failures, last(event.event == EventCode.INTEGRATION_BEGAN_ANEW)]
        return select(*columns)

    def prune(self, days: int) -> int:
        """Delete the events that are older than so many *days*, at least :data:`DAYS_KEPT`, but those that tell how
        integrations fare. Return how many. It can be interrupted and run again."""
        event, telling = self._models.event, self._all_telling()
        is_old = event.at < clock.now() - timedelta(days=days)
        deleted, last = 0, 0
        while ids := self._session.scalars(
            select(event.id).where(is_old, event.id > last).order_by(event.id).limit(_DELETED_AT_ONCE)
        ).all():
            gone = [id_ for id_ in ids if id_ not in telling]
            self._session.execute(delete(event).where(event.id.in_(gone)))
            self._session.commit()
            deleted, last = deleted + len(gone), ids[-1]
        self._record(EventCode.AUDIT_PRUNED, days=days, entries=deleted)
        return deleted

    def _read(self, organization: Any, wanted: EventFilter, before: int | None, most: int) -> Sequence[EventMixin]:
        event = self._models.event
        matching = self._matching(organization, wanted)
        if before is not None:
            matching = matching.where(event.id < before)
        return self._session.scalars(matching.order_by(event.id.desc()).limit(most)).all()

    def _matching(self, organization: Any, wanted: EventFilter) -> Select[EventMixin]:
        event = self._models.event
        matching = select(event).where(
            event.organization_id == self._store.key_of(organization), event.event.in_(_SHOWN), ~self._has_gone_on()
        )
        if wanted.kind is not None:
            matching = matching.where(event.event.in_(wanted.kind.codes))
        if wanted.failed_logins:
            matching = matching.where(self._is_failed_login())
        if wanted.integration_id:
            matching = matching.where(event.integration_id == wanted.integration_id)
        if wanted.reference:
            matching = matching.where(event.reference == wanted.reference)
        if wanted.first_day is not None:
            matching = matching.where(event.at >= _beginning(wanted.first_day))
        if wanted.last_day is not None and wanted.last_day < date.max:
            matching = matching.where(event.at < _beginning(wanted.last_day + timedelta(days=1)))
        return matching

    def _has_gone_on(self) -> ColumnElement[bool]:
        """Return whether an event is a login's beginning and another event says how it went on."""
        event = self._models.event
        later = aliased(event)
        return and_(
            event.event == EventCode.LOGIN_BEGIN,
            exists().where(later.transaction == event.transaction, later.id > event.id),
        )

    def _is_failed_login(self) -> ColumnElement[bool]:
        event = self._models.event
        return and_(event.event.in_(FAILED_ATTEMPTS), event.problem.is_distinct_from(Code.LOGIN_DECLINED))

    def _all_telling(self) -> set[int]:
        """Return the ids of the events, old ones among them, that tell how the integrations fare."""
        worked, failed = self._telling(self._models.event.integration_id.in_(select(self._models.integration.id)))
        return {*worked.values(), *(event.id for event in failed.values())}

    def _telling(self, of_these: ColumnElement[bool]) -> tuple[dict[str, int], dict[str, EventMixin]]:
        """By the integration's id: the id of the last event that says that it works, with the server that it has now,
        and the first failure since."""
        event = self._models.event
        anew = aliased(event)
        began_anew = select(func.coalesce(func.max(anew.id), 0)).where(
            anew.integration_id == event.integration_id, anew.event == EventCode.INTEGRATION_BEGAN_ANEW
        )
        last = (
            select(event.integration_id, func.max(event.id).label("id"))
            .where(of_these, self._works(), event.id > began_anew.scalar_subquery())
            .group_by(event.integration_id)
            .subquery()
        )
        first_failure = (
            select(func.min(event.id))
            .join(last, last.c.integration_id == event.integration_id)
            .where(event.id > last.c.id, self._fails())
            .group_by(event.integration_id)
        )
        worked = {row.integration_id: row.id for row in self._session.execute(select(last))}
        failed = self._session.scalars(select(event).where(event.id.in_(first_failure)))
        return worked, {row.integration_id: row for row in failed if row.integration_id is not None}

    def _with_waiting_key(self, integration_ids: Iterable[str]) -> set[str]:
        pair = self._models.key_pair
        waits = select(pair.integration_id).where(
            pair.integration_id.in_(integration_ids), pair.stored_state == KeyState.PENDING.value
        )
        return set(self._session.scalars(waits))

    def _works(self) -> ColumnElement[bool]:
        return or_(*self._signs_of_work(self._models.event))

    def _fails(self) -> ColumnElement[bool]:
        return or_(*self._signs_of_failure(self._models.event))

    def _signs_of_work(self, event: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        tested = (event.event == EventCode.INTEGRATION_TESTED) & (event.outcome == "passed")
        return event.event == EventCode.LOGIN_SUCCESS, tested

    def _signs_of_failure(self, event: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        failed = (event.event == EventCode.LOGIN_FAILURE) & event.problem.in_(_TO_BE_MENDED)
        # OAuth 1 goes on working, whatever comes of OAuth 2 meanwhile.
        failed &= event.details["upgrade"].as_boolean().is_not(True)
        tested = (event.event == EventCode.INTEGRATION_TESTED) & (event.outcome == "failed")
        return failed, tested


def _beginning(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _failure(event: EventMixin | None) -> FailureEvent | None:
    return FailureEvent(event.at, event.problem) if event is not None else None
