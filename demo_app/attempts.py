"""How an integration fares, read from the audit log."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import aliased

from social_bitbucket_server.organizations import (
    TO_BE_MENDED,
    Condition,
    EventCode,
    FailureEvent,
    KeyState,
    condition,
)

from . import database
from .models import AuditEntry, IntegrationRecord, KeyPair


def conditions_of(records: Iterable[IntegrationRecord]) -> dict[str, Condition]:
    """The condition of each of *records*, by its id, in a fixed number of queries."""
    by_id = {record.id: record for record in records}
    worked, failed = _telling(AuditEntry.integration_id.in_(by_id))
    waiting = _with_waiting_key(by_id)
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


def telling() -> set[int]:
    """The ids of the audit entries, old ones among them, that tell how the integrations fare."""
    worked, failed = _telling(AuditEntry.integration_id.in_(select(IntegrationRecord.id)))
    return {*worked.values(), *(entry.id for entry in failed.values())}


def _telling(of_these: ColumnElement[bool]) -> tuple[dict[str, int], dict[str, AuditEntry]]:
    """By the integration's id: the id of the last entry that says that it works, with the server that it has now, and
    the first failure since."""
    entry, anew = AuditEntry, aliased(AuditEntry)
    began_anew = select(func.coalesce(func.max(anew.id), 0)).where(
        anew.integration_id == entry.integration_id, anew.event == EventCode.INTEGRATION_BEGAN_ANEW
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


def _failure(entry: AuditEntry | None) -> FailureEvent | None:
    return FailureEvent(entry.at, entry.problem) if entry is not None else None


def _with_waiting_key(integration_ids: Iterable[str]) -> set[str]:
    waits = select(KeyPair.integration_id).where(
        KeyPair.integration_id.in_(integration_ids), KeyPair.stored_state == KeyState.PENDING.value
    )
    return set(database.session.scalars(waits))


def _works() -> ColumnElement[bool]:
    tested = (AuditEntry.event == EventCode.INTEGRATION_TESTED) & (AuditEntry.outcome == "passed")
    return (AuditEntry.event == EventCode.LOGIN_SUCCESS) | tested


def _fails() -> ColumnElement[bool]:
    failed = (AuditEntry.event == EventCode.LOGIN_FAILURE) & AuditEntry.problem.in_(TO_BE_MENDED)
    # OAuth 1 goes on working, whatever comes of OAuth 2 meanwhile.
    failed &= AuditEntry.details["upgrade"].as_boolean().is_not(True)
    tested = (AuditEntry.event == EventCode.INTEGRATION_TESTED) & (AuditEntry.outcome == "failed")
    fails: ColumnElement[bool] = failed | tested
    return fails
