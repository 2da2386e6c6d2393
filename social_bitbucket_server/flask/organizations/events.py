"""The pages of the events, for the admin: the list with its filter, one event, and the exports."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import groupby
from typing import Any, cast

from flask import Flask, Response, abort, current_app, request
from flask.typing import ResponseReturnValue

from ...organizations import EventKind
from ...sqlalchemy.organizations import DAYS_KEPT, MOST_EXPORTED, EventFilter
from .access import AdminPages
from .current import session, store
from .events_in_words import Event, in_words
from .templating import render

blueprint = AdminPages("events", __name__)

PAGE_LENGTH = 50
"""How many events one page of the list holds."""

_LONGEST_REFERENCE = 16
_FORMULA = re.compile(r"\s*[=+\-@\t\r]")
_FAILED_LOGINS = "failed-logins"
"""Value of the choice among the kinds that shows logins that failed."""

_COLUMNS = ("time", "event", "title", "detail", "integration", "person", "address", "reference", "problem")
"""Of an export. All but the first two are an event's attributes of the same name."""


@blueprint.get("")
def page(organization: Any) -> ResponseReturnValue:
    """Show the events that the filter lets through, newest first, day by day."""
    wanted = _filter(organization)
    before = request.args.get("before", type=_event_id)
    rows, has_older = store.events.page(organization, wanted, before, PAGE_LENGTH)
    found = in_words(organization, rows)
    parameters = {
        "kind": _FAILED_LOGINS if wanted.failed_logins else wanted.kind,
        "integration": wanted.integration_id,
        "reference": wanted.reference,
        "from": wanted.first_day and wanted.first_day.isoformat(),
        "to": wanted.last_day and wanted.last_day.isoformat(),
    }
    query = {name: str(value) for name, value in parameters.items() if value}
    return render(
        "events.html",
        days=[(day, list(of_day)) for day, of_day in groupby(found, key=lambda event: event.at.date())],
        found=found,
        count=store.events.count(organization, wanted),
        most=MOST_EXPORTED,
        wanted=wanted,
        query=query,
        is_filtered=bool(query),
        before=before,
        has_older=has_older,
        kinds={_FAILED_LOGINS: "Failed logins", **{kind.value: kind.label for kind in EventKind}},
        kind=query.get("kind"),
        records=store.integrations.of(organization),
        days_kept=DAYS_KEPT,
    )


@blueprint.get("/<bitbucket_row:event_id>")
def one(organization: Any, event_id: int) -> ResponseReturnValue:
    row = store.events.find(organization, event_id) or abort(404)
    return render("event.html", event=in_words(organization, [row])[0])


@blueprint.get("/events.csv")
def as_csv(organization: Any) -> ResponseReturnValue:
    """Send the events as CSV. A spreadsheet takes no cell for a formula."""
    content_type, head = "text/csv; charset=utf-8; header=present", _line_of_csv(_COLUMNS)
    return _download(organization, "csv", content_type, lambda values: _line_of_csv(values.values()), head)


@blueprint.get("/events.jsonl")
def as_json_lines(organization: Any) -> ResponseReturnValue:
    content_type = "application/jsonl; charset=utf-8"
    return _download(organization, "jsonl", content_type, lambda values: json.dumps(values, ensure_ascii=False) + "\n")


def _download(
    organization: Any, ending: str, content_type: str, line: Callable[[dict[str, str]], str], head: str = ""
) -> Response:
    """Return a file with the *head* and a *line* for each of the newest events."""
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]  # a proxy's method
    key, wanted = store.key_of(organization), _filter(organization)

    def lines() -> Iterator[str]:
        """Yield the lines, also when the request is over: this has a context of its own."""
        if head:
            yield head
        with app.app_context():
            exported = session.get_one(store.models.organization, key)
            for rows in store.events.to_export(exported, wanted):
                for event in in_words(exported, rows):
                    yield line(_values(event))

    name = f"{organization.slug}-events.{ending}"
    headers = {"Content-Type": content_type, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(lines(), headers=headers)


def _line_of_csv(cells: Iterable[str]) -> str:
    """Return *cells* so that a spreadsheet shows each as text (OWASP, "CSV Injection")."""
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(f"'{cell}" if _FORMULA.match(cell) else cell for cell in cells)
    return line.getvalue()


def _values(event: Event) -> dict[str, str]:
    """Return what an export says about *event*, by column."""
    texts = {column: getattr(event, column) for column in _COLUMNS[2:]}
    return {"time": event.at.isoformat(timespec="seconds"), "event": event.code, **texts}


def _filter(organization: Any) -> EventFilter:
    """Return the filter of the address. What cannot be read is left out."""
    known = {record.id for record in store.integrations.of(organization)}
    integration_id = request.args.get("integration", "")
    return EventFilter(
        kind=request.args.get("kind", type=EventKind),
        failed_logins=request.args.get("kind") == _FAILED_LOGINS,
        integration_id=integration_id if integration_id in known else "",
        reference=re.sub(r"[^0-9A-F]", "", request.args.get("reference", "").upper())[:_LONGEST_REFERENCE],
        first_day=request.args.get("from", type=date.fromisoformat),
        last_day=request.args.get("to", type=date.fromisoformat),
    )


def _event_id(text: str) -> int:
    """Raises ValueError for what is no event's number."""
    number = int(text)
    if not 0 < number < 2**31:
        raise ValueError(text)
    return number
