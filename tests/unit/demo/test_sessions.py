"""Server-side sessions: what the cookie is worth, and when it ends."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from typing import Any

import pytest
from flask import Flask

from demo_app import clock, database
from demo_app.models import LoginSession, SocialStorage, User
from tests.demo_visitor import InProcess, Visitor
from tests.unit.demo.conftest import AppMaker, Clock


def is_logged_in(visitor: Visitor) -> bool:
    return visitor.get("/o/acme/account").status == 200


def cookie(visitor: Visitor) -> str:
    assert isinstance(visitor.transport, InProcess)
    found = visitor.transport.client.get_cookie("demo_session", domain="127.0.0.1")
    assert found is not None
    return found.value


def give_cookie(visitor: Visitor, value: str) -> None:
    assert isinstance(visitor.transport, InProcess)
    visitor.transport.client.set_cookie("demo_session", value, domain="127.0.0.1")


def rows(app: Flask) -> list[LoginSession]:
    with app.app_context():
        return list(database.session.query(LoginSession).order_by(LoginSession.created_at))


def test_the_database_knows_the_hash_of_the_cookie_only(app: Flask, owner: Visitor) -> None:
    stored = {row.id_sha256 for row in rows(app)}
    assert hashlib.sha256(cookie(owner).encode()).hexdigest() in stored
    assert cookie(owner) not in stored


def test_the_cookie_holds_256_random_bits(owner: Visitor) -> None:
    assert len(cookie(owner)) == 43


def test_nobody_gets_a_cookie_for_a_page_without_a_form(app: Flask, visitor: Visitor) -> None:
    assert "Set-Cookie" not in visitor.get("/nowhere").headers
    assert rows(app) == []


def test_an_identifier_that_a_visitor_brings_is_not_adopted(visitor: Visitor) -> None:
    brought = "A" * 43
    give_cookie(visitor, brought)
    visitor.get("/")
    assert cookie(visitor) != brought


@pytest.mark.parametrize("value", ["", "short", "x" * 3000, "../../etc/passwd", "%00"])
def test_a_cookie_of_another_shape_is_nobody(visitor: Visitor, value: str) -> None:
    give_cookie(visitor, value)
    assert visitor.get("/").status == 200


def test_an_idle_session_ends_after_an_hour(owner: Visitor, standing_clock: Clock) -> None:
    owner.log_owner_in("acme")
    standing_clock.advance(minutes=59)
    assert is_logged_in(owner)
    standing_clock.advance(minutes=61)
    assert not is_logged_in(owner)


def test_a_session_in_use_ends_after_twelve_hours(owner: Visitor, standing_clock: Clock) -> None:
    owner.log_owner_in("acme")
    for _ in range(24):
        standing_clock.advance(minutes=30)
        assert is_logged_in(owner)
    standing_clock.advance(minutes=1)
    assert not is_logged_in(owner)


def test_logging_in_renews_the_session_and_ends_the_old_one(app: Flask, owner: Visitor) -> None:
    before = cookie(owner)
    owner.log_owner_in("acme")
    assert cookie(owner) != before
    other = Visitor(InProcess(app))
    give_cookie(other, before)
    assert not is_logged_in(other)


def test_logging_out_is_for_every_copy_of_the_cookie(app: Flask, owner: Visitor) -> None:
    before = cookie(owner)
    owner.post("/o/acme/logout", "/o/acme/account")
    other = Visitor(InProcess(app))
    give_cookie(other, before)
    assert not is_logged_in(other)


def test_an_ended_session_keeps_nothing(app: Flask, owner: Visitor) -> None:
    owner.post("/o/acme/logout", "/o/acme/account")
    ended = [row for row in rows(app) if row.revoked_at is not None]
    assert ended
    assert {row.data for row in ended} == {"{}"}


def test_a_session_says_whose_it_is_in_its_columns(app: Flask, owner: Visitor) -> None:
    (row,) = [row for row in rows(app) if row.user_id is not None]
    assert row.organization_id == 1
    assert set(json.loads(row.data)) <= {"csrf_token"}


def test_a_disabled_person_is_logged_in_nowhere(app: Flask, owner: Visitor) -> None:
    with app.app_context():
        database.session.query(User).one().disabled_at = clock.now()
        database.session.commit()
    assert not is_logged_in(owner)


def test_sessions_that_nobody_can_use_are_forgotten(app: Flask, standing_clock: Clock, owner: Visitor) -> None:
    owner.log_owner_in("acme")
    standing_clock.advance(minutes=61)
    Visitor(InProcess(app)).log_owner_in("acme")
    assert len(rows(app)) == 1


@pytest.mark.parametrize("path", ["/", "/organizations/new", "/o/acme/login", "/o/acme/login/owner", "/o/acme/"])
def test_who_only_looks_at_pages_leaves_nothing_in_the_database(app: Flask, owner: Visitor, path: str) -> None:
    before = len(rows(app))
    for _visit in range(3):
        visitor = Visitor(InProcess(app))
        for _page in range(3):
            assert visitor.get(path).status == 200
    assert len(rows(app)) == before


def test_the_token_of_a_form_counts_in_its_own_browser_alone(app: Flask, owner: Visitor) -> None:
    mine, another = Visitor(InProcess(app)), Visitor(InProcess(app))
    token = mine.get("/").csrf_token
    another.get("/")
    assert mine.send("/", csrf_token=token, slug="acme").status == 303
    assert another.send("/", csrf_token=token, slug="acme").status == 400
    assert Visitor(InProcess(app)).send("/", csrf_token=token, slug="acme").status == 400


def test_the_token_of_a_form_counts_after_another_page_was_opened(app: Flask, owner: Visitor) -> None:
    visitor = Visitor(InProcess(app))
    token = visitor.get("/").csrf_token
    visitor.get("/o/acme/login/owner")
    assert visitor.send("/", csrf_token=token, slug="acme").status == 303


def test_the_token_of_a_form_ends_as_any_session_does(app: Flask, standing_clock: Clock, owner: Visitor) -> None:
    visitor = Visitor(InProcess(app))
    token = visitor.get("/").csrf_token
    standing_clock.advance(hours=12)
    assert visitor.send("/", csrf_token=token, slug="acme").status == 303
    standing_clock.advance(seconds=1)
    assert visitor.send("/", csrf_token=token, slug="acme").status == 400


def test_the_token_of_a_form_from_before_a_login_is_worth_nothing_after_it(app: Flask, owner: Visitor) -> None:
    visitor = Visitor(InProcess(app))
    token, before = visitor.get("/o/acme/login/owner").csrf_token, cookie(visitor)
    assert visitor.log_owner_in("acme").status == 303
    assert visitor.send("/o/acme/logout", csrf_token=token).status == 400
    assert cookie(visitor) != before
    give_cookie(visitor, before)
    assert not is_logged_in(visitor)


def test_a_signed_cookie_of_another_key_is_nobodys(make_app: AppMaker) -> None:
    ours, theirs = (Visitor(InProcess(make_app(SECRET_KEY=letter * 64))) for letter in "ab")
    token = theirs.get("/").csrf_token
    give_cookie(ours, cookie(theirs))
    assert ours.send("/", csrf_token=token, slug="acme").status == 400
    ours.get("/")
    assert cookie(ours) != cookie(theirs)


def test_logins_that_were_never_finished_are_forgotten_once_a_minute(
    app: Flask, standing_clock: Clock, owner: Visitor
) -> None:
    def left_after_another_login() -> int:
        Visitor(InProcess(app)).log_owner_in("acme")
        with app.app_context():
            return database.session.query(nonce).count()

    nonce: Any = SocialStorage.nonce
    with app.app_context():
        nonce.use("scope", int(time.time()) - 3601, "begun long ago")
        nonce.use("scope", int(time.time()), "begun just now")
    standing_clock.advance(minutes=1)
    assert left_after_another_login() == 1
    with app.app_context():
        nonce.use("scope", int(time.time()) - 3601, "another one")
    assert left_after_another_login() == 2
    standing_clock.advance(minutes=1)
    assert left_after_another_login() == 1


def test_the_end_of_a_session_is_in_the_audit_log(owner: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "demo_app.audit")
    owner.post("/o/acme/logout", "/o/acme/account")
    assert [json.loads(line)["event"] for line in caplog.messages] == ["session.revoked"]


def test_the_cookie_is_bound_to_the_host_where_there_is_https(make_app: AppMaker) -> None:
    visitor = Visitor(InProcess(make_app(PUBLIC_BASE_URL="https://app.example", SECRET_KEY="s" * 64)))
    set_cookie = visitor.get("/").headers["Set-Cookie"]
    name, *attributes = set_cookie.split("; ")
    assert name.startswith("__Host-demo_session=")
    assert set(attributes) == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor: Visitor) -> None:
    attributes = visitor.get("/").headers["Set-Cookie"].split("; ")[1:]
    assert set(attributes) == {"HttpOnly", "Path=/", "SameSite=Lax"}
