"""Whose an older identity is, by tables of values."""

from types import SimpleNamespace

import pytest

from social_bitbucket_server.account import (
    Outcome,
    Place,
    give_back_identities,
    older_uid,
    outcome_at_login,
    with_origin,
)
from social_bitbucket_server.account.older_identities import outcome_so_far
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


class Rows(list):
    """Rows as a storage's table of identities."""

    def of(self, provider, *, lock):
        return [row for row in self if row.provider == provider]

    def accounts(self, providers):
        return {(row.provider, row.uid): row.user_id for row in self if row.provider in providers}

    def write(self, row, **values):
        vars(row).update(values)


def carried(number, **data):
    older = SimpleNamespace(uid="jane", user_id=number, id_key="name", extra_data={"access_token": "t", **data})
    kept = with_origin(older, "my-bitbucket")
    return SimpleNamespace(provider="bitbucket-server", uid=str(number), id_key="id", user_id=number, extra_data=kept)


def given_back(rows, **options):
    return [move.outcome for move in give_back_identities(rows, Place("bitbucket-server"), **options)]


def test_a_carried_identity_becomes_what_it_was():
    row = carried(42, email="jane@example.com")
    before = dict(vars(row))
    assert given_back(Rows([row]), apply=False) == [Outcome.CARRIED_OVER]
    assert vars(row) == before
    assert given_back(Rows([row]), apply=True) == [Outcome.CARRIED_OVER]
    assert (row.provider, row.uid, row.id_key) == ("my-bitbucket", "jane", "name")
    assert row.extra_data == {"email": "jane@example.com"}


@pytest.mark.parametrize(("user_id", "expected"), [(42, Outcome.ALREADY_THERE), (43, Outcome.OF_ANOTHER_ACCOUNT)])
def test_an_identity_is_not_given_back_over_another_one(user_id, expected):
    there = SimpleNamespace(provider="my-bitbucket", uid="jane", user_id=user_id, extra_data={})
    assert given_back(Rows([there, carried(42)]), apply=True) == [expected]


def test_a_name_that_two_people_had_is_given_back_to_neither():
    rows = Rows([carried(42), carried(43)])
    assert given_back(rows, apply=True) == [Outcome.NAME_CHANGED_HANDS] * 2
    assert [row.provider for row in rows] == ["bitbucket-server"] * 2


@pytest.mark.parametrize("origin", [None, "my-bitbucket", {"provider": "my-bitbucket", "uid": "jane"}])
def test_other_identities_are_not_given_back(origin):
    row = SimpleNamespace(provider="bitbucket-server", uid="42", user_id=42, extra_data={"carried_over": origin})
    assert given_back(Rows([row]), apply=True) == []


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
