"""The current time: one place to ask, so that a test can answer."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment, with its time zone (UTC)."""
    return datetime.now(UTC)
