"""Who is logged in in a browser. Flask's session says it, and each request asks whether it still counts.

The session names the identity that the person came through, in the revision of that moment: disabling the person, the
integration or the organization ends it. A log-out uses up the login, so that copies of the cookie end with it.
"""

from __future__ import annotations

import secrets
from typing import Any

import flask_login
from flask import request, session

from ...account import roles_of
from ...integration import BACKENDS
from ...login import revoke_at_logout, under_way
from ...organizations import EventCode
from ...sqlalchemy.organizations import clock
from .. import logins
from . import recording
from .current import extension, store
from .current import session as database

_LOGIN = "bitbucket_login"
_OPEN_FORMS = "csrf_token"
_ENDED = "social_bitbucket_server.ended_logins"
"""Scope of the nonces that name logins which were ended by a log-out."""
_SECONDS_BETWEEN_NOTES = 60  # so that not every answer sets the cookie


def log_in(user: Any, identity: Any = None) -> None:
    """Make this browser *user*'s, whoever was logged in before. *identity* is that of a login with Bitbucket; ``None``
    for the application's own ways to log in, such as an admin's password.

    The new session keeps the logins that are under way in other tabs, and nothing else. Commits what the login wrote
    before, so that no cookie names a person whom the database does not know.
    """
    now = int(clock.now().timestamp())
    began = {
        "id": secrets.token_urlsafe(16),
        "began": now,
        "seen": now,
        "identity": identity.id if identity is not None else None,
        "revision": identity.session_revision if identity is not None else "",
    }
    database.commit()
    _use_up(session.get(_LOGIN))
    logins.log_in(None, user, identity)  # type: ignore[arg-type]  # it needs no backend
    session[_LOGIN] = began
    if extension().news.is_new("forget"):  # once a minute, so that logins need not wait for it
        store.pruning.forget()


def log_out() -> None:
    """End this browser's session, and every copy of its cookie."""
    user = flask_login.current_user
    if user.is_authenticated:
        recording.record(EventCode.SESSION_REVOKED, user_id=store.key_of(user._get_current_object()))
        revoke_at_logout(user._get_current_object(), store.models.storage, logins.backend_of)
    _use_up(session.get(_LOGIN))
    session.clear()
    flask_login.logout_user()  # afterwards: it notes in the session that a cookie which remembers the person goes, too


def end_if_over() -> None:
    """End this browser's session if its login does not count any more. It is asked before each request."""
    kept = session.get(_LOGIN)
    if kept is None or request.endpoint is None or request.endpoint.rpartition(".")[2] == "static":
        return
    now = int(clock.now().timestamp())
    if _is_over(kept, now):
        going_on = under_way(session, BACKENDS)  # logins in other tabs
        if _OPEN_FORMS in session:  # they still get an answer
            going_on[_OPEN_FORMS] = session[_OPEN_FORMS]
        session.clear()
        session.update(going_on)
        flask_login.logout_user()  # afterwards, as above
    elif now - kept["seen"] > _SECONDS_BETWEEN_NOTES:
        session[_LOGIN] = {**kept, "seen": now}


def identity_id() -> int | None:
    """Return the id of the identity that this browser's login came through; ``None`` if it came through none."""
    kept = session.get(_LOGIN)
    return kept["identity"] if kept is not None else None


def current_roles(organization: Any) -> frozenset[str]:
    """Return the names of the roles that the person who is logged in has in *organization*, by the Bitbucket account
    that they came in with. They are those of its last login or recheck. People who came in another way have none."""
    number, user = identity_id(), flask_login.current_user
    identity = store.identities.find(user, number) if number is not None and user.is_authenticated else None
    if identity is None or identity.integration.organization_id != store.key_of(organization):
        return frozenset()
    return roles_of(identity)


def go_on_with(identity: Any) -> None:
    """Let this browser's session go on, though the sessions that began with *identity* were just ended."""
    session[_LOGIN] = {**session[_LOGIN], "revision": identity.session_revision}


def _is_over(kept: dict[str, Any], now: int) -> bool:
    application, nonce = extension(), store.models.storage.nonce
    if now - kept["seen"] > application.longest_pause.total_seconds():
        return True
    if now - kept["began"] > application.longest_login.total_seconds() or nonce.get(_ENDED, kept["id"]) is not None:
        return True
    return kept["identity"] is not None and store.identities.of_session(kept["identity"], kept["revision"]) is None


def _use_up(kept: dict[str, Any] | None) -> None:
    """Let no session that began with this login go on. Commits."""
    if kept is not None:
        over = kept["began"] + int(extension().longest_login.total_seconds())
        store.models.storage.nonce.use(_ENDED, over, kept["id"])
