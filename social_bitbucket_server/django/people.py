"""People who log in through an integration: they are listed, disabled and logged out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import F, QuerySet
from social_django.utils import Storage

from ..integration import BACKENDS
from ..organizations import EventCode
from . import events, integrations
from .models import AbstractIntegration, EndedSessions


def of(record: AbstractIntegration) -> QuerySet[Any]:
    """Return the identities that log in through *record*, each with its user, by user name."""
    names = integrations.identities(record)
    return names.select_related("user").order_by(f"user__{names.model.username_field()}", "pk")


def disable(user: Any, *, integration_id: str = "") -> None:
    """Disable *user* for every way to log in, and end their sessions that came through an integration.

    *integration_id*: the integration that the event names; empty for none.
    """
    user.is_active = False
    user.save(update_fields=["is_active"])
    end_sessions(user)
    events.record(EventCode.USER_DISABLED, integration_id=integration_id, user=user)


def disable_whom_bitbucket_disabled(uid: str, *, integration_id: str) -> None:
    """Disable the person with the identity *uid*, whose account Bitbucket says is disabled. They stay disabled until an
    administrator enables them again.

    A person who has another way in stays enabled, because no server decides on that. If the application's users cannot
    be disabled, nothing happens.
    """
    identity = Storage.user.objects.select_related("user").filter(provider__in=BACKENDS, uid=uid).first()
    if identity is None or identity.uid != uid:  # some databases compare without case
        return
    user = identity.user
    can_be_disabled = any(field.name == "is_active" for field in user._meta.concrete_fields)
    if can_be_disabled and user.is_active and not has_another_way_in(user, [identity.pk]):
        disable(user, integration_id=integration_id)


def has_another_way_in(user: Any, identity_ids: Iterable[Any]) -> bool:
    """Return whether *user* has a password, or another identity than those with these ids."""
    others = Storage.user.objects.filter(user=user).exclude(pk__in=identity_ids)
    return bool(user.has_usable_password() or others.exists())


def enable(user: Any, *, integration_id: str = "") -> None:
    """Let *user* in again. Sessions that ended do not come back."""
    user.is_active = True
    user.save(update_fields=["is_active"])
    events.record(EventCode.USER_ENABLED, integration_id=integration_id, user=user)


def log_out(user: Any, *, integration_id: str = "") -> None:
    """End all sessions of *user* that came through an integration. They can log in again."""
    end_sessions(user)
    events.record(EventCode.SESSION_REVOKED, integration_id=integration_id, user=user)


def end_sessions(user: Any) -> None:
    """End all sessions of *user* that came through an integration."""
    ended, _ = EndedSessions.objects.get_or_create(user_id=str(user.pk))
    EndedSessions.objects.filter(pk=ended.pk).update(times=F("times") + 1)


def times_ended(user_id: str) -> int:
    """Return how often the sessions of the user with this id were ended."""
    return EndedSessions.objects.filter(pk=user_id).values_list("times", flat=True).first() or 0
