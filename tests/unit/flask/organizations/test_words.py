"""Moments and numbers in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from social_bitbucket_server.flask.organizations import words
from tests.unit.flask.organizations.conftest import Clock


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (timedelta(seconds=-1), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=23), "23 hours ago"),
        (timedelta(days=6), "6 days ago"),
        (timedelta(days=61), "2 months ago"),
        (timedelta(days=800), "2 years ago"),
    ],
)
def test_a_duration_is_said_in_words(standing_clock: Clock, past: timedelta, text: str) -> None:
    assert words.ago(standing_clock() - past) == text


def test_a_date_carries_its_time_zone() -> None:
    assert words.in_full(datetime(2026, 11, 3, 8, 5, tzinfo=UTC)) == "3 November 2026, 08:05 UTC"


@pytest.mark.parametrize(("number", "text"), [(0, "0 people"), (1, "1 person"), (2, "2 people")])
def test_a_number_has_its_noun(number: int, text: str) -> None:
    assert words.count(number, "person", "people") == text
