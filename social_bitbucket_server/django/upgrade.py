"""From OAuth 1 to OAuth 2 within one integration, and back.

Both work side by side from the moment the client credentials are there until the first login by OAuth 2. People are the
same either way: an identity is the integration's namespace and the numeric user id.
"""

from __future__ import annotations

from django.utils import timezone
from social_django.utils import Storage

from ..crypto import opaque
from ..integration import BACKENDS
from ..organizations import EventCode
from ..problems import BitbucketServerError
from . import events, integrations, key_rotation, sealed_keys
from .integrations import Administrator
from .models import AbstractIntegration, ClientCredentials, new_id


@opaque
def keep_credentials(
    record: AbstractIntegration, client_id: str, client_secret: str, administrator: Administrator = None
) -> None:
    """Let people log in by OAuth 2 with these client credentials, in place of those that were there. Tracebacks do not
    show the secret."""
    credentials_id = new_id()
    sealed = sealed_keys.current().seal_client_secret(
        client_secret, integration_id=record.pk, credentials_id=credentials_id
    )
    with integrations.all_or_nothing():
        integrations.lock(record.pk)
        ClientCredentials.objects.filter(integration_id=record.pk).delete()
        ClientCredentials.objects.create(
            id=credentials_id, integration_id=record.pk, client_id=client_id, sealed_client_secret=sealed
        )
        events.record(EventCode.UPGRADE_PREPARED, integration_id=record.pk, user=administrator)


def end_oauth1(integration_id: str) -> None:
    """Switch OAuth 1 off, because a person logged in by OAuth 2. The key pair stays, so that going back is possible."""
    with integrations.all_or_nothing():
        record = integrations.lock(integration_id)
        if record is None or not record.oauth_versions.is_upgrade_begun:
            return
        record.oauth1_ended_at = timezone.now()
        record.save(update_fields=["oauth1_ended_at"])
        events.record(EventCode.UPGRADE_FINISHED, integration_id=record.pk)


def can_go_back(record: AbstractIntegration) -> bool:
    """Return whether *record* has OAuth 1 to go back to, and something to go back from."""
    return record.oauth_versions.can_go_back(has_key_pair=record.active_key_pair is not None)


def go_back(record: AbstractIntegration, administrator: Administrator = None) -> bool:
    """Let people log in by OAuth 1 alone, and erase the client credentials. People who are logged in stay logged in.
    Return whether there was something to go back from.

    If OAuth 1 was switched off, Bitbucket is asked first, also with a key pair that waits. Raises
    BitbucketServerError, and changes nothing, if it does not accept OAuth 1 any more or cannot be asked.
    """
    if not can_go_back(record):
        return False
    if record.oauth1_ended_at is not None:
        try:
            key_rotation.ask_as_a_login_does(record)
        except BitbucketServerError as error:
            what = EventCode.UPGRADE_NOT_ABANDONED
            events.record(what, integration_id=record.pk, user=administrator, problem=error.code)
            raise
    with integrations.all_or_nothing():
        integrations.lock(record.pk)
        if not can_go_back(record):
            return False
        ClientCredentials.objects.filter(integration_id=record.pk).delete()
        record.oauth1_ended_at = None
        record.save(update_fields=["oauth1_ended_at"])
        events.record(EventCode.UPGRADE_ABANDONED, integration_id=record.pk, user=administrator)
    return True


def recognize_by_either_oauth(provider: str, uid: str, integration_id: str) -> None:
    """Let the identity *uid* be one of *provider*, which is the name of the backend that it logs in with now.

    Call it in the transaction of the login. Two first logins by both versions at once wait for each other, so that they
    make one account.
    """
    if _take_over(provider, uid):
        return
    record = integrations.lock(integration_id)
    if record is not None and record.oauth_versions.is_upgrade_begun:
        _take_over(provider, uid)


def _take_over(provider: str, uid: str) -> bool:
    """Return whether there is an identity *uid*."""
    rows = Storage.user.objects.select_for_update().filter(provider__in=BACKENDS, uid=uid)
    known = {row.provider: row for row in rows}
    if known and provider not in known:
        (row,) = known.values()
        row.provider = provider
        row.save(update_fields=["provider"])
    return bool(known)
