"""Notices of what ends soon, or has been failing for long: which there are, and when to record one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..transport import ends_of
from .conditions import Condition
from .events import EventCode
from .stored import StoredIntegration

SOON = timedelta(days=30)
"""How long before a certificate's end there is a notice of it."""
LONG = timedelta(days=1)
"""How long an integration has been failing when there is a notice of it."""
RECORDED_EVERY = timedelta(days=30)
"""How long it takes until a notice that goes on is recorded again."""

NOTICES = (EventCode.CLIENT_CERTIFICATE_ENDING, EventCode.CA_CERTIFICATE_ENDING, EventCode.INTEGRATION_STILL_FAILING)
"""The events of notices."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice of an integration.

    *event* says what it is about. *at* is when the certificate ends, or since when the integration fails, with a time
    zone. *is_over*: the certificate has ended. *problem* is the code of the problem of a failing integration. It is
    ``None`` if the problem is unknown, or the notice is of a certificate.
    """

    event: EventCode
    at: datetime
    is_over: bool = False
    problem: str | None = None

    @property
    def is_of_ca(self) -> bool:
        """Whether it is about a CA certificate."""
        return self.event is EventCode.CA_CERTIFICATE_ENDING

    def is_new(self, recorded_at: datetime | None, now: datetime) -> bool:
        """Return whether to record it. *recorded_at* is when its event was recorded last for the integration, and
        ``None`` if it never was. A failure that began afterwards is another one."""
        if recorded_at is None or now - recorded_at >= RECORDED_EVERY:
            return True
        return self.event is EventCode.INTEGRATION_STILL_FAILING and recorded_at < self.at


def ending_certificates(record: StoredIntegration, now: datetime) -> tuple[Notice, ...]:
    """Return the notices of the certificates of *record* that end soon or have ended.

    Of several CA certificates, the first one to end counts. The CA certificates that come with a client certificate do
    not count.
    """
    first_ends = (
        (EventCode.CLIENT_CERTIFICATE_ENDING, ends_of(record.client_certificate)[:1]),
        (EventCode.CA_CERTIFICATE_ENDING, sorted(ends_of(record.ca_certificates))[:1]),
    )
    return tuple(
        Notice(event, end, is_over=end <= now) for event, ends in first_ends for end in ends if end - now <= SOON
    )


def notices(record: StoredIntegration, condition: Condition, now: datetime) -> tuple[Notice, ...]:
    """Return all notices of *record*, which is in this *condition*."""
    ending = ending_certificates(record, now)
    if condition.since is None or now - condition.since < LONG:
        return ending
    return (*ending, Notice(EventCode.INTEGRATION_STILL_FAILING, condition.since, problem=condition.problem))
