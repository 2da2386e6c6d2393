"""Which identities are carried over, by tables of values."""

from types import SimpleNamespace

import pytest

from social_bitbucket_server.account import Evidence, Outcome, Place, counts
from social_bitbucket_server.account.carrying_over import is_profile_of, plan, without_tokens
from social_bitbucket_server.integration import ServerURL

SERVER = ServerURL.parse("https://bitbucket.example.com/context")
PAGE = "https://bitbucket.example.com/context/users/jane"
CORE, SINGLE = Place("bitbucket-datacenter-oauth2"), Place("bitbucket-server")
MANY = Place("bitbucket-server", "a1b2")
EVIDENCE = Evidence([SERVER])


def identity(uid="42", user_id=1, **data):
    return SimpleNamespace(uid=uid, user_id=user_id, extra_data={"url": PAGE, **data})


def outcomes(identities, source, target, evidence=EVIDENCE, known=None):
    return [(move.outcome, move.uid) for move in plan(identities, source, target, evidence, known or {})]


@pytest.mark.parametrize(
    ("source", "uid", "target", "new_uid"),
    [
        (CORE, "42", SINGLE, "42"),
        (CORE, "42", MANY, "a1b2:42"),
        (SINGLE, "42", MANY, "a1b2:42"),
        (MANY, "a1b2:42", SINGLE, "42"),
        (MANY, "a1b2:9223372036854775807", CORE, "9223372036854775807"),
    ],
)
def test_an_identity_keeps_its_number(source, uid, target, new_uid):
    assert outcomes([identity(uid)], source, target) == [(Outcome.CARRIED_OVER, new_uid)]


@pytest.mark.parametrize(
    "uid", ["0", "042", "-1", "+42", " 42", "42 ", "4_2", "٤٢", "jane", "", "1e3", "9223372036854775808", "4" * 30]
)
def test_a_uid_that_is_no_number_of_bitbuckets_stays(uid):
    assert outcomes([identity(uid)], SINGLE, MANY) == [(Outcome.NOT_A_NUMBER, "")]
    assert outcomes([identity(f"a1b2:{uid}")], MANY, SINGLE) == [(Outcome.NOT_A_NUMBER, "")]


@pytest.mark.parametrize(
    ("source", "uid"), [(SINGLE, "a1b2:42"), (SINGLE, "other:42"), (MANY, "42"), (MANY, "A1B2:42"), (MANY, "a1b22:42")]
)
def test_an_identity_of_another_place_is_left_out(source, uid):
    assert outcomes([identity(uid)], source, CORE) == []


@pytest.mark.parametrize(
    ("known", "outcome"),
    [
        ({("bitbucket-server", "a1b2:42"): 1}, Outcome.ALREADY_THERE),
        ({("bitbucket-server", "a1b2:42"): 2}, Outcome.OF_ANOTHER_ACCOUNT),
        ({("bitbucket-server-oauth2", "a1b2:42"): 2}, Outcome.OF_ANOTHER_ACCOUNT),
        ({("bitbucket-server-oauth2", "a1b2:42"): 1}, Outcome.CARRIED_OVER),
        ({("bitbucket-server", "a1b2:43"): 2, ("github", "a1b2:42"): 2}, Outcome.CARRIED_OVER),
    ],
)
def test_no_account_is_merged_with_another_one(known, outcome):
    assert outcomes([identity()], SINGLE, MANY, known=known)[0][0] is outcome


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        (PAGE, Outcome.CARRIED_OVER),
        ("https://bitbucket.example.com:443/context/users/jane", Outcome.CARRIED_OVER),
        ("https://old.example.com/users/jane", Outcome.CARRIED_OVER),
        ("https://bitbucket.example.com/users/jane", Outcome.ON_ANOTHER_SERVER),
        ("https://bitbucket.example.com/context2/users/jane", Outcome.ON_ANOTHER_SERVER),
        ("https://bitbucket.example.com.evil.example/context/users/jane", Outcome.ON_ANOTHER_SERVER),
        ("https://bitbucket.example.com@evil.example/context/users/jane", Outcome.ON_ANOTHER_SERVER),
        ("https://evil@bitbucket.example.com/context/users/jane", Outcome.ON_ANOTHER_SERVER),
        ("http://bitbucket.example.com/context/users/jane", Outcome.ON_ANOTHER_SERVER),
        ("https://bitbucket.example.com:99999/context/users/jane", Outcome.ON_ANOTHER_SERVER),
        ("https://[bitbucket.example.com/context/users/jane", Outcome.ON_ANOTHER_SERVER),
        (["a list"], Outcome.ON_ANOTHER_SERVER),
        (None, Outcome.WITHOUT_ADDRESS),
        ("", Outcome.WITHOUT_ADDRESS),
    ],
)
def test_the_kept_address_shows_the_server(address, outcome):
    evidence = Evidence([SERVER, ServerURL.parse("https://old.example.com")])
    assert outcomes([identity(url=address)], CORE, MANY, evidence)[0][0] is outcome


def test_the_operator_may_vouch_for_identities_without_an_address_but_not_for_those_of_another_server():
    evidence = Evidence([SERVER], without_address=True)
    rows = [identity(url=None), identity("43", url="https://other.example.com/users/jane")]
    assert [outcome for outcome, _ in outcomes(rows, CORE, MANY, evidence)] == [
        Outcome.CARRIED_OVER,
        Outcome.ON_ANOTHER_SERVER,
    ]


def test_a_server_with_an_ipv6_address_is_recognized():
    server = ServerURL.parse("http://[::1]:7990")
    assert is_profile_of("http://[::1]:7990/users/jane", server)


def test_tokens_are_not_carried_over():
    kept = identity(access_token="t", refresh_token="t", sealed_access_token="t", integration="x", email="jane@e.org")
    assert without_tokens(kept) == {"url": PAGE, "email": "jane@e.org"}


@pytest.mark.parametrize("data", ["", "{}", None, []])
def test_extra_data_that_is_no_mapping_shows_nothing(data):
    row = SimpleNamespace(uid="42", user_id=1, extra_data=data)
    assert outcomes([row], CORE, MANY) == [(Outcome.WITHOUT_ADDRESS, "")]
    assert without_tokens(row) == {}


def test_the_way_back_leads_to_the_same_uids():
    rows = [identity(str(number), number) for number in (1, 2, 43)]
    there = plan(rows, SINGLE, MANY, EVIDENCE, {})
    assert counts(there) == {Outcome.CARRIED_OVER: 3}
    carried = [identity(move.uid, move.identity.user_id) for move in there]
    assert [move.uid for move in plan(carried, MANY, SINGLE, EVIDENCE, {})] == ["1", "2", "43"]
