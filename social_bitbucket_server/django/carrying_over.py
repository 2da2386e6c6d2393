"""Identities that social_django's table has already: carried over to this package's backends, and back again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from social_django.utils import Storage

from ..account import (
    CORES_BACKEND,
    Evidence,
    Move,
    Place,
    carry_over_identities,
    give_back_identities,
    waiting_identities,
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
from .models import AbstractIntegration, Event
from .storage import one_transaction

LOGINS = "logins"
"""The source that is the setting ``CARRY_OVER``, for older identities at their people's next login."""
SINGLE = "single"
"""The source that is the one server of plain settings."""
CORE = "core"
"""The source that is social-core's own backend."""


def evidence(
    source: str, record: AbstractIntegration | None, known_as: Sequence[str], *, without_address: bool
) -> Evidence:
    """Return what shows that an identity is one of the server's. *known_as*: the server's other base URLs.

    Raises ``setting_invalid`` if the settings give *source* a server with none of these base URLs, ``setting_missing``
    if they do not say which server it is now, and ``invalid_base_url``.
    """
    if record is not None:
        server = record.server_url
    else:
        own = SettingsOf(_backend_of(None), configuration.Settings())
        if not own["URL"]:
            raise BitbucketServerError(
                Code.SETTING_MISSING, "Name an integration, or set it.", parameter="URL", setting=own.name("URL")
            )
        server = base_url({"url": own["URL"], "allow_http": own.get("ALLOW_HTTP", False)})
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


def carry_over(
    source: str,
    record: AbstractIntegration | None,
    evidence: Evidence,
    *,
    backend: str | None,
    back: bool,
    apply: bool,
) -> list[Move[Any]]:
    """Return what becomes of each identity on the way from *source*, :data:`CORE` or :data:`SINGLE`, to the integration
    *record*, or for ``None`` to the one server of plain settings. With *back* it is the way back. Without *apply*
    nothing is changed; with it, all of it or nothing.

    *backend*: the name of ours that identities of :data:`CORE` become; ``None`` for the one that people log in with.
    """
    namespace, integration_id = _place_of(record)
    ways = [(Place(name), Place(name, namespace)) for name in BACKENDS]
    if source == CORE:
        ways = [(Place(CORES_BACKEND), Place(backend or _backend_of(record), namespace))]
    what = EventCode.IDENTITY_CARRIED_BACK if back else EventCode.IDENTITY_CARRIED_OVER
    identities = _Identities(integration_id, what)
    moves = []
    with one_transaction(Storage.user, Event):
        for older, newer in ways:
            origin, target = (newer, older) if back else (older, newer)
            moves += carry_over_identities(identities, origin, target, evidence, apply=apply)
    return moves


def waiting(record: AbstractIntegration | None) -> list[Move[Any]]:
    """Return the older identities that the setting ``CARRY_OVER`` allows for *record*, or for ``None`` for the one
    server. The outcome is what can be said before their people log in.

    Raises ``setting_missing`` if it says nothing about this integration, and ``setting_invalid``.
    """
    _, integration_id = _place_of(record)
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
    return waiting_identities(_Identities(integration_id), rules[integration_id])


def give_back(record: AbstractIntegration | None, *, apply: bool) -> list[Move[Any]]:
    """Return what becomes of each identity that a login carried over, if it gets the backend and uid of before. Without
    *apply* nothing is changed; with it, all of it or nothing."""
    namespace, integration_id = _place_of(record)
    identities = _Identities(integration_id, EventCode.IDENTITY_CARRIED_BACK)
    moves = []
    with one_transaction(Storage.user, Event):
        for backend in BACKENDS:
            moves += give_back_identities(identities, Place(backend, namespace), apply=apply)
    return moves


@dataclass(frozen=True, slots=True)
class _Identities:
    """The rows of social_django's table, as the rules read and write them. *what* is the event of each that is
    written; the events are about *integration_id*."""

    integration_id: str
    what: EventCode = EventCode.IDENTITY_CARRIED_OVER

    def of(self, provider: str, *, lock: bool) -> Iterable[Any]:
        rows: QuerySet[Any] = Storage.user.objects.filter(provider=provider).order_by("pk")
        return rows.select_for_update() if lock else rows.select_related("user")

    def accounts(self, providers: Collection[str]) -> dict[tuple[str, str], Any]:
        rows = Storage.user.objects.filter(provider__in=providers).values_list("provider", "uid", "user_id")
        return {(provider, uid): user_id for provider, uid, user_id in rows}

    def write(self, identity: Any, *, provider: str, uid: str, id_key: str, extra_data: dict[str, Any]) -> None:
        identity.provider, identity.uid, identity.id_key, identity.extra_data = provider, uid, id_key, extra_data
        identity.save()
        events.record(self.what, integration_id=self.integration_id, user=identity.user)


def _place_of(record: AbstractIntegration | None) -> tuple[str, str]:
    """Return the namespace of the integration *record* and its id; ``None`` for the one server."""
    return (record.namespace, record.pk) if record is not None else ("", SINGLE_INTEGRATION_ID)


def _backend_of(record: AbstractIntegration | None) -> str:
    """Return the backend that people log in with now; of both for the one server, that of OAuth 1."""
    if record is not None:
        return OAUTH2 if record.oauth1_ended_at is not None else OAUTH1
    installed = configuration.installed_backends()
    usable = (
        name for name in BACKENDS if name in installed and SettingsOf(name, configuration.Settings()).has_own("URL")
    )
    return next(usable, OAUTH1)


def _parsed(text: str) -> ServerURL:
    return base_url({"url": text, "allow_http": True})
