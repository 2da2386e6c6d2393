"""The audit log: what happened, one row each, written at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import Max, Q, QuerySet
from django.dispatch import Signal
from django.utils import timezone
from social_django.models import Nonce

from ..login import LIFETIME, NONCE_SCOPE
from ..onboarding import Stage
from ..organizations import (
    ENDED_ATTEMPTS,
    NOTICES,
    TO_BE_MENDED,
    Condition,
    EventCode,
    FailureEvent,
    Notice,
    SetupStep,
    State,
    condition,
    ending_certificates,
    next_step,
    notices,
    sign_of,
    tell,
    turn,
)
from ..problems import Code
from . import configuration
from .models import AbstractIntegration, Event, integration_model

DAYS_OF_NOTICE = 30
"""How long a failure is news in the administration's list."""

event_recorded = Signal()
"""Sent for each event when its transaction is committed, by :class:`~.models.Event`, with *event* (its code) and
*details*: identifiers and codes by name, no token, key or name of a person."""

_LOG = logging.getLogger(__name__)
_AFTER_LINK = {Stage.SIGNATURE, Stage.REST}
_WORKS = Q(what=EventCode.LOGIN_SUCCESS) | Q(what=EventCode.INTEGRATION_TESTED, problem="")
_FAILS = (Q(what=EventCode.INTEGRATION_TESTED) & ~Q(problem="")) | Q(
    what=EventCode.LOGIN_FAILURE, problem__in=TO_BE_MENDED
)


def record(
    what: EventCode,
    *,
    integration_id: str = "",
    user: AbstractBaseUser | AnonymousUser | None = None,
    problem: str = "",
    stage: str = "",
    reference: str = "",
    is_told: bool = False,
) -> None:
    """Write down *what* happened, in the table and in the log. *is_told*: the function of the setting ``…_ON_EVENT``
    was told already."""
    user_id = str(user.pk) if user is not None and user.pk is not None else ""
    details = {
        "integration_id": integration_id,
        "user_id": user_id,
        "problem": problem,
        "stage": stage,
        "reference": reference,
    }
    turned = _turn(what, integration_id, problem)
    Event.objects.create(what=what.value, **details)
    _LOG.info(
        "%s integration=%s user=%s problem=%s stage=%s reference=%s",
        what.value,
        *(value or "-" for value in details.values()),
    )
    told = {name: value for name, value in details.items() if value}
    transaction.on_commit(partial(_tell, what, told, is_told=is_told), using=router.db_for_write(Event))
    if turned is not None:
        record(turned, integration_id=integration_id, problem=problem, reference=reference)


def _turn(what: EventCode, integration_id: str, problem: str) -> EventCode | None:
    """Return the event of an integration that begins to fail because of *what*, or works again."""
    works = sign_of(what, has_passed=not problem, problem=problem)
    if works is None or not integration_id:
        return None
    events = Event.objects.filter(integration_id=integration_id)
    signs = events.filter(_WORKS | _FAILS | Q(what=EventCode.INTEGRATION_BEGAN_ANEW)).order_by("-id")
    last = signs.values_list("what", "problem").first()
    return turn(
        works=works,
        worked_before=None if last is None else sign_of(last[0], has_passed=not last[1], problem=last[1]),
        has_ever_worked=lambda: _last_time_it_worked(events) is not None,
    )


def _tell(what: EventCode, details: dict[str, str], *, is_told: bool) -> None:
    """Send the signal. What a receiver raises goes to the log, and changes nothing for the request."""
    if not is_told:
        tell(configuration.setting("ON_EVENT"), what, details)
    for receiver, answer in event_recorded.send_robust(Event, event=what, details=details):
        if isinstance(answer, Exception):
            _LOG.error("%r failed at %s: %s", receiver, what.value, type(answer).__qualname__)


def login_attempts(integration_id: str) -> QuerySet[Event]:
    """Return how the newest logins through an integration ended, and the newest accounts connected there."""
    failed_at_new_version = Q(what=EventCode.UPGRADE_TESTED) & ~Q(reference="")
    ended = Q(what__in=ENDED_ATTEMPTS) | failed_at_new_version
    return Event.objects.filter(ended, integration_id=integration_id)[:20]


def condition_of(record: AbstractIntegration) -> Condition:
    """Return the condition of an integration."""
    events = Event.objects.filter(integration_id=record.pk)
    worked = _last_time_it_worked(events)
    first = events.filter(_FAILS, id__gt=worked).order_by("id").first() if worked is not None else None
    return condition(
        is_enabled=record.enabled,
        has_worked=worked is not None,
        is_used=record.last_login_at is not None,
        failure=FailureEvent(first.at, first.problem) if first is not None else None,
        waits_for_key=record.pending_key_pair is not None,
        is_upgrade_begun=record.oauth_versions.is_upgrade_begun,
    )


