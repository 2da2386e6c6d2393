"""People who logged in before, asked for at Bitbucket with their own access tokens: are they still there, and may they
still log in? Nothing happens to anybody's account; an application connects to :data:`person_rechecked` for that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.auth.hashers import make_password
from django.dispatch import Signal
from social_core.exceptions import AuthConfigurationError
from social_django.utils import Storage

from ..account import Recheck, Standing
from ..integration import BACKENDS
from ..organizations import EventCode
from . import events, integrations, people
from .configuration import backend_of
from .models import AbstractIntegration

person_rechecked = Signal()
"""Sent for everybody who was asked for, with *identity*, which is social_django's, and *recheck*."""


def providers() -> tuple[str, ...]:
    """Return the names of the configured backends that keep access tokens."""
    return tuple(filter(_keeps_tokens, BACKENDS))


def _keeps_tokens(provider: str) -> bool:
    try:
        return bool(backend_of(provider).setting("STORE_ACCESS_TOKEN"))
    except AuthConfigurationError:  # it is not configured
        return False


def due(record: AbstractIntegration | None = None) -> list[Any]:
    """Return the ids of the identities that log in through *record*, or with any Bitbucket, sorted by person."""
    identities = Storage.user.objects if record is None else integrations.identities(record)
    wanted = identities.filter(provider__in=providers()).order_by("user_id", "pk")
    return list(wanted.values_list("pk", flat=True))


def recheck(identity_ids: Iterable[Any]) -> Iterator[tuple[Any, Recheck, bool]]:
    """Ask for each of these identities that is still there and whose person is active. Yield it with the result, and
    whether its server was asked. A server that cannot be asked for one is not asked for others."""
    silent: dict[tuple[str, str], Recheck] = {}
    for identity_id in identity_ids:
        identity = Storage.user.objects.select_related("user").filter(pk=identity_id).first()
        if identity is None or not identity.user.is_active:
            continue
        server = (identity.provider, str(identity.extra_data.get("integration", "")))
        if server in silent:
            yield identity, silent[server], False
            continue
        found = backend_of(identity.provider).recheck(identity)
        if found.is_the_servers:
            silent[server] = found
        what = {
            Standing.REFUSED: EventCode.RECHECK_REFUSED,
            Standing.UNANSWERED: EventCode.RECHECK_UNANSWERED,
        }.get(found.standing)
        if what is not None:
            integration_id = str(identity.extra_data.get("integration", ""))
            events.record(what, integration_id=integration_id, user=identity.user, problem=found.problem)
        person_rechecked.send_robust(type(identity), identity=identity, recheck=found)
        yield identity, found, True


def log_out(user: Any, refused: Iterable[Any]) -> bool:
    """End all sessions of *user*, whose identities with these ids were *refused*. Return whether they ended.

    A person who has another way in, by another identity or a password, stays, because no server decides on that.

    Django's sessions hold a digest of the password's record, and end when that is another one. In place of an unusable
    password comes another unusable one.
    """
    if people.has_another_way_in(user, refused):
        return False
    unchanged = type(user)._base_manager.filter(pk=user.pk, password=user.password)
    return bool(unchanged.update(password=make_password(None)))
