"""Notices in Flask: on the pages, and recorded by the command that is run daily."""

from __future__ import annotations

from datetime import timedelta

import pytest
import trustme
from sqlalchemy import select

from social_bitbucket_server.organizations import NOTICES, EventCode
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.capabilities import capability
from tests.client_certificates import issue
from tests.flask_app import database
from tests.flask_app.models import models
from tests.flow.site import Site, log_in, on_every_database
from tests.visitor import Visitor

CLIENT, CA, FAILING = NOTICES


def set_up(site: Site, **columns: object) -> None:
    with site.app.app_context():
        record = database.session.scalars(select(models.integration)).one()
        for name, value in columns.items():
            setattr(record, name, value)
        database.session.commit()


def listed(site: Site) -> list[list[str]]:
    """Run the command; returns what it says about each notice after the integration's id."""
    result = site.app.test_cli_runner().invoke(args=["bitbucket-server", "notices"])
    assert result.exit_code == 0, result.output
    return [line.split("\t")[1:] for line in result.output.splitlines()]


def recorded(site: Site) -> list[tuple[EventCode, str | None]]:
    with site.app.app_context():
        event = models.event
        rows = database.session.execute(
            select(event.event, event.problem).where(event.event.in_(NOTICES)).order_by(event.id)
        )
        return [(EventCode(code), problem) for code, problem in rows]


@capability("what ends soon")
def test_the_pages_say_which_certificate_ends_when_and_what_to_do(site: Site, acme: str, owner: Visitor) -> None:
    assert "certificate ends" not in owner.get(acme).words
    authority = trustme.CA()
    soon, over = (issue(authority, days=days).client_certificate for days in (9, -3))
    set_up(site, client_certificate=soon, ca_certificates=over)
    day, past = (clock.now() + timedelta(days=days) for days in (9, -3))
    sentences = (
        f"The client certificate ends on {day.day} {day:%B %Y}",
        f"A CA certificate ended on {past.day} {past:%B %Y}",
    )
    page, overview = owner.get(acme).words, owner.get("/o/acme/settings/integrations").words
    for sentence in (*sentences, "Enter a new one with its key.", "Enter it in place of this one."):
        assert sentence in page
    for sentence in ("Client certificate ends in 8 days", "CA certificate has ended"):
        assert sentence in overview
    owner.post(f"{acme}/disable")
    assert "certificate ends" not in owner.get(acme).words


@capability("what ends soon")
@on_every_database
def test_the_daily_command_lists_each_notice_and_records_it_once_a_month(
    site: Site, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(site, client_certificate=issue(trustme.CA(), days=9).client_certificate)
    now = clock.now()
    for days, times in ((0, 1), (1, 1), (29, 1), (31, 2)):
        monkeypatch.setattr(clock, "now", lambda days=days: now + timedelta(days=days))
        ((slug, name, sentence, day),) = listed(site)
        assert (slug, name, sentence) == ("acme", "Bitbucket", CLIENT.sentence)
        assert day == f"{now + timedelta(days=9):%Y-%m-%d}"
        assert recorded(site) == [(CLIENT, None)] * times
    set_up(site, disabled_at=now)
    assert listed(site) == []


def test_an_integration_that_has_been_failing_for_a_day_is_recorded_again_when_it_fails_anew(
    site: Site, sandbox: Sandbox, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    log_in(site.visitor(), acme, sandbox)
    assert listed(site) == []
    for hours in (0, 60):
        monkeypatch.setattr(clock, "now", lambda hours=hours: now + timedelta(hours=hours))
        sandbox.faults.server_error = True
        site.visitor().begin(acme)
        assert listed(site) == []
        for later in (25, 49):
            monkeypatch.setattr(clock, "now", lambda hours=hours + later: now + timedelta(hours=hours))
            ((*_, sentence, day),) = listed(site)
            assert (sentence, day) == (FAILING.sentence, f"{now + timedelta(hours=hours):%Y-%m-%d}")
        sandbox.faults.server_error = False
        log_in(site.visitor(), acme, sandbox)
    assert recorded(site) == [(FAILING, "server_error")] * 2
