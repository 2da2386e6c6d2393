"""The list of events: its filter, its pages, one event, and the exports."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from social_bitbucket_server.flask.organizations import events, recording
from social_bitbucket_server.organizations import EventCode
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sqlalchemy.organizations import clock
from social_bitbucket_server.sqlalchemy.organizations import events as stored_events
from tests.capabilities import capability
from tests.flow.site import Site, log_in
from tests.statements import statements
from tests.visitor import Page, Visitor

EVENTS = "/o/acme/settings/events"


def record(site: Site, acme: str, *problems: str) -> None:
    """Let a login fail with each of *problems*."""
    with site.app.app_context():
        for problem in problems:
            recording.record(
                EventCode.LOGIN_FAILURE,
                outcome="failure",
                organization_id=1,
                integration_id=acme.rpartition("/")[2],
                problem=problem,
            )


def titles(page: Page) -> list[str]:
    return re.findall(r"<b>(.*?)</b>", page.text.partition("<tbody")[2])


def filtered(owner: Visitor, **fields: str) -> Page:
    page = owner.get(f"{EVENTS}?{urlencode(fields)}")
    assert page.status == 200
    return page


def fail(site: Site, sandbox: Sandbox, acme: str) -> str:
    """Let a login fail; returns the reference number that the person reads."""
    sandbox.faults.server_error = True
    found = re.search(r"\b[0-9A-F]{8}\b", site.visitor().begin(acme).words)
    sandbox.faults.server_error = False
    assert found
    return found[0]


def test_a_login_is_one_row_that_says_how_it_went(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(site.visitor(), acme, sandbox)
    declining = site.visitor()
    declining.get(sandbox.authorize(declining.begin(acme).location, user="jane", allow=False))
    site.visitor().begin(acme)
    assert titles(filtered(owner, kind="login"))[:3] == ["Login under way", "Login declined", "Login succeeded"]
    assert titles(filtered(owner, kind="failed-logins")) == []
    assert "Jane Doe" in filtered(owner, kind="login").words
    later = clock.now() + timedelta(minutes=11)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert titles(owner.get(EVENTS))[0] == "Login abandoned"


@capability("events")
def test_a_reference_number_finds_its_event_with_the_real_reason_and_the_remedy(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor
) -> None:
    number = fail(site, sandbox, acme)
    for _ in range(3):
        log_in(site.visitor(), acme, sandbox)
    found = filtered(owner, reference=number.lower())
    assert titles(found) == ["Login failed"]
    link = re.search(rf'href="({EVENTS}/\d+)">{number}</a>', found.text)
    assert link
    words = owner.get(link[1]).words
    for expected in ("The Bitbucket Server reported an error of its own", "Who can mend it", "What to do", number):
        assert expected in words


def test_a_filter_takes_kind_integration_and_days_and_ignores_what_it_cannot_read(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor
) -> None:
    other = owner.add_integration("acme", sandbox.url, "Other")
    fail(site, sandbox, acme)
    today = datetime.now(UTC).date()
    tomorrow = (today + timedelta(days=1)).isoformat()
    everything = titles(owner.get(EVENTS))
    assert titles(filtered(owner, kind="failed-logins")) == ["Login failed"]
    assert "Login failed" not in titles(filtered(owner, integration=other.rpartition("/")[2]))
    assert titles(filtered(owner, **{"from": today.isoformat(), "to": today.isoformat()})) == everything
    assert "No event matches" in filtered(owner, **{"from": tomorrow}).words
    assert titles(filtered(owner, to="9999-12-31")) == everything
    for odd in ("x", "0000-00-00", "\0", "1" * 5000, "2026-13-01"):
        assert titles(filtered(owner, kind=odd, integration=odd, **{"from": odd, "to": odd})) == everything


def test_the_pages_of_the_list_keep_the_filter(site: Site, acme: str, owner: Visitor) -> None:
    record(site, acme, *["timeout"] * 60)
    first = filtered(owner, kind="failed-logins")
    assert len(titles(first)) == events.PAGE_LENGTH
    assert "60 events" in first.words
    older = re.search(r'href="([^"]+)">Older events', first.text)
    assert older
    last = owner.get(older[1].replace("&amp;", "&"))
    assert titles(last) == ["Login failed"] * 10
    assert "Older events" not in last.words


def test_a_long_list_takes_as_many_statements_as_a_short_one(site: Site, acme: str, owner: Visitor) -> None:
    def sent() -> int:
        with statements(site.app.extensions["engine"]) as seen:
            owner.get(EVENTS)
        return len(seen)

    owner.get(EVENTS)
    record(site, acme, "timeout")
    few = sent()
    record(site, acme, *["timeout"] * 60)
    assert sent() <= few


def test_an_event_of_another_organization_is_not_found(site: Site, acme: str, owner: Visitor) -> None:
    stranger = site.visitor()
    stranger.create_organization("globex")
    assert owner.get(f"{EVENTS}/1").status == 200
    assert stranger.get("/o/globex/settings/events/1").status == 404
    assert owner.get(f"{EVENTS}/999999").status == 404


def test_the_exports_hold_what_the_filter_lets_through(site: Site, acme: str, owner: Visitor) -> None:
    record(site, acme, "timeout", "tls_failed")
    query = urlencode({"kind": "failed-logins"})
    table = owner.get(f"{EVENTS}/events.csv?{query}")
    assert table.headers["Content-Disposition"] == 'attachment; filename="acme-events.csv"'
    rows = list(csv.DictReader(io.StringIO(table.text)))
    lines = [json.loads(line) for line in owner.get(f"{EVENTS}/events.jsonl?{query}").text.splitlines()]
    assert rows == lines
    assert [row["problem"] for row in rows] == ["tls_failed", "timeout"]
    assert rows[0]["event"] == "login.failure"
    assert datetime.fromisoformat(rows[0]["time"]).utcoffset() == timedelta(0)


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "  =1"])
def test_no_cell_of_the_table_is_a_formula(site: Site, acme: str, owner: Visitor, name: str) -> None:
    path = owner.add_integration("acme", "https://bitbucket.acme.example", name.strip())
    record(site, path, "timeout")
    rows = list(csv.DictReader(io.StringIO(owner.get(f"{EVENTS}/events.csv").text)))
    assert rows[0]["integration"] == f"'{name.strip()}"
    assert json.loads(owner.get(f"{EVENTS}/events.jsonl").text.splitlines()[0])["integration"] == name.strip()


def test_an_export_is_read_bit_by_bit_and_has_an_end(
    site: Site, acme: str, owner: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_EXPORTED", 12)
    monkeypatch.setattr(stored_events, "MOST_EXPORTED", 12)
    monkeypatch.setattr(stored_events, "_READ_AT_ONCE", 5)
    record(site, acme, *["timeout"] * 20)
    lines = owner.get(f"{EVENTS}/events.jsonl").text.splitlines()
    assert len(lines) == 12
    assert "Export the newest 12 as CSV" in owner.get(EVENTS).words
