"""Which ways into an organization are open: an integration's login link, which can be closed and replaced, and one
integration that can be enforced."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from ..organizations import EventCode, LoginWays
from ..problems import BitbucketServerError, Code
from . import events, integrations
from .integrations import Administrator
from .models import AbstractIntegration

_COOKIE = "bitbucket_server_login_link"


def enforced(record: AbstractIntegration) -> AbstractIntegration | None:
    """Return the integration that is the only way into the organization of *record*, if there is one."""
    return record if record.enforced_at is not None else record.others().filter(enforced_at__isnull=False).first()


def refuse_closed(record: AbstractIntegration, *, needs_link: bool) -> None:
    """Raise ``login_link_closed`` or ``another_way_only`` if nobody may log in through *record*. People who are logged
    in already need no login link."""
    only = enforced(record)
    ways = LoginWays(
        is_closed=needs_link and record.login_closed_at is not None, enforced=only.pk if only is not None else None
    )
    closed_by = ways.closed_by(record.pk)
    if closed_by is not None:
        raise BitbucketServerError(Code(closed_by))


def came_by_link(request: HttpRequest, record: AbstractIntegration) -> bool:
    """Return whether this browser has the current login link: it opens it now, or did before."""
    ways = LoginWays(key=record.login_key)
    return any(map(ways.is_current_link, (request.GET.get("key", ""), request.COOKIES.get(_COOKIE, ""))))


def remember(response: HttpResponse, record: AbstractIntegration) -> None:
    """Let the browser go on without the key of the login link, until that is replaced again."""
    if record.login_key:
        response.set_cookie(
            _COOKIE,
            record.login_key,
            max_age=settings.SESSION_COOKIE_AGE,
            path=integrations.login_path(record),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )


def replace_link(record: AbstractIntegration, administrator: Administrator = None) -> None:
    """Make a new login link; the one before explains itself, and lets nobody in."""
    record.login_key = secrets.token_urlsafe(12)
    _change_link(record, "login_key", EventCode.LOGIN_LINK_REPLACED, administrator)


def close_link(record: AbstractIntegration, administrator: Administrator = None) -> None:
    """Let nobody log in through *record*. People who are logged in stay logged in."""
    record.login_closed_at = record.login_closed_at or timezone.now()
    _change_link(record, "login_closed_at", EventCode.LOGIN_LINK_CLOSED, administrator)


def open_link(record: AbstractIntegration, administrator: Administrator = None) -> None:
    """Let people log in again."""
    record.login_closed_at = None
    _change_link(record, "login_closed_at", EventCode.LOGIN_LINK_OPENED, administrator)


def _change_link(record: AbstractIntegration, field: str, what: EventCode, administrator: Administrator) -> None:
    """Keep the *field*, and end the logins under way."""
    with integrations.all_or_nothing():
        record.save(update_fields=[field])
        integrations.end_logins(record, sessions=False)
        events.record(what, integration_id=record.pk, user=administrator)


def may_be_enforced(record: AbstractIntegration) -> bool:
    """Return whether *record* works for people, so that nobody is locked out of the organization by mistake."""
    return record.enabled and record.last_login_at is not None


def enforce(record: AbstractIntegration, administrator: Administrator = None) -> None:
    """Make *record* the only way into its organization, and end the sessions of everybody who came by another
    integration of it."""
    with integrations.all_or_nothing():
        for other in _locked(record):
            if other.pk == record.pk:
                continue
            other.enforced_at = None
            other.save(update_fields=["enforced_at"])
            integrations.end_logins(other, sessions=True)
        record.enforced_at = timezone.now()
        record.save(update_fields=["enforced_at"])
        events.record(EventCode.INTEGRATION_ENFORCED, integration_id=record.pk, user=administrator)


def lift(record: AbstractIntegration, administrator: Administrator = None) -> None:
    """Open all ways into the organization of *record* again."""
    with integrations.all_or_nothing():
        for each in _locked(record):
            if each.enforced_at is not None:
                each.enforced_at = None
                each.save(update_fields=["enforced_at"])
                events.record(EventCode.INTEGRATION_NOT_ENFORCED, integration_id=each.pk, user=administrator)
    record.refresh_from_db(fields=["enforced_at"])


def _locked(record: AbstractIntegration) -> list[AbstractIntegration]:
    """Return all integrations of the organization of *record*, which nobody else changes until the transaction ends.
    They are locked in one order, so that of two changes at once one waits for the other."""
    ids = [record.pk, *record.others().values_list("pk", flat=True)]
    return list(type(record)._base_manager.select_for_update().filter(pk__in=ids).order_by("pk"))
