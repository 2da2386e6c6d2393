"""The common beginning of everything that changes or reads the rows of organizations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sqlalchemy.orm import Session

from ...organizations import EventCode, SealedKeys
from .models import IntegrationMixin

if TYPE_CHECKING:
    from .store import Store


class Recorder(Protocol):
    """Writes an event down, after what it is about is committed or at once."""

    def __call__(self, event: EventCode, *, outcome: str = "success", **details: object) -> None:
        """Write *event* down with the *details* that are not ``None``: numbers and identifiers, no names or secrets.

        ``organization_id`` says whose event it is; without it, it is the one whose page was asked for.
        """


class Part:
    """One subject of a *store*."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._models = store.models

    @property
    def _session(self) -> Session:
        return self._store.models.session()

    @property
    def _keys(self) -> SealedKeys:
        return self._store.keys

    @property
    def _record(self) -> Recorder:
        return self._store.record

    def _note(self, event: EventCode, record: IntegrationMixin, *, outcome: str = "success", **details: object) -> None:
        """Write down that *event* happened to the integration *record*."""
        about = {"organization_id": record.organization_id, "integration_id": record.id}
        self._record(event, outcome=outcome, **about, **details)
