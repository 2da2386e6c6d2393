"""Notices of integrations: what ends soon, or has been failing for long."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Max, QuerySet
from django.utils import timezone

from ..organizations import NOTICES, Notice, ending_certificates, notices
from . import events
from .models import AbstractIntegration, Event, integration_model


def of_certificates(records: QuerySet[AbstractIntegration]) -> Iterator[tuple[AbstractIntegration, Notice]]:
    """Yield the notices of certificates of those of *records* that are enabled, in their order."""
    now = timezone.now()
    for record in records.filter(enabled=True).exclude(client_certificate="", ca_certificates=""):
        for notice in ending_certificates(record, now):
            yield record, notice


def record_new() -> Iterator[tuple[AbstractIntegration, Notice]]:
    """Yield each notice of the integrations that are enabled, and record an event if it was not recorded within a
    month."""
    now = timezone.now()
    for record in integration_model()._default_manager.filter(enabled=True):
        condition = events.condition_of(record)
        last = Event.objects.order_by().filter(integration_id=record.pk, what__in=NOTICES)
        recorded = dict(last.values_list("what").annotate(at=Max("at")))
        for notice in notices(record, condition, now):
            if notice.is_new(recorded.get(notice.event), now):
                events.record(notice.event, integration_id=record.pk, problem=notice.problem or "")
            yield record, notice
