"""Whose an older identity is, by tables of values."""

from types import SimpleNamespace

import pytest

from social_bitbucket_server.account import (
    Outcome,
    older_uid,
    origin_of,
    outcome_at_login,
    outcome_so_far,
    with_origin,
    without_origin,
)
from social_bitbucket_server.integration import CarryOver, Key, ServerURL, read_carry_over
from social_bitbucket_server.problems import BitbucketServerError

SERVER = ServerURL.parse("https://bitbucket.example.com")
OTHER = ServerURL.parse("https://other.example.com")
PAGE, PAGE_ELSEWHERE = f"{SERVER}/users/jane", f"{OTHER}/users/jane"
JANE = {"id": 42, "name": "jane", "slug": "jane", "email": "jane@example.com"}
FIELDS = {"provider": "my-bitbucket", "key": "name", "url": str(SERVER)}


def rule(**fields):
    return CarryOver.read({**FIELDS, **fields})


def identity(**data):
    return SimpleNamespace(uid="jane", user_id=1, extra_data=data)


def outcome(data, email=None, response=JANE, server=SERVER, others=(), **fields):
    return outcome_at_login(identity(**data), email, response, rule(**fields), server, others)


@pytest.mark.parametrize(
    ("data", "email_of_user", "email_in_bitbucket", "expected"),
    [
        ({"email": "jane@example.com"}, None, "jane@example.com", Outcome.CARRIED_OVER),
        ({"email": "Jane@Example.com "}, None, "jane@example.com", Outcome.CARRIED_OVER),
        ({}, "jane@example.com", "jane@example.com", Outcome.CARRIED_OVER),
        ({"email": "jane@example.com"}, "new@example.com", "jane@example.com", Outcome.CARRIED_OVER),
        ({"email": "john@example.com"}, "jane@example.com", "jane@example.com", Outcome.OTHER_EMAIL),
        ({}, "john@example.com", "jane@example.com", Outcome.OTHER_EMAIL),
        ({}, None, "jane@example.com", Outcome.WITHOUT_EMAIL),
        ({}, "", "jane@example.com", Outcome.WITHOUT_EMAIL),
        ({"email": "jane@example.com"}, None, None, Outcome.WITHOUT_EMAIL),
        ({}, None, None, Outcome.WITHOUT_EMAIL),
    ],
)
def test_a_name_needs_an_email_address_that_agrees(data, email_of_user, email_in_bitbucket, expected):
    response = {**JANE, "email": email_in_bitbucket}
    assert outcome(data, email_of_user, response) is expected
    alone = Outcome.CARRIED_OVER if expected is Outcome.WITHOUT_EMAIL else expected
    assert outcome(data, email_of_user, response, without_email=True) is alone


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (42, Outcome.CARRIED_OVER),
        ("42", Outcome.CARRIED_OVER),
        (43, Outcome.NAME_CHANGED_HANDS),
        ("43", Outcome.NAME_CHANGED_HANDS),
        ("jane", Outcome.OTHER_EMAIL),
        (True, Outcome.OTHER_EMAIL),
        (None, Outcome.OTHER_EMAIL),
    ],
)
def test_a_number_that_the_identity_keeps_decides(number, expected):
    assert outcome({"id": number, "email": "former@example.com"}) is expected


def test_a_name_that_another_person_of_the_server_had_is_not_carried_over():
    data = {"email": "jane@example.com", "id": 42}
    assert outcome(data, others=[identity()], without_email=True) is Outcome.NAME_CHANGED_HANDS


@pytest.mark.parametrize("key", list(Key))
@pytest.mark.parametrize(
    ("server", "address", "url"),
    [(OTHER, PAGE, str(SERVER)), (SERVER, PAGE, str(OTHER)), (SERVER, PAGE_ELSEWHERE, str(SERVER))],
)
def test_an_identity_of_another_server_stays(key, server, address, url):
    data = {"email": "jane@example.com", "url": address}
    assert outcome(data, server=server, key=key, url=url) is Outcome.ON_ANOTHER_SERVER


@pytest.mark.parametrize(("address", "expected"), [(PAGE, Outcome.CARRIED_OVER), (None, Outcome.WITHOUT_ADDRESS)])
def test_a_number_needs_the_address_of_the_server_and_no_email_address(address, expected):
    assert outcome({"url": address, "email": "former@example.com"}, key="id") is expected


@pytest.mark.parametrize(("key", "uid"), [("id", "42"), ("name", "Jane Doe"), ("slug", None)])
def test_the_uid_to_look_for_is_exact(key, uid):
    assert older_uid(rule(key=key), {"id": 42, "name": "Jane Doe", "slug": None}) == uid


@pytest.mark.parametrize(
    ("data", "email", "fields", "expected"),
    [
        ({"email": "jane@example.com"}, None, {}, Outcome.CARRIED_OVER),
        ({}, "jane@example.com", {}, Outcome.CARRIED_OVER),
        ({"id": 42}, None, {}, Outcome.CARRIED_OVER),
        ({}, None, {}, Outcome.WITHOUT_EMAIL),
        ({}, None, {"without_email": True}, Outcome.CARRIED_OVER),
        ({"url": PAGE_ELSEWHERE}, "jane@example.com", {}, Outcome.ON_ANOTHER_SERVER),
        ({}, None, {"key": "id"}, Outcome.WITHOUT_ADDRESS),
    ],
)
def test_identities_can_be_counted_before_anyone_logs_in(data, email, fields, expected):
    assert outcome_so_far(identity(**data), email, rule(**fields)) is expected


def test_a_carried_identity_keeps_what_it_was():
    kept = with_origin(identity(email="jane@example.com", access_token="t"), "my-bitbucket")
    carried = identity(**kept)
    assert origin_of(carried) == ("my-bitbucket", "jane")
    assert without_origin(carried) == {"email": "jane@example.com"}
    assert origin_of(identity()) is None
    assert origin_of(identity(carried_over="my-bitbucket")) is None


@pytest.mark.parametrize(
    "value",
    [
        "my-bitbucket",
        [],
        {"provider": "my-bitbucket"},
        {**FIELDS, "until": "tomorrow"},
        {**FIELDS, "provider": ""},
        {**FIELDS, "provider": None},
        {**FIELDS, "key": "email"},
        {**FIELDS, "key": None},
        {**FIELDS, "key": ["name"]},
        {**FIELDS, "url": "bitbucket"},
        {**FIELDS, "url": None},
        {**FIELDS, "without_email": "no"},
        {**FIELDS, "provider": "bitbucket-server"},
    ],
)
def test_a_setting_with_other_fields_is_refused(value):
    with pytest.raises(BitbucketServerError) as caught:
        CarryOver.read(value)
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", "CARRY_OVER")


def test_the_setting_is_for_the_one_server_or_for_each_integration():
    assert read_carry_over(None, has_single_server=True) == {}
    assert read_carry_over(FIELDS, has_single_server=True) == {"default": rule()}
    assert read_carry_over({"a1": FIELDS}, has_single_server=False) == {"a1": rule()}
    for value in (FIELDS, [FIELDS]):
        with pytest.raises(BitbucketServerError, match="id of each one"):
            read_carry_over(value, has_single_server=False)
