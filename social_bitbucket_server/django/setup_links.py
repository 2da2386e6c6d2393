"""Set-up links: anyone who has one can set one integration up in Bitbucket, without an account, until it ends.

An integration has one at most. Its token is shown once, so a lost link needs a new one.
"""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from ..organizations import (
    SETUP_LINK_KEPT,
    EventCode,
    SetupLinkCondition,
    SetupLinkLife,
    new_setup_token,
    setup_link_condition,
    setup_token_digest,
)
from . import configuration, events, integrations, upgrade
from .integrations import Administrator
from .models import AbstractIntegration, Event, SetupLink, integration_model

MOST_REQUESTS = 30
"""How many tests and corrections by set-up link one integration takes within an hour."""

_OPENED = "bitbucket_server_setup_link"


def make(
    record: AbstractIntegration, life: SetupLinkLife = SetupLinkLife.WEEK, administrator: Administrator = None
) -> str:
    """Make the set-up link of *record*. The one before does not open any more. Return its address, which is not stored
    and cannot be shown again."""
    now, token = timezone.now(), new_setup_token()
    with integrations.all_or_nothing():
        integrations.lock(record.pk)  # two at once would make two
        _revoke(record, administrator)
        SetupLink.objects.create(
            token_sha256=setup_token_digest(token),
            integration_id=record.pk,
            namespace=record.namespace,
            created_at=now,
            expires_at=now + life.length,
        )
        events.record(EventCode.SETUP_LINK_CREATED, integration_id=record.pk, user=administrator)
    return configuration.origin() + reverse("social_bitbucket_server:setup", args=[token])


def revoke(record: AbstractIntegration, administrator: Administrator = None) -> bool:
    """Let the set-up link of *record* open nothing any more. Returns whether there was one that did."""
    with integrations.all_or_nothing():
        integrations.lock(record.pk)  # nothing is saved afterwards for the person who has the link
        return _revoke(record, administrator)


def live(record: AbstractIntegration) -> SetupLink | None:
    """Return the set-up link of *record* that opens now, or ``None``."""
    link = SetupLink.objects.filter(integration_id=record.pk, revoked_at=None).last()
    return link if link is not None and _condition(link, record) is SetupLinkCondition.LIVE else None


def find(token: str) -> tuple[SetupLink, SetupLinkCondition, AbstractIntegration | None] | None:
    """Return the link with this *token*, its condition, and its integration, which is ``None`` if it was deleted.
    Return ``None`` if there is no such link, or if its integration is disabled."""
    link = SetupLink.objects.filter(pk=setup_token_digest(token)).first()
    if link is None:
        return None
    record = integrations.find_enabled(id=link.integration_id)
    if record is None and integration_model()._base_manager.filter(pk=link.integration_id).exists():
        return None
    return link, _condition(link, record), record


def note_opening(request: HttpRequest, link: SetupLink) -> None:
    """Record when *link* was opened, and from which address, once for each browser's session."""
    handle = link.token_sha256[:16]
    if request.session.get(_OPENED) == handle:
        return
    request.session[_OPENED] = handle
    link.opened_at, link.opened_from = timezone.now(), request.META.get("REMOTE_ADDR", "")
    link.save(update_fields=["opened_at", "opened_from"])
    events.record(EventCode.SETUP_LINK_OPENED, integration_id=link.integration_id)


def is_asked_too_often(record: AbstractIntegration) -> bool:
    """Return whether people without an account tested or corrected *record* as often as they may within an hour."""
    of_a_link = (
        EventCode.INTEGRATION_TESTED,
        EventCode.INTEGRATION_UPDATED,
        EventCode.KEY_REFUSED,
        EventCode.UPGRADE_PREPARED,
        EventCode.UPGRADE_TESTED,
    )
    an_hour_ago = timezone.now() - timedelta(hours=1)
    asked = Event.objects.filter(integration_id=record.pk, user_id="", what__in=of_a_link, at__gt=an_hour_ago)
    return asked.count() >= MOST_REQUESTS


def takes_credentials(record: AbstractIntegration) -> bool:
    """Return whether a Bitbucket admin may enter the credentials for OAuth 2: no person has logged in with others."""
    is_for_oauth2 = record.oauth_versions.is_oauth1_ended and configuration.has_oauth2_in_database()
    return is_for_oauth2 and record.last_login_at is None


def keep_credentials(link: SetupLink, record: AbstractIntegration, client_id: str, client_secret: str) -> bool:
    """Let people log in to *record* by OAuth 2 with these client credentials. Returns false, and keeps nothing, if a
    person has logged in or *link* has ended meanwhile."""
    with integrations.all_or_nothing():
        now_there = _lock(link)
        if now_there is None or not takes_credentials(now_there):
            return False
        upgrade.keep_credentials(record, client_id, client_secret)
    return True


def takes_corrections(record: AbstractIntegration) -> bool:
    """Return whether a Bitbucket admin may correct base URL and CA certificates: no person has an account by them."""
    return record.last_login_at is None and not integrations.identities(record).exists()


def correct(link: SetupLink, record: AbstractIntegration, *, is_same_server: bool) -> bool:
    """Save base URL and CA certificates of *record*, which were changed and cleaned. Another server ends the link.

    Returns false, and changes nothing, if a person has logged in or *link* has ended meanwhile. Raises
    ChangedMeanwhileError.
    """
    with integrations.all_or_nothing():
        now_there = _lock(link)
        if now_there is None or not takes_corrections(now_there):
            return False
        save = integrations.move if is_same_server else integrations.change
        save(record)
    return True


def prune() -> None:
    """Delete the links that ended long ago."""
    SetupLink.objects.filter(expires_at__lt=timezone.now() - SETUP_LINK_KEPT).delete()


def _lock(link: SetupLink) -> AbstractIntegration | None:
    """Return the integration of *link* as it is now, or ``None`` if the link does not open any more.

    Until the transaction ends, the link does not end, and no person logs in for the first time.
    """
    record = integrations.lock(link.integration_id)
    now_there = SetupLink.objects.filter(pk=link.pk).first()
    is_live = now_there is not None and _condition(now_there, record) is SetupLinkCondition.LIVE
    return record if is_live else None


def _revoke(record: AbstractIntegration, administrator: Administrator) -> bool:
    now = timezone.now()
    there = SetupLink.objects.filter(integration_id=record.pk, revoked_at=None)
    was_live = there.filter(expires_at__gt=now).exists()
    there.update(revoked_at=now)
    if was_live:
        events.record(EventCode.SETUP_LINK_REVOKED, integration_id=record.pk, user=administrator)
    return was_live


def _condition(link: SetupLink, record: AbstractIntegration | None) -> SetupLinkCondition:
    if record is None:
        return SetupLinkCondition.DELETED
    if record.namespace != link.namespace:
        return SetupLinkCondition.ANOTHER_SERVER
    return setup_link_condition(
        created_at=link.created_at,
        expires_at=link.expires_at,
        revoked_at=link.revoked_at,
        last_login_at=record.last_login_at,
        waits_for_key=record.pending_key_pair is not None,
        now=timezone.now(),
    )
