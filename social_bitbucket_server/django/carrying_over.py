"""Identities that social_django's table has already: carried over to this package's backends, and back again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.module_loading import import_string
from social_django.utils import Storage

from ..account import (
    CORES_BACKEND,
    ID_KEY,
    ORIGIN,
    Evidence,
    Move,
    Outcome,
    Place,
    backends_of,
    origin_of,
    outcome_so_far,
    plan,
    plan_back,
    without_origin,
    without_tokens,
)
from ..integration import (
    BACKENDS,
    OAUTH1,
    OAUTH2,
    SINGLE_INTEGRATION_ID,
    ServerURL,
    SettingsOf,
    base_url,
    read_carry_over,
)
from ..organizations import EventCode
from ..problems import BitbucketServerError, Code
from . import configuration, events
from .models import Event
from .storage import one_transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .models import AbstractIntegration

LOGINS = "logins"
"""The source that is the setting ``CARRY_OVER``, for older identities at their people's next login."""
SINGLE = "single"
"""The source that is the one server of plain settings."""
CORE = "core"
"""The source that is social-core's own backend."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of identities from *source* to *target*. *integration_id* is for the events about it. *what* is the event
    of each identity."""

    source: Place
    target: Place
    integration_id: str
    what: EventCode = EventCode.IDENTITY_CARRIED_OVER

    @property
    def back(self) -> Way:
        """The way back."""
        return Way(self.target, self.source, self.integration_id, EventCode.IDENTITY_CARRIED_BACK)


def ways(source: str, record: AbstractIntegration | None, backend: str | None = None) -> list[Way]:
    """Return the ways from *source*, :data:`CORE` or :data:`SINGLE`, to the integration *record*, or for ``None`` to
    the one server of plain settings. *backend*: the name of ours that identities of :data:`CORE` become; ``None`` for
    the one that people log in with."""
    namespace = record.namespace if record is not None else ""
    integration_id = record.pk if record is not None else SINGLE_INTEGRATION_ID
    if source == CORE:
        return [Way(Place(CORES_BACKEND), Place(backend or _backend_of(record), namespace), integration_id)]
    return [Way(Place(name), Place(name, namespace), integration_id) for name in BACKENDS]


def evidence(
    source: str, record: AbstractIntegration | None, known_as: Sequence[str], *, without_address: bool
) -> Evidence:
    """Return what shows that an identity is one of the server's. *known_as*: the server's other base URLs.

    Raises ``setting_invalid`` if the settings give *source* a server with none of these base URLs, ``setting_missing``
    if they do not say which server it is now, and ``invalid_base_url``.
    """
    server = record.server_url if record is not None else _single_server()
    addresses = [server, *(_parsed(text) for text in known_as)]
    for backend in (CORES_BACKEND,) if source == CORE else BACKENDS:
        name = SettingsOf(backend, configuration.Settings()).own_name("URL")
        configured = configuration.Settings().get(name)
        if configured and _parsed(configured) not in addresses:
            raise BitbucketServerError(
                Code.SETTING_INVALID,
                f"It is {configured}, and the server of the integration is {server}.",
                parameter="URL",
                setting=name,
            )
    return Evidence(addresses, without_address)


def carry_over(way: Way, evidence: Evidence, *, apply: bool) -> list[Move[Any]]:
    """Return what becomes of each identity. Without *apply* nothing is changed; with it, all of it or nothing."""
    identities = Storage.user.objects
    with one_transaction(Storage.user, Event):
        rows = identities.filter(provider=way.source.provider).order_by("pk")
        accounts = _accounts(*backends_of(way.target))
        moves = plan(rows.select_for_update() if apply else rows, way.source, way.target, evidence, accounts)
        if apply:
            for move in moves:
                _apply(move, way)
    return moves


