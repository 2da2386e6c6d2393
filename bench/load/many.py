"""Costs of a login with few organizations and with many, and the memory that a worker keeps of them."""

from __future__ import annotations

import asyncio
import itertools
import re
import statistics
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask

from tests.statements import statements

from . import organizations
from .bitbucket import verifier
from .place import Place
from .throughput import everybody
from .visitors import Door, crowd

AMOUNTS = (10, 1_000, 100_000)
LOGINS = 60
TOUCHED = 1_000
_USED = 10
_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
_STAGES = ("page", "begin", "complete", "complete for the first time")


def measure(place: Place, amounts: Sequence[int] = AMOUNTS, logins: int = LOGINS) -> dict[str, Any]:
    """Return processor seconds and statements of each request of a login, by database and amount of integrations.

    The time is that of this process, in which the application is. PostgreSQL's own is in *wall*.
    """
    found: dict[str, Any] = {}
    for name in ("SQLite", "PostgreSQL"):
        found[name] = {}
        for amount in amounts:
            file = place.folder / f"{amount}.sqlite"
            url = f"sqlite:///{file}" if name == "SQLite" else place.postgresql.new_database()
            with place.application(place.settings(url)) as app:
                ports = place.ports[:_USED]
                doors = organizations.add(app, ports, place.keys, beside=amount - _USED)
                found[name][amount] = _costs(app, doors, logins)
    return found


def _costs(app: Flask, doors: Sequence[Door], logins: int) -> dict[str, Any]:
    """Return medians of as many people's *logins*, without the first at every door."""
    seen = []
    for door, person in itertools.islice(everybody(doors), logins + len(doors)):
        first, again = _one(app, door, person), _one(app, door, person)
        seen.append({**again, _STAGES[-1]: first["complete"]})
    measured = seen[len(doors) :]
    return {
        stage: {
            what: statistics.median(login[stage][what] for login in measured) for what in ("cpu", "wall", "statements")
        }
        for stage in _STAGES
    }


def _one(app: Flask, door: Door, person: int) -> dict[str, dict[str, float]]:
    client = app.test_client()
    origin = app.extensions["settings"].public_base_url
    costs: dict[str, dict[str, float]] = {}

    def ask(stage: str, method: str, path: str, **options: Any) -> Any:
        with statements(app.extensions["engine"]) as sent:
            wall, cpu = time.perf_counter(), time.process_time()
            answer = client.open(path, method=method, base_url=origin, **options)
            costs[stage] = {
                "cpu": time.process_time() - cpu,
                "wall": time.perf_counter() - wall,
                "statements": len(sent),
            }
        return answer

    page = f"/o/{door.slug}/login"
    csrf = _CSRF.search(ask("page", "GET", page).text)
    assert csrf
    begun = ask("begin", "POST", f"{page}/{door.integration}/begin", data={"csrf_token": csrf[1]})
    token = parse_qs(urlsplit(begun.location).query)["oauth_token"][0]
    query = {"oauth_token": token, "oauth_verifier": verifier(person)}
    done = ask("complete", "GET", f"/complete/bitbucket-server/{door.integration}/", query_string=query)
    assert done.status_code == 303
    return costs


def memory(place: Place, logins: int) -> dict[str, Any]:
    """Return the resident memory of each worker in bytes: at first, after two logins at each of :data:`TOUCHED`
    integrations, and after *logins* logins in all. There are more servers than a worker keeps connections to."""
    ports = list(itertools.islice(itertools.cycle(place.all_ports), TOUCHED))
    with place.serving(ports=ports) as served:
        doors = everybody(served.doors)

        def log_in(amount: int) -> list[int]:
            who = itertools.islice(doors, amount)
            found = asyncio.run(crowd(served.application, who, concurrency=16))
            assert not found.failed, found.failed[:3]
            return served.gunicorn.memory()

        return {
            "at first": served.gunicorn.memory(),
            f"{TOUCHED} integrations": log_in(2 * TOUCHED),
            f"{logins} logins": log_in(logins - 2 * TOUCHED),
        }
