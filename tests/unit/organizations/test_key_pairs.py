"""Key rotations: which key pair may begin, what the old one becomes, and which refusals may be about the key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.integration import Credentials
from social_bitbucket_server.organizations import KeyPairs, KeyState, may_be_about_the_key, oldest_login_began
from social_bitbucket_server.problems import Code
from tests.unit.organizations.rows import PairRow

ACTIVE = PairRow(id="active", state="active")
PENDING = PairRow(id="pending", state="pending")
PENDING_LINK = PairRow(id="pending", state="pending", consumer_key="second-link")
REPLACED = PairRow(id="replaced", state="replaced", consumer_key="old-link")
RETIRED = PairRow(id="retired", state="retired")

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIFETIME = timedelta(minutes=10)


def test_every_state_has_a_meaning() -> None:
    assert len({state.meaning for state in KeyState}) == len(KeyState)


@pytest.mark.parametrize(
    ("rows", "pairs"),
    [
        ([], KeyPairs()),
        ([RETIRED, ACTIVE, RETIRED], KeyPairs(active=ACTIVE)),
        ([REPLACED, PENDING, ACTIVE], KeyPairs(ACTIVE, PENDING, REPLACED)),
    ],
)
def test_the_pairs_in_use_are_known_by_their_states(rows: list[PairRow], pairs: KeyPairs[PairRow]) -> None:
    assert KeyPairs.of(rows) == pairs


@pytest.mark.parametrize(
    ("rows", "with_new_link", "may"),
    [
        ([ACTIVE], False, True),
        ([ACTIVE], True, True),
        ([ACTIVE, PENDING], True, True),
        ([ACTIVE, REPLACED], False, True),
        ([ACTIVE, REPLACED], True, False),
        ([ACTIVE, PENDING, REPLACED], True, False),
        ([], True, True),
    ],
)
def test_there_are_never_three_links(rows: list[PairRow], with_new_link: bool, may: bool) -> None:
    assert KeyPairs.of(rows).may_begin(with_new_link=with_new_link) is may


@pytest.mark.parametrize(
    ("rows", "to_set_up", "for_new_link", "state_of_old"),
    [
        ([ACTIVE], ACTIVE, None, KeyState.RETIRED),
        ([ACTIVE, PENDING], PENDING, None, KeyState.RETIRED),
        ([ACTIVE, PENDING_LINK], PENDING_LINK, PENDING_LINK, KeyState.REPLACED),
        ([PENDING_LINK], PENDING_LINK, None, KeyState.RETIRED),
        ([], None, None, KeyState.RETIRED),
    ],
)
def test_a_pair_for_another_link_replaces_the_old_one_which_is_else_retired(
    rows: list[PairRow], to_set_up: PairRow | None, for_new_link: PairRow | None, state_of_old: KeyState
) -> None:
    pairs = KeyPairs.of(rows)
    assert (pairs.to_set_up, pairs.pending_for_new_link, pairs.state_of_old) == (to_set_up, for_new_link, state_of_old)


@pytest.mark.parametrize(
    ("replaced_at", "record", "finishes"),
    [
        (NOW, "sealed", True),
        (NOW - LIFETIME, "sealed", True),
        (NOW - LIFETIME - timedelta(seconds=1), "sealed", False),
        (NOW, "", False),
        (NOW, None, False),
        (None, "sealed", False),
    ],
)
def test_logins_are_finished_with_a_replaced_pair_for_as_long_as_they_take(
    replaced_at: datetime | None, record: str | None, finishes: bool
) -> None:
    row = PairRow(state="replaced", sealed_private_key=record, replaced_at=replaced_at)
    pairs = KeyPairs.of([ACTIVE, row])
    assert pairs.finishing_logins(now=NOW, lifetime=LIFETIME) is (row if finishes else None)


def test_without_a_replaced_pair_none_finishes_logins() -> None:
    assert KeyPairs.of([ACTIVE, PENDING]).finishing_logins(now=NOW, lifetime=LIFETIME) is None


def test_the_oldest_login_under_way_is_as_old_as_logins_take() -> None:
    assert oldest_login_began(now=NOW, lifetime=LIFETIME) == NOW - LIFETIME


@pytest.mark.as_shipped
@pytest.mark.parametrize(
    ("code", "same", "other_link", "other_size"),
    [
        (Code.SIGNATURE_INVALID, True, True, True),
        (Code.CONSUMER_KEY_UNKNOWN, False, True, False),
        (Code.SERVER_ERROR, False, False, True),
        (Code.TOKEN_REJECTED, False, False, False),
    ],
)
def test_a_refusal_may_be_about_the_key_if_the_other_one_differs_in_what_is_refused(
    code: Code, same: bool, other_link: bool, other_size: bool, private_key: PrivateKey, other_private_key: PrivateKey
) -> None:
    refused = Credentials("first-link", private_key)
    others = (
        Credentials("first-link", other_private_key),
        Credentials("second-link", other_private_key),
        Credentials("first-link", PrivateKey.generate(3072)),
    )
    assert [may_be_about_the_key(code, refused, other) for other in others] == [same, other_link, other_size]
