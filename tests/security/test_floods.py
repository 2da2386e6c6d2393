"""Requests without a session leave next to nothing in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from sqlalchemy import func, select

from tests.flask_app import database
from tests.flask_app.models import models
from tests.security.rows import row
from tests.security.world import Browser

REQUESTS = 50


def rows(world: Any) -> tuple[int, int]:
    """The events, and the rows of all other tables."""
    with world.context():
        counts = {
            table.name: database.session.scalar(select(func.count()).select_from(table)) or 0
            for table in database.Base.metadata.sorted_tables
        }
    return counts.pop(models.event.__tablename__), sum(counts.values())


def without_form_token(world: Any) -> Callable[[], int]:
    return lambda: int(world.browser().post(world.b.begin_path, {}).status)


def for_another_host(world: Any) -> Callable[[], int]:
    return lambda: int(world.browser().get("/", headers={"Host": "evil.example"}).status)


def without_a_login(world: Any) -> Callable[[], int]:
    return lambda: int(world.browser().get(world.b.callback(oauth_token="x", oauth_verifier="y")).status)


def too_large(world: Any) -> Callable[[], int]:
    return lambda: int(world.browser().post("/", {"slug": "x" * 300_000}).status)


def log_out(world: Any) -> Callable[[], int]:
    """With one signed cookie, and the token in it."""
    page = world.browser().get(world.b.login_path)
    (cookie,) = page.cookies
    headers = {"Cookie": cookie.split(";")[0]}
    return lambda: int(world.browser().post(f"/o/{world.b.slug}/logout", page.csrf_field, headers=headers).status)


@row(115)
@pytest.mark.parametrize("act", [without_form_token, for_another_host, without_a_login, too_large, log_out])
def test_a_flood_leaves_one_event_and_nothing_else(world, act):
    send = act(world)
    events, others = rows(world)
    statuses = {send() for _ in range(REQUESTS)}
    assert len(statuses) == 1
    after = rows(world)
    assert after[0] - events <= 1
    assert after[1] == others


@row(115)
def test_each_address_and_kind_counts_for_itself(world):
    before = len(world.events("request.failure"))
    for address in ("127.0.0.1", "127.0.0.9"):
        for _ in range(3):
            browser = Browser(world, address)
            browser.post(world.b.begin_path, {})
            browser.post("/", {"slug": "x" * 300_000})
    assert len(world.events("request.failure")) - before == 4


@row(115)
@pytest.mark.parametrize(
    ("application", "events"),
    [
        ("organizations", lambda world: rows(world)[0]),
        ("django", lambda _: apps.get_model("social_bitbucket_server", "Event").objects.count()),
    ],
    indirect=["application"],
)
@pytest.mark.parametrize("is_pending", [False, True], ids=["of no login", "at another integration"])
def test_a_session_does_not_flood_the_events_either(world, events, is_pending):
    browser = world.browser()
    token, verifier = world.fa.authorize(browser.begin(world.a).location, "alice")
    address = world.b.callback(oauth_token=token if is_pending else "x", oauth_verifier=verifier)
    before = events(world)
    assert {browser.get(address).status for _ in range(REQUESTS)} == {400}
    assert 1 <= events(world) - before <= 10


@row(115)
@pytest.mark.parametrize("application", ["django"], indirect=True)
def test_a_flood_of_callbacks_leaves_one_event_in_django(world):
    events = apps.get_model("social_bitbucket_server", "Event").objects
    before = events.count()
    statuses = {
        Browser(world, f"2001:db8::{number}").get(world.b.callback(oauth_token=f"x{number}", oauth_verifier="y")).status
        for number in range(REQUESTS)
    }
    assert statuses == {400}
    assert events.count() - before == 1
