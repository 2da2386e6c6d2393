"""How moments are written on the pages: durations in words, dates with their time zone."""

from __future__ import annotations

from datetime import datetime, timedelta

from ...sqlalchemy.organizations import clock

_UNITS = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))


def ago(moment: datetime) -> str:
    """Return how long *moment* is past, in words: "3 minutes ago"."""
    span = _span(clock.now() - moment)
    return f"{span} ago" if span else "just now"


def ahead(moment: datetime) -> str:
    """Return how far *moment* is in the future, in words, and never more than it is: "in 6 days"."""
    span = _span(moment - clock.now())
    return f"in {span}" if span else "within a minute"


def _span(difference: timedelta) -> str:
    seconds = int(difference.total_seconds())
    return next((count(seconds // length, unit) for length, unit in _UNITS if seconds >= length), "")


def duration(seconds: int) -> str:
    """A duration to wait, rounded up: "40 seconds", "12 minutes"."""
    return count(seconds, "second") if seconds <= 90 else count(-(-seconds // 60), "minute")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 person", "2 people"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def in_full(moment: datetime) -> str:
    """A date and time with its time zone: "23 November 2026, 20:08 UTC"."""
    return f"{day(moment)}, {moment:%H:%M} UTC"


def day(moment: datetime) -> str:
    """The day of a moment: "2 October 2026"."""
    return f"{moment.day} {moment:%B %Y}"


def on(moment: datetime) -> str:
    """A moment by its day: "today, 16:10 UTC", "yesterday, 17:42 UTC", "2 October 2026"."""
    today = clock.now().date()
    for date, name in ((today, "today"), (today - timedelta(days=1), "yesterday")):
        if moment.date() == date:
            return f"{name}, {moment:%H:%M} UTC"
    return day(moment)
