"""Set-up links: what their token is, and when they open."""

from datetime import UTC, datetime, timedelta

import pytest

from social_bitbucket_server.organizations import (
    SetupLinkCondition,
    SetupLinkLife,
    new_setup_token,
    setup_link_condition,
    setup_token_digest,
)

MADE = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def condition(**fields):
    made = {"created_at": MADE, "expires_at": MADE + DAY, "revoked_at": None, "last_login_at": None}
    return setup_link_condition(**{**made, "waits_for_key": False, "now": MADE + HOUR, **fields})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "live"),
        ({"now": MADE + DAY}, "expired"),
        ({"revoked_at": MADE + HOUR}, "revoked"),
        ({"revoked_at": MADE + DAY, "now": MADE + 2 * DAY}, "expired"),
        ({"last_login_at": MADE + HOUR}, "done"),
        ({"last_login_at": MADE + HOUR, "waits_for_key": True}, "live"),
        ({"last_login_at": MADE - HOUR}, "live"),
        ({"last_login_at": MADE + HOUR, "now": MADE + DAY}, "done"),
    ],
)
def test_a_link_opens_until_it_expires_is_revoked_or_is_done(fields, expected):
    assert condition(**fields) is SetupLinkCondition(expected)


def test_only_what_may_be_a_token_has_a_digest():
    token = new_setup_token()
    assert len(setup_token_digest(token)) == 64
    assert setup_token_digest(token) != setup_token_digest(new_setup_token())
    for text in ("", token[:-1], f"{token}x", token[:-1] + "/", token[:-1] + "ä", f"{token}\n"):
        assert setup_token_digest(text) == ""


def test_lives_last_as_their_words_say():
    assert [(life.length, life.words) for life in SetupLinkLife] == [
        (HOUR, "one hour"),
        (DAY, "one day"),
        (7 * DAY, "seven days"),
    ]
