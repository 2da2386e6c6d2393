"""Tests of the person that a login becomes, and of people who are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from social_core.exceptions import AuthAssociationError, AuthPolicyError, AuthSessionError

from social_bitbucket_server.flask.organizations import pipeline
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.flask_app import database, people
from tests.flask_app.models import User, models


class Backend:
    name = "bitbucket-server"


BACKEND: Any = Backend()


@pytest.fixture
def record(app: Flask) -> Iterator[Any]:
    with app.app_context():
        owner = people.create_organization(slug="acme", name="Acme", email="o@acme.example", password="x" * 10)
        yield store.integrations.make(
            owner.organization, "Bitbucket", ServerURL.parse("https://bitbucket.acme.example")
        )


def log_in(record: Any, user_id: int, username: str = "jane", **known: Any) -> dict[str, Any]:
    return pipeline.find_or_create_person(
        BACKEND,
        uid=f"{record.namespace}:{user_id}",
        details={"username": username, "fullname": "Jane Doe", "email": "jane@acme.example"},
        integration_id=record.id,
        id_key="id",
        **known,
    )


def test_somebody_new_becomes_a_person_of_the_integrations_organization(record: Any) -> None:
    made = log_in(record, 2)
    assert made["is_new"]
    assert made["user"].organization_id == record.organization_id
    assert made["social"].integration_id == record.id
    assert not made["user"].is_owner


def test_somebody_known_stays_who_they_are(record: Any) -> None:
    assert log_in(record, 2, social=log_in(record, 2)["social"]) == {}
    assert database.session.query(User).count() == 2


def test_whoever_loses_the_race_for_an_identity_finds_the_winner(record: Any) -> None:
    first, second = log_in(record, 2), log_in(record, 2)
    assert second["user"] is first["user"]
    assert database.session.query(User).count() == 2


def test_nobody_is_recognized_by_name_or_address(record: Any) -> None:
    one, other = log_in(record, 2), log_in(record, 3)
    assert one["user"].id != other["user"].id


def test_a_username_that_is_taken_gets_a_number(record: Any) -> None:
    names = [log_in(record, number)["user"].username for number in (2, 3, 4)]
    assert names == ["jane", "jane-2", "jane-3"]


def test_nobody_gets_the_owners_username(record: Any) -> None:
    assert log_in(record, 2, username="owner")["user"].username == "owner-2"


def test_the_longest_username_fits(record: Any) -> None:
    longest = [log_in(record, number, username="x" * 255)["user"].username for number in (2, 3)]
    assert len(set(longest)) == 2
    assert max(map(len, longest)) <= 255


def test_a_username_with_wildcards_is_taken_literally(record: Any) -> None:
    log_in(record, 2, username="a_b")
    assert log_in(record, 3, username="a%")["user"].username == "a%"


def test_nobody_comes_in_through_a_disabled_integration(record: Any) -> None:
    record.disabled_at = clock.now()
    database.session.commit()
    with pytest.raises(AuthSessionError) as caught:
        log_in(record, 2)
    assert caught.value.context["problem"] == "integration_changed"


def test_a_disabled_person_is_refused(record: Any) -> None:
    made = log_in(record, 2)
    made["social"].disabled_at = clock.now()
    database.session.flush()
    with pytest.raises(AuthPolicyError) as caught:
        pipeline.refuse_disabled_person(BACKEND, made["social"], record.id)
    assert caught.value.context["problem"] == "person_disabled"


def test_an_identity_of_another_integration_is_refused(record: Any) -> None:
    made = log_in(record, 2)
    with pytest.raises(AuthAssociationError):
        pipeline.refuse_disabled_person(BACKEND, made["social"], "another")


def test_a_login_changes_names_and_address_alone(record: Any) -> None:
    made = log_in(record, 2)
    user = made["user"]
    before = {column.key: getattr(user, column.key) for column in User.__table__.columns}
    pipeline.update_person(
        made["social"],
        {"username": "renamed", "fullname": "New Name", "email": None, "is_owner": True, "organization_id": 99},
    )
    after = {column.key: getattr(user, column.key) for column in User.__table__.columns}
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"username", "display_name", "email"}
    assert (after["username"], after["display_name"]) == ("renamed", "New Name")


@pytest.mark.parametrize(
    ("username", "becomes"),
    [("jane", "doe"), ("jane-2", "doe"), ("jane-x", "jane-x"), ("somebody", "somebody"), ("jan", "jan")],
)
def test_a_username_follows_the_account_that_it_came_from(record: Any, username: str, becomes: str) -> None:
    made = log_in(record, 2)
    made["user"].username = username
    pipeline.update_person(made["social"], {"username": "doe", "fullname": None, "email": None})
    assert made["user"].username == becomes
    assert made["social"].name == "doe"


def test_connecting_takes_over_nothing(record: Any) -> None:
    user = log_in(record, 2)["user"]
    other = store.integrations.make(record.organization, "Other", ServerURL.parse("https://other.acme.example"))
    made = log_in(other, 2, username="other", user=user)
    assert (made["user"], made["is_new"], made["new_association"]) == (user, False, True)
    pipeline.update_person(details={"username": "other", "fullname": "Other", "email": None}, **made)
    assert (user.username, user.display_name) == ("jane", "Jane Doe")


def test_an_identity_that_somebody_took_meanwhile_is_not_connected(record: Any) -> None:
    user = log_in(record, 2)["user"]
    other = store.integrations.make(record.organization, "Other", ServerURL.parse("https://other.acme.example"))
    log_in(other, 7, username="somebody")
    with pytest.raises(AuthAssociationError) as caught:
        log_in(other, 7, user=user)
    assert caught.value.context["problem"] == "identity_in_use"


def test_nobody_connects_an_account_of_another_organization(record: Any) -> None:
    user = log_in(record, 2)["user"]
    owner = people.create_organization(slug="globex", name="Globex", email="o@globex.example", password="x" * 10)
    foreign = store.integrations.make(
        owner.organization, "Bitbucket", ServerURL.parse("https://bitbucket.globex.example")
    )
    with pytest.raises(AuthSessionError) as caught:
        log_in(foreign, 2, user=user)
    assert caught.value.context["problem"] == "person_changed"


def test_a_person_without_a_display_name_is_shown_by_username(record: Any) -> None:
    made = log_in(record, 2)
    pipeline.update_person(made["social"], {"username": "jane", "fullname": None, "email": None})
    assert made["user"].display_name == "jane"


def test_nothing_is_ever_associated_by_address() -> None:
    assert not [step for step in pipeline.STEPS if "email" in step]


def test_identities_are_unique_in_the_database() -> None:
    identities: Any = models.storage.user
    unique = [set(constraint.columns.keys()) for constraint in identities.__table__.constraints]
    assert {"provider", "uid"} in unique
