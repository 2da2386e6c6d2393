"""The session in the browser's cookie: when it counts, when it ends, and how large it gets."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import secrets
import time
from typing import Any

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from social_bitbucket_server.flask.organizations import trials
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.integration.admission import MOST_QUESTIONS
from social_bitbucket_server.login import Purpose, pending
from social_bitbucket_server.login.pending import PendingLogin, session_key
from social_bitbucket_server.login.purpose import Intent
from social_bitbucket_server.organizations import OAuth
from tests.flask_app import database
from tests.flask_app.models import User, models
from tests.unit.flask.organizations.conftest import AppMaker, Clock
from tests.visitor import InProcess, Visitor


def is_logged_in(visitor: Visitor) -> bool:
    return visitor.get("/o/acme/account").status == 200


def cookie(visitor: Visitor) -> str:
    assert isinstance(visitor.transport, InProcess)
    found = visitor.transport.client.get_cookie("application_session", domain="127.0.0.1")
    assert found is not None
    return found.value


def give_cookie(visitor: Visitor, value: str) -> None:
    assert isinstance(visitor.transport, InProcess)
    visitor.transport.client.set_cookie("application_session", value, domain="127.0.0.1")


def everything_stored(app: Flask) -> str:
    with app.app_context():
        tables = database.Base.metadata.sorted_tables
        return "\n".join(str(tuple(row)) for table in tables for row in database.session.execute(table.select()))


def session_of(app: Flask, visitor: Visitor) -> dict[str, Any]:
    """Return what the visitor's cookie says."""
    return dict(serializer(app).loads(cookie(visitor)))


def serializer(app: Flask) -> URLSafeTimedSerializer:
    signing = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signing is not None
    return signing


def test_the_cookie_knows_the_person_by_a_random_key(app: Flask, owner: Visitor) -> None:
    with app.app_context():
        key = database.session.query(User).one().session_key
    assert len(key) == 43
    assert session_of(app, owner)["_user_id"] == key


def test_nobody_gets_a_cookie_for_a_page_without_a_form(visitor: Visitor) -> None:
    assert "Set-Cookie" not in visitor.get("/nowhere").headers


def test_a_cookie_without_a_signature_is_not_adopted(visitor: Visitor) -> None:
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


def test_logging_in_again_ends_the_login_before(app: Flask, owner: Visitor) -> None:
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


def test_logging_out_ends_no_other_login_of_the_person(app: Flask, owner: Visitor) -> None:
    elsewhere = Visitor(InProcess(app))
    elsewhere.log_owner_in("acme")
    owner.post("/o/acme/logout", "/o/acme/account")
    assert is_logged_in(elsewhere)


def test_a_copy_that_logs_out_too_harms_nothing(app: Flask, owner: Visitor) -> None:
    other = Visitor(InProcess(app))
    give_cookie(other, cookie(owner))
    page = other.get("/o/acme/account")
    owner.post("/o/acme/logout", "/o/acme/account")
    assert other.send("/o/acme/logout", csrf_token=page.csrf_token).status == 303
    assert not is_logged_in(other)


def test_logging_out_leaves_nothing_in_the_cookie(app: Flask, owner: Visitor) -> None:
    owner.post("/o/acme/logout", "/o/acme/account")
    assert set(session_of(app, owner)) == {"_flashes"}


def test_a_person_with_a_new_key_is_logged_in_nowhere(app: Flask, owner: Visitor) -> None:
    with app.app_context():
        database.session.query(User).one().session_key = "k" * 43
        database.session.commit()
    assert not is_logged_in(owner)


