"""A new base URL for the same server: a trial login there shows that it is the same.

People are recognized by their number on the server. On another server that number is another person's.
"""

from __future__ import annotations

from django.db.models import F
from social_django.utils import Storage

from ..account import Profile
from ..integration import BACKENDS, Integration, OAuth2Integration
from ..organizations import EventCode, OAuth, shows_same_server
from . import events, integrations
from .integrations import Administrator
from .models import AbstractIntegration


def begin(record: AbstractIntegration, base_url: str, administrator: Administrator = None) -> None:
    """Wait for a trial login at *base_url*, which is in its clean form. Until then people log in at the old address."""
    record.moving_to = base_url
    record.save(update_fields=["moving_to"])
    events.record(EventCode.INTEGRATION_MOVE_BEGUN, integration_id=record.pk, user=administrator)


def give_up(record: AbstractIntegration, administrator: Administrator = None) -> None:
    """Stay at the old address."""
    if record.moving_to:
        record.moving_to = ""
        record.save(update_fields=["moving_to"])
        events.record(EventCode.INTEGRATION_MOVE_GIVEN_UP, integration_id=record.pk, user=administrator)


def find(integration_id: str, *, oauth: OAuth) -> Integration | OAuth2Integration | None:
    """Return the enabled integration with this id at its new address for logins by *oauth*, or ``None`` if it has none.
    Otherwise it is as :func:`.integrations.find` or :func:`.integrations.find_oauth2` returns it."""
    record = integrations.find_enabled(id=integration_id)
    if record is None or not record.moving_to:
        return None
    record.base_url = record.moving_to
    return integrations.for_oauth1(record) if oauth is OAuth.ONE else integrations.for_oauth2(record)


def finish(record: AbstractIntegration, profile: Profile, tried: str, administrator: Administrator = None) -> bool:
    """Take the address *tried* if *profile*, which answered there, is a person whom the integration knows by the same
    number and the same username. Returns whether it is. If not, nothing changes.

    The logins under way end. Everybody keeps their account and their session.
    """
    with integrations.all_or_nothing():
        locked = integrations.lock(record.pk)  # others may have changed it meanwhile
        identity = None
        if locked is not None:
            uid = f"{locked.namespace}:{profile.id}"
            identity = Storage.user.objects.filter(provider__in=BACKENDS, uid=uid).first()
        known = None if identity is None else identity.extra_data.get("username")
        is_same = locked is not None and shows_same_server(profile, known) and locked.moving_to == tried
        events.record(EventCode.INTEGRATION_MOVED, integration_id=record.pk, user=administrator)
        if is_same:
            rows = type(record)._base_manager.filter(pk=record.pk)
            rows.update(base_url=tried, moving_to="", revision=F("revision") + 1)
            events.record(EventCode.INTEGRATION_UPDATED, integration_id=record.pk, user=administrator)
    return is_same
