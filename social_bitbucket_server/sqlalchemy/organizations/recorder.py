"""How the storage tells that something happened."""

from __future__ import annotations

from typing import Protocol

from ...organizations import EventCode


class Recorder(Protocol):
    """Writes an event down, after what it is about is committed or at once."""

    def __call__(self, event: EventCode, *, outcome: str = "success", **details: object) -> None:
        """Write *event* down with the *details* that are not ``None``: numbers and identifiers, no names or secrets.

        ``organization_id`` says whose event it is; without it, it is the one whose page was asked for.
        """