def test_an_ended_login_is_forgotten_when_its_session_could_not_go_on_anyway(
    app: Flask, owner: Visitor, standing_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.log_owner_in("acme")
    before = cookie(owner)
    owner.post("/o/acme/logout", "/o/acme/account")
    ended = int(standing_clock().timestamp())
    for hours, logins in ((12, 0), (14, 1)):
        monkeypatch.setattr(time, "time", lambda hours=hours: ended + hours * 3600)
        with app.app_context():
            assert store.pruning.forget() == logins
    monkeypatch.undo()
    standing_clock.advance(hours=13)
    give_cookie(owner, before)
    assert not is_logged_in(owner)


@pytest.mark.parametrize("path", ["/", "/organizations/new", "/o/acme/login", "/o/acme/login/owner", "/o/acme/"])
def test_who_only_looks_at_pages_leaves_nothing_in_the_database(app: Flask, owner: Visitor, path: str) -> None:
    before = everything_stored(app)
    for _visit in range(3):
        visitor = Visitor(InProcess(app))
        for _page in range(3):
            assert visitor.get(path).status == 200
    assert everything_stored(app) == before


def test_pages_write_nothing_while_somebody_is_logged_in(app: Flask, owner: Visitor, standing_clock: Clock) -> None:
    owner.log_owner_in("acme")
    before = everything_stored(app)
    standing_clock.advance(minutes=2)
    assert is_logged_in(owner)
    assert everything_stored(app) == before


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


def test_the_token_of_a_form_ends_as_any_session_does(
    app: Flask, owner: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor(InProcess(app))
    token, signed_at = visitor.get("/").csrf_token, int(time.time())
    for seconds, status in ((0, 303), (2, 400)):
        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _, later=seconds: signed_at + 12 * 3600 + later)
        assert visitor.send("/", csrf_token=token, slug="acme").status == status


def test_the_token_of_a_form_from_before_a_login_is_worth_nothing_after_it(app: Flask, owner: Visitor) -> None:
    visitor = Visitor(InProcess(app))
    token, before = visitor.get("/o/acme/login/owner").csrf_token, cookie(visitor)
    assert visitor.log_owner_in("acme").status == 303
    assert visitor.send("/o/acme/logout", csrf_token=token).status == 400
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
    app: Flask, owner: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left_after_another_login() -> int:
        Visitor(InProcess(app)).log_owner_in("acme")
        with app.app_context():
            return database.session.query(nonce).count()

    nonce: Any = models.storage.nonce
    with app.app_context():
        nonce.use("scope", int(time.time()) - 3601, "begun long ago")
        nonce.use("scope", int(time.time()), "begun just now")
    begun = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun + 61)
    assert left_after_another_login() == 1
    with app.app_context():
        nonce.use("scope", int(time.time()) - 3601, "another one")
    assert left_after_another_login() == 2
    monkeypatch.setattr(time, "monotonic", lambda: begun + 122)
    assert left_after_another_login() == 1


def test_the_end_of_a_session_is_an_event(owner: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "social_bitbucket_server.events")
    owner.post("/o/acme/logout", "/o/acme/account")
    assert [json.loads(line)["event"] for line in caplog.messages] == ["session.revoked"]


def test_the_cookie_is_bound_to_the_host_where_there_is_https(make_app: AppMaker) -> None:
    visitor = Visitor(InProcess(make_app(PUBLIC_BASE_URL="https://app.example", SECRET_KEY="s" * 64)))
    set_cookie = visitor.get("/").headers["Set-Cookie"]
    name, *attributes = set_cookie.split("; ")
    assert name.startswith("__Host-application_session=")
    assert set(attributes) == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor: Visitor) -> None:
    attributes = visitor.get("/").headers["Set-Cookie"].split("; ")[1:]
    assert set(attributes) == {"HttpOnly", "Path=/", "SameSite=Lax"}


def test_the_largest_session_fits_into_a_cookie(app: Flask) -> None:
    """Logins under way by both ways, the result of a trial with long names, and messages that wait for a page."""

    def logins(seed: str) -> list[str]:
        digest = hashlib.sha256
        return [
            PendingLogin(
                token_sha256=digest(f"{seed}{number}".encode()).hexdigest(),
                integration_id=secrets.token_hex(12),
                binding=digest(f"binding{number}".encode()).hexdigest(),
                began=int(time.time()),
                intent=Intent(Purpose.CONNECT, "1" * 10),
                verifier_seed=secrets.token_urlsafe(32) if seed else "",
            ).to_text()
            for number in range(pending.MOST)
        ]

    def name() -> str:
        return trials._short("".join(chr(letters.randrange(0x4E00, 0x9FFF)) for _ in range(255)))

    letters = random.Random(0)
    findings = [["group", name(), True] for _ in range(MOST_QUESTIONS)]
    largest = {
        session_key(OAuth.ONE.backend): logins(""),
        session_key(OAuth.TWO.backend): logins("seed"),
        "csrf_token": secrets.token_hex(20),
        "_user_id": secrets.token_urlsafe(32),
        "_fresh": True,
        "_id": secrets.token_hex(64),
        "bitbucket_login": {
            "id": secrets.token_urlsafe(16),
            "began": int(time.time()),
            "seen": int(time.time()),
            "identity": 10**9,
            "revision": f"{secrets.token_hex(16)}.1000.1000",
        },
        "bitbucket_login_key": ["1" * 10, secrets.token_urlsafe(12)],
        "bitbucket_trial": {"id": "1", "name": name(), "display_name": name(), "findings": findings}
        | {"integration": secrets.token_hex(12), "oauth": "1", "tried": "https://" + "x" * 247, "is_same": "yes"},
        "bitbucket_move": secrets.token_hex(6),
        "_flashes": [("message", f"“{secrets.token_urlsafe(60)}” is changed.") for _ in range(3)],
    }
    assert len(serializer(app).dumps(largest)) < 4000
