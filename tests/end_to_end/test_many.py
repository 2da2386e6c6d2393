"""What a login costs does not depend on how many organizations there are: counted here, timed by ``make load``."""

from __future__ import annotations

from typing import Any

import pytest

from bench.load import many, organizations
from bench.load.place import Place
from social_bitbucket_server.client import Client

pytestmark = pytest.mark.postgresql

MOST = {"page": 6, "begin": 17, "complete": 17, "complete for the first time": 27}
"""Statements of a login's requests; commits count, and SQLite's BEGIN."""


def test_a_login_sends_the_same_few_statements_among_many_organizations(here: Place) -> None:
    found = many.measure(here, amounts=(10, 500), logins=2)
    for name, amounts in found.items():
        few, lots = ({stage: cost["statements"] for stage, cost in costs.items()} for costs in amounts.values())
        assert few == lots, name
        assert all(few[stage] <= most for stage, most in MOST.items()), (name, few)


def test_no_connection_to_the_database_is_held_while_bitbucket_is_asked(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with here.application(here.settings(here.postgresql.new_database())) as app:
        (door,) = organizations.add(app, here.ports[:1], here.keys)
        held: list[int] = []
        send = Client._send

        def asked(client: Client, *arguments: Any, **options: Any) -> Any:
            held.append(app.extensions["engine"].pool.checkedout())
            return send(client, *arguments, **options)

        monkeypatch.setattr(Client, "_send", asked)
        many._one(app, door, 1)
    assert held == [0, 0, 0, 0]