def waiting(record: AbstractIntegration | None) -> list[Move[Any]]:
    """Return the older identities that the setting ``CARRY_OVER`` allows for *record*, or for ``None`` for the one
    server. The outcome is what can be said before their people log in.

    Raises ``setting_missing`` if it says nothing about this integration, and ``setting_invalid``.
    """
    integration_id = record.pk if record is not None else SINGLE_INTEGRATION_ID
    backend = _backend_of(record)
    rules = read_carry_over(
        configuration.setting("CARRY_OVER", backend=backend), has_single_server=integration_id == SINGLE_INTEGRATION_ID
    )
    if integration_id not in rules:
        raise BitbucketServerError(
            Code.SETTING_MISSING,
            f"It says nothing about the integration {integration_id}.",
            parameter="CARRY_OVER",
            setting=SettingsOf(backend, configuration.Settings()).name("CARRY_OVER"),
        )
    rule = rules[integration_id]
    rows = Storage.user.objects.filter(provider=rule.provider).select_related("user").order_by("pk")
    older = (row for row in rows if rule.provider not in BACKENDS or Place(rule.provider).is_place_of(row.uid))
    return [Move(row, outcome_so_far(row, getattr(row.user, "email", None), rule)) for row in older]


def give_back(record: AbstractIntegration | None, *, apply: bool) -> list[Move[Any]]:
    """Return what becomes of each identity that a login carried over, if it gets the backend and uid of before. Without
    *apply* nothing is changed; with it, all of it or nothing."""
    namespace = record.namespace if record is not None else ""
    integration_id = record.pk if record is not None else SINGLE_INTEGRATION_ID
    identities = Storage.user.objects
    moves = []
    with one_transaction(Storage.user, Event):
        for backend in BACKENDS:
            rows = identities.filter(provider=backend, extra_data__has_key=ORIGIN).order_by("pk")
            moves += plan_back(rows.select_for_update() if apply else rows, Place(backend, namespace), _accounts())
        for move in moves if apply else ():
            _give_back(move, integration_id)
    return moves


def _give_back(move: Move[Any], integration_id: str) -> None:
    identity, origin = move.identity, origin_of(move.identity)
    if move.outcome is not Outcome.CARRIED_OVER or origin is None:
        return
    identity.provider, identity.uid = origin
    identity.extra_data = without_origin(identity)
    identity.save()
    events.record(EventCode.IDENTITY_CARRIED_BACK, integration_id=integration_id, user=identity.user)


def _accounts(*backends: str) -> dict[tuple[str, str], Any]:
    """Return the accounts by backend and uid of the identities of *backends*, or without any of all identities."""
    identities = Storage.user.objects.all()
    known = identities.filter(provider__in=backends) if backends else identities
    return {(provider, uid): user for provider, uid, user in known.values_list("provider", "uid", "user_id")}


def _apply(move: Move[Any], way: Way) -> None:
    if move.outcome is not Outcome.CARRIED_OVER:
        return
    identity = move.identity
    identity.provider, identity.uid, identity.id_key = way.target.provider, move.uid, ID_KEY
    identity.extra_data = without_tokens(identity)
    identity.save()
    events.record(way.what, integration_id=way.integration_id, user=identity.user)


def _backend_of(record: AbstractIntegration | None) -> str:
    """Return the backend that people log in with now; of both for the one server, that of OAuth 1."""
    if record is not None:
        return OAUTH2 if record.oauth1_ended_at is not None else OAUTH1
    installed = {getattr(import_string(path), "name", "") for path in settings.AUTHENTICATION_BACKENDS}
    usable = [
        name for name in BACKENDS if name in installed and SettingsOf(name, configuration.Settings()).has_own("URL")
    ]
    return usable[0] if usable else OAUTH1


def _single_server() -> ServerURL:
    own = SettingsOf(_backend_of(None), configuration.Settings())
    if not own["URL"]:
        raise BitbucketServerError(
            Code.SETTING_MISSING, "Name an integration, or set it.", parameter="URL", setting=own.name("URL")
        )
    return base_url({"url": own["URL"], "allow_http": own.get("ALLOW_HTTP", False)})


def _parsed(text: str) -> ServerURL:
    return base_url({"url": text, "allow_http": True})
