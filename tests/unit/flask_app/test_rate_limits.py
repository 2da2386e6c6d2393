"""Rate limits: who is counted, where, and what is said."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from flask import Flask
from limits.errors import StorageError
from limits.storage import MemoryStorage

from social_bitbucket_server.flask.organizations import visitor as visitor_of_request
from tests.flask_app import rate_limits
from tests.flask_app.instance_files import UnsafeSettingError
from tests.flask_app.rate_limits import TooOftenError
from tests.unit.flask.organizations.conftest import AppMaker
from tests.visitor import InProcess, Visitor


def count(times: int, what: str = rate_limits.LOGINS, *whose: str) -> None:
    for _ in range(times):
        rate_limits.count(what, *whose)


def test_one_more_than_the_limit_has_to_wait(app: Flask) -> None:
    with app.app_context():
        count(10, rate_limits.LOGINS, "somebody")
        with pytest.raises(TooOftenError) as refused:
            rate_limits.count(rate_limits.LOGINS, "somebody")
    assert 0 < refused.value.retry_after <= 60


def test_two_that_come_at_once_are_both_counted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_a_timer = threading.Barrier(2)

    def set_and_wait(storage: MemoryStorage, name: str, value: object) -> None:
        object.__setattr__(storage, name, value)
        if name == "timer":
            with suppress(threading.BrokenBarrierError):
                both_have_a_timer.wait(0.3)

    def count_for(somebody: str) -> None:
        with app.app_context():
            count(1, rate_limits.LOGINS, somebody)

    app.extensions["rate_limits"].counter.storage.timer.join()
    monkeypatch.setattr(MemoryStorage, "__setattr__", set_and_wait)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(count_for, ["somebody", "somebody else"])) == [None, None]


def test_others_are_not_concerned(app: Flask) -> None:
    with app.app_context():
        count(10, rate_limits.LOGINS, "somebody", "one")
        count(10, rate_limits.LOGINS, "somebody", "other")
        count(10, rate_limits.LOGINS, "somebody else", "one")


def test_a_flood_is_one_event(app: Flask, owner: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "social_bitbucket_server.events")
    visitor = Visitor(InProcess(app))
    statuses = [visitor.get(f"/setup/{number}").status for number in range(33)]
    assert statuses == [404] * 30 + [429] * 3
    (line,) = map(json.loads, caplog.messages)
    assert (line["event"], line["code"], line["limit"]) == ("request.failure", "too_often", "setup_links")


def test_the_operator_says_how_many_logins_there_may_be(make_app: AppMaker) -> None:
    with make_app(LOGINS_PER_MINUTE="3").app_context():
        count(3)
        with pytest.raises(TooOftenError):
            count(1)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_customer_is_counted_as_one(app: Flask, address: str, counted: str) -> None:
    with app.test_request_context(environ_base={"REMOTE_ADDR": address}):
        assert visitor_of_request() == counted


@pytest.mark.parametrize(
    ("hops", "counted"),
    [("0", "127.0.0.1"), ("1", "203.0.113.7"), ("2", "198.51.100.9")],
)
def test_the_address_comes_from_trusted_proxies_alone(
    make_app: AppMaker, monkeypatch: pytest.MonkeyPatch, hops: str, counted: str
) -> None:
    app = make_app(TRUSTED_PROXY_HOPS=hops)
    seen = []
    app.before_request(lambda: seen.append(visitor_of_request()))
    forged = {
        "X-Forwarded-For": "192.0.2.1, 198.51.100.9, 203.0.113.7",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Prefix": "/evil",
    }
    page = Visitor(InProcess(app)).get("/", **forged)
    assert (page.status, seen) == (200, [counted])
    assert "evil" not in page.text


@pytest.mark.parametrize("address", ["nothing://", "memory", "postgresql://localhost"])
def test_a_storage_that_cannot_be_used_is_refused(make_app: AppMaker, address: str) -> None:
    with pytest.raises(UnsafeSettingError, match="RATE_LIMIT_STORAGE"):
        make_app(RATE_LIMIT_STORAGE=address)


def test_this_process_counts_while_the_storage_does_not_answer(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configured = app.extensions["rate_limits"].counter.storage
    assert isinstance(configured, MemoryStorage)

    def fail(*_: object, **_options: object) -> bool:
        raise StorageError(OSError("no route"))

    monkeypatch.setattr(configured, "acquire_entry", fail)
    with app.app_context():
        count(10)
        with pytest.raises(TooOftenError):
            count(1)
    assert "RATE_LIMIT_STORAGE does not answer" in caplog.text


def test_the_owners_password_is_not_tried_without_end(owner: Visitor, app: Flask) -> None:
    attacker = Visitor(InProcess(app))
    path = "/o/acme/login/owner"
    statuses = {attacker.post(path, email="owner@acme.example", password="wrong").status for _ in range(10)}
    assert statuses == {422}
    page = attacker.post(path, email="owner@acme.example", password="wrong")
    assert page.status == 429
    assert "The owner's password was tried too often from your network" in page.words
    assert "Wait 15 minutes" in page.words
    assert 0 < int(page.headers["Retry-After"]) <= 900


def test_no_form_of_an_owner_is_sent_without_end(owner: Visitor) -> None:
    page = "/o/acme/settings/configuration"
    token = owner.get(page).csrf_token
    statuses = {owner.send(page, csrf_token=token, text="x").status for _ in range(60)}
    assert statuses == {422}
    assert owner.send(page, csrf_token=token, text="x").status == 429
    assert owner.send("/o/acme/settings/login/link", csrf_token=token, action="open").status == 429


def test_organizations_are_not_created_without_end(app: Flask) -> None:
    visitor = Visitor(InProcess(app))
    for number in range(10):
        visitor.create_organization(f"org-{number}")
    page = visitor.post(
        "/organizations/new", name="One more", slug="", email="owner@more.example", password="correct horse battery"
    )
    assert page.status == 429
    assert "minutes" in page.words