def last_test(record: AbstractIntegration) -> Event | None:
    """Return the newest test of the integration's connection to the server that it has now; ``None`` if there is
    none."""
    events = Event.objects.filter(integration_id=record.pk)
    newest = events.filter(what__in=(EventCode.INTEGRATION_TESTED, EventCode.INTEGRATION_BEGAN_ANEW)).first()
    return newest if newest is not None and newest.what == EventCode.INTEGRATION_TESTED else None


def next_step_of(record: AbstractIntegration) -> SetupStep | None:
    """Return the next step of an integration that no person uses yet; ``None`` if there is none.

    With OAuth 1 a test that did not find the application link leaves it to be entered in Bitbucket.
    """
    if record.last_login_at is not None:
        return None
    versions, test = record.oauth_versions, last_test(record)
    has_link = versions.is_oauth1_ended or (
        test is not None and test.stage in _AFTER_LINK and test.problem != Code.CONSUMER_KEY_UNKNOWN
    )
    return next_step(condition_of(record).state, has_credentials=bool(versions.usable), is_tested=has_link)


def failing(records: QuerySet[AbstractIntegration]) -> list[tuple[AbstractIntegration, Condition]]:
    """Return those of *records* that fail and have failed within the last :data:`DAYS_OF_NOTICE` days, with their
    conditions, in the order of *records*."""
    lately = Event.objects.filter(at__gt=timezone.now() - timedelta(days=DAYS_OF_NOTICE))
    failed, worked = _newest(lately.filter(_FAILS)), _newest(lately.filter(_WORKS))
    suspects = {key for key, event_id in failed.items() if event_id > worked.get(key, 0)}
    found = ((record, condition_of(record)) for record in records.filter(enabled=True, pk__in=suspects))
    return [(record, condition) for record, condition in found if condition.state is State.FAILING]


def notices_of_certificates(records: QuerySet[AbstractIntegration]) -> Iterator[tuple[AbstractIntegration, Notice]]:
    """Yield the notices of certificates of those of *records* that are enabled, in their order."""
    now = timezone.now()
    for record in records.filter(enabled=True).exclude(client_certificate="", ca_certificates=""):
        for notice in ending_certificates(record, now):
            yield record, notice


def record_notices() -> Iterator[tuple[AbstractIntegration, Notice]]:
    """Yield each notice of the integrations that are enabled, and record an event if it was not recorded within a
    month."""
    now = timezone.now()
    for integration in integration_model()._default_manager.filter(enabled=True):
        state = condition_of(integration)
        last = Event.objects.order_by().filter(integration_id=integration.pk, what__in=NOTICES)
        recorded = dict(last.values_list("what").annotate(at=Max("at")))
        for notice in notices(integration, state, now):
            if notice.is_new(recorded.get(notice.event), now):
                record(notice.event, integration_id=integration.pk, problem=notice.problem or "")
            yield integration, notice


def _newest(events: QuerySet[Event]) -> dict[str, int]:
    """Return the newest id by integration."""
    return dict(events.order_by().values_list("integration_id").annotate(last=Max("id")))


def _last_time_it_worked(events: QuerySet[Event]) -> int | None:
    """Return the id of the last event that says that an integration works with the server that it has now."""
    began_anew = events.filter(what=EventCode.INTEGRATION_BEGAN_ANEW).aggregate(last=Max("id"))["last"] or 0
    last: int | None = events.filter(_WORKS, id__gt=began_anew).aggregate(last=Max("id"))["last"]
    return last


def user_names(user_ids: set[str]) -> dict[str, str]:
    """Return the user names of the people with these ids, by id. Deleted people are left out."""
    users = get_user_model()
    known = []
    for user_id in user_ids:
        try:
            known.append(users._meta.pk.to_python(user_id or None))
        except ValidationError:  # of a model of users that was another one then
            continue
    return {str(user.pk): user.get_username() for user in users._default_manager.filter(pk__in=known)}


def prune(days: int) -> tuple[int, int]:
    """Delete the events older than *days*, and what is left of logins that were begun and never finished.

    Returns how many there were of both.
    """
    now = timezone.now()
    events, _ = Event.objects.filter(at__lt=now - timedelta(days=days)).delete()
    unfinished = Nonce.objects.filter(server_url=NONCE_SCOPE, timestamp__lt=int(now.timestamp()) - 2 * LIFETIME)
    logins, _ = unfinished.delete()
    return events, logins
