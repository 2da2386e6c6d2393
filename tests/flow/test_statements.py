"""Tests of a login's use of the database: few statements, and no connection while Bitbucket answers."""

from __future__ import annotations

from typing import Any

import pytest

from bench.load import organizations
from social_bitbucket_server.oauth import Client
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.flow.site import Site, log_in, on_every_database
from tests.statements import statements
from tests.visitor import Page

MOST = {"page": 2, "begin": 6, "complete for the first time": 17, "complete": 11}


@pytest.fixture(autouse=True)
def same_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock: some statements are sent once a minute."""
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)


def statements_of(site: Site, integration: str, sandbox: Sandbox, user: str) -> dict[str, int]:
    """Log *user* in twice, and return how many statements each request of the two logins sent."""
    counts: dict[str, int] = {}
    for complete in ("complete for the first time", "complete"):
        visitor = site.visitor()
        _, _, slug, *_, integration_id = integration.split("/")

        def counted(request: str, send: Any, *arguments: Any, **fields: str) -> Page:
            with statements(site.app.extensions["engine"]) as sent:
                page: Page = send(*arguments, **fields)
            counts[request] = len(sent)
            return page

        page = counted("page", visitor.get, f"/o/{slug}/login")
        begun = counted("begin", visitor.send, f"/o/{slug}/login/{integration_id}/begin", csrf_token=page.csrf_token)
        assert counted(complete, visitor.get, sandbox.authorize(begun.location, user=user)).status == 303
    return counts


@on_every_database
def test_a_login_sends_the_same_few_statements_among_many_organizations(
    site: Site, acme: str, sandbox: Sandbox
) -> None:
    log_in(site.visitor(), acme, sandbox, "admin")
    organizations.add(site.app, [], [], beside=2)
    among_few = statements_of(site, acme, sandbox, "jane")
    organizations.add(site.app, [], [], beside=27)
    assert statements_of(site, acme, sandbox, "natasha") == among_few
    assert all(among_few[request] <= most for request, most in MOST.items()), among_few


@on_every_database
def test_nothing_is_written_for_somebody_who_merely_looks(site: Site, acme: str) -> None:
    visitor = site.visitor()
    with statements(site.app.extensions["engine"]) as sent:
        for path in ("/", "/o/acme/", "/o/acme/login", acme, "/o/globex/login"):
            visitor.get(path)
    assert [statement for statement in sent if not statement.startswith("SELECT")] == []


@on_every_database
def test_no_connection_to_the_database_is_held_while_bitbucket_is_asked(
    site: Site, acme: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    send = Client._send

    def asked(client: Client, *arguments: Any, **options: Any) -> Any:
        held.append(site.app.extensions["engine"].pool.checkedout())
        return send(client, *arguments, **options)

    monkeypatch.setattr(Client, "_send", asked)
    assert log_in(site.visitor(), acme, sandbox).status == 303
    assert held == [0, 0, 0, 0]
