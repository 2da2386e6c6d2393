"""The audit log: what happened, with numbers and identifiers only; one line of JSON for each event, and one row.

Never tokens, verifiers, keys, cookies, addresses, names of people, or text from the other side. Rows are only added,
and deleted by :func:`prune` alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Container
from datetime import datetime, timedelta
from typing import Any, cast

from flask import Flask, g, has_app_context, has_request_context, request
from sqlalchemy import Engine, delete, insert, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from social_bitbucket_server.organizations import EventCode
from social_bitbucket_server.problems import PROBLEMS, Code

from . import clock, database
from .models import AuditEntry

logger = logging.getLogger("demo_app.audit")

SENTENCES = {code.value: code.sentence for code in EventCode if code.is_shown}
"""Sentences for the organization's owner, by event."""

_REASONS = {
    "already_connected": "The person has another account with this integration.",
    "form_refused": "Its form was too old, or another site sent it.",
    "password_wrong": "The owner's e-mail address or password was wrong.",
    "pending_key": "It is the new one, which waits for Bitbucket; people log in with the one in use. Make another one.",
    "person_disabled": "The person is disabled here.",
    "replaced_key": "It is the old one; logins that began with it have to begin again.",
    "too_often": "It was tried too often.",
}
"""For what only this application can refuse."""

_DELETED_AT_ONCE = 1000  # so that nobody waits for it for long
_DIGEST_LENGTH = 12
_FINISHES = (EventCode.LOGIN_SUCCESS, EventCode.LOGIN_FAILURE, EventCode.LOGIN_MIXUP, EventCode.IDENTITY_CONNECTED)
_NEVER_FINISHED = (Code.LOGIN_NOT_PENDING, Code.CALLBACK_PARAMETER_MISSING, Code.CALLBACK_PARAMETER_INVALID)
_LOG = logging.getLogger("demo_app")  # not the audit log itself, whose lines are JSON


def set_up(app: Flask) -> None:
    """Keep the entries of each request in the database when it is over.

    The log goes to the standard error stream where the server's configuration sends it nowhere else. Call it before
    :func:`demo_app.database.connect`, so that the request's own transaction is over first.
    """
    logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())

    @app.teardown_appcontext
    def keep(_error: BaseException | None) -> None:
        rows = g.pop("audit_rows", None)
        if rows:
            engine: Engine = app.extensions["engine"]
            try:
                with engine.begin() as connection:
                    connection.execute(insert(AuditEntry), rows)
            except SQLAlchemyError as error:
                _LOG.critical("%s audit entries are in the log alone: %s", len(rows), type(error).__name__)


def record(event: EventCode, *, outcome: str = "success", **details: str | int | bool | None) -> None:
    """Write down *event* with *details* that are not None; the request adds who asked and its reference number.

    ``org_id`` says whose event it is where that is not the organization whose page was asked for.
    """
    now = clock.now()
    line: dict[str, str | int | bool | None] = {
        "ts": now.isoformat(),
        "event": event.value,
        "outcome": outcome,
        **details,
    }
    if has_app_context():
        line.setdefault("org_id", _organization_of_the_page())
    if has_request_context():
        line["tx"] = g.get("transaction")
        line["src_ip"] = request.remote_addr
        line["ua_hash"] = _digest(request.user_agent.string)
        line["corr_id"] = g.get("reference")
    line = {name: value for name, value in line.items() if value is not None}
    logger.info(json.dumps(line))
    if has_app_context():
        if "audit_rows" not in g:
            g.audit_rows = []
        g.audit_rows.append(_row(now, line))


def note_transaction(request_token: str) -> None:
    """Name the login that this request is about, by a digest of its *request_token*, in every event of it."""
    g.transaction = _digest(request_token) if request_token else None


def was_finished() -> bool:
    """Return whether the login that this request is about was finished before, in whatever way."""
    known = (
        select(AuditEntry.id)
        .where(
            AuditEntry.transaction == g.get("transaction"),
            AuditEntry.event.in_(_FINISHES),
            AuditEntry.problem.is_(None) | AuditEntry.problem.not_in(_NEVER_FINISHED),
        )
        .limit(1)
    )
    return database.session.scalar(known) is not None


def prune(days: int, *, but: Container[int]) -> int:
    """Delete the entries that are older than so many *days*, at least :data:`~.models.DAYS_KEPT`, but those with the
    ids *but*; returns how many. It can be interrupted and run again."""
    is_old = AuditEntry.at < clock.now() - timedelta(days=days)
    deleted, last = 0, 0
    while ids := database.session.scalars(
        select(AuditEntry.id).where(is_old, AuditEntry.id > last).order_by(AuditEntry.id).limit(_DELETED_AT_ONCE)
    ).all():
        gone = [id_ for id_ in ids if id_ not in but]
        database.session.execute(delete(AuditEntry).where(AuditEntry.id.in_(gone)))
        database.session.commit()
        deleted, last = deleted + len(gone), ids[-1]
    record(EventCode.AUDIT_PRUNED, days=days, entries=deleted)
    return deleted


def reason(entry: AuditEntry) -> str:
    """Return why it failed, in a sentence for the owner; empty if there is nothing to say."""
    if entry.problem in PROBLEMS:
        return PROBLEMS[entry.problem].title
    return _REASONS.get(entry.problem or entry.details.get("code", ""), "")


def _row(now: datetime, line: dict[str, Any]) -> dict[str, Any]:
    columns = {
        "organization_id": "org_id",
        "integration_id": "integration_id",
        "user_id": "user_id",
        "problem": "problem",
        "transaction": "tx",
        "reference": "corr_id",
        "address": "src_ip",
    }
    known = {"ts", "event", "outcome", *columns.values()}
    return {
        "at": now,
        "event": line["event"],
        "outcome": line["outcome"],
        "details": {name: value for name, value in line.items() if name not in known},
        **{column: line.get(name) for column, name in columns.items()},
    }


def _organization_of_the_page() -> int | None:
    """Return its id, without asking the database for what may be deleted already."""
    organization = g.get("organization")
    return cast("int", inspect(organization).identity[0]) if organization is not None else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
