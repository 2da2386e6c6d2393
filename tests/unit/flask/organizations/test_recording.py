"""Events: each has words, and none that cannot be kept stops a request."""

from __future__ import annotations

import json
import logging

import pytest
from flask import Flask
from social_core.exceptions import AuthPolicyError
from sqlalchemy import event, text

from social_bitbucket_server.flask.organizations import errors, record
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.organizations import EventCode
from tests.flask_app import database, people
from tests.flask_app.models import Organization, User
from tests.security.rows import row
from tests.unit.flask.organizations.conftest import AppMaker
from tests.visitor import InProcess, Visitor


def test_every_event_has_words_for_the_owner_but_the_operators_own() -> None:
    assert {code for code in EventCode if not code.is_shown} == {"outbound.blocked"}


def test_an_event_outside_a_request_is_kept(app: Flask) -> None:
    with app.app_context():
        record(EventCode.KEY_RETIRED, organization_id=7, integration_id="i")
    with app.extensions["engine"].connect() as connection:
        rows = connection.execute(text("SELECT event, organization_id, integration_id FROM bitbucket_events")).all()
    assert rows == [("key.retired", 7, "i")]


def test_a_request_succeeds_although_its_entries_cannot_be_kept(
    app: Flask, owner: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    with app.extensions["engine"].begin() as connection:
        connection.execute(text("DROP TABLE bitbucket_events"))
    with caplog.at_level(logging.INFO):
        owner.add_integration("acme", "https://bitbucket.acme.example")
    lines = [
        json.loads(record.getMessage()) for record in caplog.records if record.name == "social_bitbucket_server.events"
    ]
    assert [line["event"] for line in lines] == ["key.created", "integration.created"]
    assert "2 events are in the log alone" in caplog.text


def test_the_owner_reads_why_something_was_refused(owner: Visitor) -> None:
    owner.post("/o/acme/login/owner", email="owner@acme.example", password="wrong")
    assert "The e-mail address or password was wrong" in owner.get("/o/acme/settings/events").words


def test_an_owner_finds_an_entry_by_the_number_that_somebody_quotes(owner: Visitor) -> None:
    page = owner.get("/o/acme/settings/events")
    assert "A person was added" in page.words
    found = owner.get("/o/acme/settings/events?reference=0000aaaa")
    assert "No event has the reference number 0000AAAA" in found.words
    assert "There is nothing older" in owner.get("/o/acme/settings/events?before=1").words


def test_of_the_people_those_alone_are_read_whom_the_page_names(app: Flask, owner: Visitor) -> None:
    def note(person: User, _context: object) -> None:
        read.append(person.username)

    everybody = [User(organization_id=1, username=f"user{n}", display_name=f"Person {n}") for n in range(100)]
    with app.app_context():
        database.session.add_all(everybody)
        database.session.flush()
        record(EventCode.USER_DISABLED, organization_id=1, user_id=everybody[7].id)
        organization = database.session.get_one(Organization, 1)
        assert store.people.names(organization, [None, everybody[7].id, 10**6]) == {everybody[7].id: "Person 7"}
        database.session.commit()
    read: list[str] = []
    event.listen(User, "load", note)
    page = owner.get("/o/acme/settings/events")
    event.remove(User, "load", note)
    assert "Person 7" in page.words
    assert read == ["owner", "user7"]


@row(123)
def test_nobody_gets_the_id_of_somebody_who_was_deleted(app: Flask) -> None:
    def new_owner(slug: str) -> tuple[int, int]:
        with app.test_request_context():
            owner = people.create_organization(slug=slug, name=slug, email=f"{slug}@a.example", password="x" * 10)
            return owner.organization_id, owner.id

    first = new_owner("first")
    with app.app_context():
        database.session.delete(database.session.get_one(Organization, first[0]))
        database.session.commit()
    second = new_owner("second")
    assert second[0] > first[0]
    assert second[1] > first[1]


def test_of_failures_without_a_session_each_kind_is_written_down_once_a_minute(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "social_bitbucket_server.events")
    with app.test_request_context():
        for code in ("membership_required", "invalid_parameter", "membership_required"):
            errors.login_failed(AuthPolicyError(None, code=code, stage="callback"))
    entries = [json.loads(line.message) for line in caplog.records if line.name == "social_bitbucket_server.events"]
    assert [entry["code"] for entry in entries] == ["membership_required", "invalid_parameter"]


def test_the_function_of_the_setting_is_told_of_each_event(make_app: AppMaker) -> None:
    def listen(event: EventCode, details: dict[str, str]) -> None:
        told.append((event, details))

    told: list[tuple[EventCode, dict[str, str]]] = []
    app = make_app(SOCIAL_AUTH_ON_EVENT=listen)
    with app.app_context():
        record(EventCode.USER_DISABLED, organization_id=7, integration_id="i", user_id=None)
    assert told == [(EventCode.USER_DISABLED, {"outcome": "success", "organization_id": "7", "integration_id": "i"})]


@pytest.mark.socket
def test_a_login_that_cannot_begin_is_told_once(make_app: AppMaker) -> None:
    told: list[EventCode] = []
    app = make_app(SOCIAL_AUTH_ON_EVENT=lambda event, details: told.append(event))
    owner = Visitor(InProcess(app))
    owner.create_organization("acme")
    integration = owner.add_integration("acme", "https://bitbucket.invalid")
    told.clear()
    owner.begin(integration)
    assert told == [EventCode.LOGIN_FAILURE]
