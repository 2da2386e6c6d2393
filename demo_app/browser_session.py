"""Who is logged in in a browser. Flask's signed cookie says it, and each request asks whether it still counts.

The cookie holds the person's ``session_key``: a new key ends their sessions in every browser. It names the integration
that they came through, in the revision of that moment. A log-out uses up the login, so that copies of the cookie end
with it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import flask_login
from flask import session

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.organizations import EventCode

from . import audit, clock, database, pruning
from .models import IntegrationRecord, SocialStorage, User, new_session_key

IDLE_LIMIT = timedelta(minutes=60)
ABSOLUTE_LIMIT = timedelta(hours=12)
_MINUTE = timedelta(minutes=1)
_LOGIN = "login"
_ENDED = "demo_app.ended_logins"
"""Scope of the nonces that name logins which were ended by a log-out."""


@dataclass(frozen=True)
class Login:
    """A login that this browser's session began with.

    *integration_id* is ``None`` for a login by password. *revision* is the integration's ``session_revision`` of then.
    """

    integration_id: str | None
    revision: str


def log_in(user: User, identity: Any = None) -> None:
    """Make this browser *user*'s, whoever was logged in before. The new session keeps the logins that are under way in
    other tabs, and nothing else. *identity* is ``None`` for a login by password.

    Commits what the login wrote before, so that no cookie names a person whom the database does not know. Integration,
    person, identity: code that changes several of them does so in this order, so that of two changes at once one waits
    for the other.
    """
    now = clock.now()
    record: IntegrationRecord | None = identity.integration if identity is not None else None
    began = {
        "id": secrets.token_urlsafe(16),
        "began": int(now.timestamp()),
        "seen": int(now.timestamp()),
        "integration": record.id if record is not None else None,
        "revision": record.session_revision if record is not None else "",
    }
    user.last_login_at = now
    database.session.commit()
    _use_up(session.get(_LOGIN))
    bitbucket.log_in(None, user, identity)  # type: ignore[arg-type]  # it needs no backend
    session[_LOGIN] = began
    pruning.forget_once_a_minute()


def log_out() -> None:
    """End this browser's session, and every copy of its cookie."""
    user = flask_login.current_user
    if user.is_authenticated:
        audit.record(EventCode.SESSION_REVOKED, user_id=user.id, org_id=user.organization_id)
    _use_up(session.get(_LOGIN))
    flask_login.logout_user()
    session.clear()


def login() -> Login | None:
    """Return the login that this browser's session began with, or ``None`` if there is none or it is over."""
    kept = session.get(_LOGIN)
    if kept is None:
        return None
    now = int(clock.now().timestamp())
    is_idle = now - kept["seen"] > IDLE_LIMIT.total_seconds()
    if is_idle or now - kept["began"] > ABSOLUTE_LIMIT.total_seconds() or _is_used_up(kept):
        return None
    if now - kept["seen"] > _MINUTE.total_seconds():
        session[_LOGIN] = {**kept, "seen": now}
    return Login(kept["integration"], kept["revision"])


def integration_id() -> str | None:
    """Return the id of the integration that the login of this browser's session went through, or ``None``."""
    kept = session.get(_LOGIN)
    return kept["integration"] if kept is not None else None


def end_all_of(user: User) -> None:
    """End the sessions of *user* in all browsers. The caller commits."""
    user.session_key = new_session_key()
    user.sessions_ended_at = clock.now()
    audit.record(EventCode.SESSION_REVOKED, user_id=user.id, org_id=user.organization_id)


def end_all_but_this(user: User) -> None:
    """End the sessions of *user*, whose browser this is, in all other browsers. The caller commits."""
    end_all_of(user)
    session["_user_id"] = user.get_id()  # where Flask-Login keeps it


def open_since() -> datetime:
    """Return the earliest moment at which a session that is still open can have begun."""
    return clock.now() - ABSOLUTE_LIMIT


def _use_up(kept: dict[str, Any] | None) -> None:
    """Let no session that began with this login go on. Commits."""
    if kept is not None:
        nonces: Any = SocialStorage.nonce
        nonces.use(_ENDED, kept["began"] + int(ABSOLUTE_LIMIT.total_seconds()), kept["id"])


def _is_used_up(kept: dict[str, Any]) -> bool:
    nonces: Any = SocialStorage.nonce
    return nonces.get(_ENDED, kept["id"]) is not None
