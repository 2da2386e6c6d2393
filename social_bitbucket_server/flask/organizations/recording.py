"""Events, with numbers and identifiers only: a row, a line of JSON in the log, and a signal for each of them.

Never tokens, verifiers, keys, cookies, names of people, or text from the other side.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from blinker import Namespace
from flask import Flask, current_app, g, has_app_context, has_request_context, request
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ...organizations import EventCode, sign_of, tell
from ...problems import BitbucketServerError, Code
from ...sqlalchemy.organizations import clock
from .current import EXTENSION, extension, store

logger = logging.getLogger("social_bitbucket_server.events")
"""Gets a line of JSON for each event. It is of level INFO."""

event_recorded = Namespace().signal("event-recorded")
"""Sent for each event by the application, with *event* (its code) and *details*: identifiers and codes by name."""

_DIGEST_LENGTH = 12
_RESULTS = {"passed": True, "failed": False}
_LOG = logging.getLogger(__name__)  # not the log of events, whose lines are JSON
_COLUMNS = ("organization_id", "integration_id", "user_id", "problem", "transaction", "reference", "address")


def set_up(app: Flask) -> None:
    """Keep the events of each request in the database when it is over, and tell the application's own function of
    them."""

    @app.teardown_appcontext
    def keep(_error: BaseException | None) -> None:
        if g.get("bitbucket_events") and EXTENSION in app.extensions:
            _record_turns(g.bitbucket_events)
            rows = g.pop("bitbucket_events")
            _write(rows)
            _tell(rows)


def record(event: EventCode, *, outcome: str = "success", **details: Any) -> None:
    """Write down *event* with *details* that are not ``None``. The request adds who asked and its reference number.

    ``organization_id`` says whose event it is if that is not the organization whose page was asked for.
    """
    now = clock.now()
    line: dict[str, Any] = {"organization_id": None, **details}
    if has_app_context() and line["organization_id"] is None:
        line["organization_id"] = g.get("bitbucket_organization_id")
    if has_request_context():
        line = {
            "transaction": g.get("bitbucket_transaction"),
            "reference": g.get("bitbucket_reference"),
            "address": request.remote_addr,
            "ua_hash": _digest(request.user_agent.string),
        } | {name: value for name, value in line.items() if value is not None}
    line = {name: value for name, value in line.items() if value is not None}
    logger.info(json.dumps({"at": now.isoformat(), "event": event.value, "outcome": outcome, **line}, default=str))
    if not has_app_context():
        return
    if "bitbucket_events" not in g:
        g.bitbucket_events = []
    g.bitbucket_events.append(_row(now, event, outcome, line))
    sender = current_app._get_current_object()  # type: ignore[attr-defined]  # a proxy's method
    event_recorded.send(sender, event=event, details={"outcome": outcome, **line})


def record_refusal(event: EventCode, error: BitbucketServerError, integration_id: str) -> None:
    """Write down the failed *event* with its *error*, and beside it an address that may not be reached."""
    record(event, outcome="failure", integration_id=integration_id, problem=error.code)
    if error.code == Code.ADDRESS_BLOCKED:
        record(EventCode.OUTBOUND_BLOCKED, outcome="failure", integration_id=integration_id, **error.facts)


def note_transaction(request_token: str) -> None:
    """Name the login that this request is about, by a digest of its *request_token*, in every event of it."""
    g.bitbucket_transaction = _digest(request_token) if request_token else None


def transaction() -> str | None:
    """Return the digest of the request token of the login that this request is about; ``None`` if it is about none."""
    digest: str | None = g.get("bitbucket_transaction")
    return digest


def _record_turns(rows: Sequence[Mapping[str, Any]]) -> None:
    """Record for each of *rows* that an integration begins to fail because of it, or works again."""
    for row in tuple(rows):
        has_passed = _RESULTS.get(row["outcome"])
        works = sign_of(row["event"], has_passed=has_passed, problem=row["problem"])
        if works is None or row["integration_id"] is None or "upgrade" in row["details"]:
            continue
        try:
            event = store.events.turn(row["integration_id"], works=works)
        except SQLAlchemyError as error:
            _LOG.error("it is unknown whether the integration worked before: %s", type(error).__name__)
            continue
        if event is not None:
            outcome = "success" if works else "failure"
            about = {name: row[name] for name in ("organization_id", "integration_id", "problem", "reference")}
            record(event, outcome=outcome, **about)


def _write(rows: list[dict[str, Any]]) -> None:
    """Write *rows* in a transaction of their own, when the request's is over."""
    session = store.models.session()
    engine = session.get_bind()
    session.close()
    try:
        if isinstance(engine, Engine):
            with engine.begin() as connection:
                store.events.write(connection, rows)
        else:  # the application's session is bound to one connection
            store.events.write(engine, rows)
    except SQLAlchemyError as error:
        _LOG.critical("%s events are in the log alone: %s", len(rows), type(error).__name__)


def _tell(rows: Iterable[Mapping[str, Any]]) -> None:
    """Tell the application's own function of the events in *rows*, in the order in which they happened. It may use the
    database, which no transaction of the request locks any more, and whose session nobody goes on with."""
    listener = extension().settings.on_event
    if listener:
        for row in rows:
            details = {name: row[name] for name in ("outcome", *_COLUMNS)} | row["details"]
            tell(listener, EventCode(row["event"]), details)
            store.models.session().close()  # an error may have left it unusable


def _row(now: datetime, event: EventCode, outcome: str, line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "at": now,
        "event": event.value,
        "outcome": outcome,
        "details": {name: value for name, value in line.items() if name not in _COLUMNS},
        **{column: line.get(column) for column in _COLUMNS},
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
