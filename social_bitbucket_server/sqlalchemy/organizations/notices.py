"""Notices of integrations, each recorded once a month."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import func, select

from ...organizations import NOTICES, Notice, notices
from . import clock
from .models import IntegrationMixin
from .part import Part


class Notices(Part):
    """Finds the notices of all integrations that are enabled, and records those that are new."""

    def record_new(self) -> Iterator[tuple[IntegrationMixin, Notice]]:
        """Yield each notice with its integration, and record an event if it is new. Organizations where nobody may log
        in now have none."""
        integration, event, now = self._models.integration, self._models.event, clock.now()
        enabled = select(integration).where(integration.disabled_at.is_(None))
        records = self._session.scalars(enabled.order_by(integration.organization_id, integration.number)).all()
        conditions = self._store.events.conditions_of(records)
        for record in records:
            if not self._store.may_log_in(record.organization):
                continue
            last = select(event.event, func.max(event.at)).where(
                event.integration_id == record.id, event.event.in_(NOTICES)
            )
            recorded = {row[0]: row[1] for row in self._session.execute(last.group_by(event.event))}
            for notice in notices(record, conditions[record.id], now):
                if notice.is_new(recorded.get(notice.event), now):
                    self._note(notice.event, record, outcome="failure", problem=notice.problem)
                yield record, notice
