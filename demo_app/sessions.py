"""Server-side sessions: the cookie holds a random identifier, the database everything else.

Logging out ends a session for every copy of its cookie, and disabling a person or an integration ends theirs. Who
merely looks at pages leaves nothing in the database: while there is nothing to remember but the token of their forms,
the cookie holds that itself, signed.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import flask
from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import ColumnElement, delete, update
from sqlalchemy.exc import IntegrityError
from werkzeug.datastructures import CallbackDict

from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.login import LIFETIME, under_way

from . import audit, clock, database
from .models import IntegrationRecord, KeyPair, LoginSession, OAuth, Organization, SocialStorage, User

IDLE_LIMIT = timedelta(minutes=60)
ABSOLUTE_LIMIT = timedelta(hours=12)
_MINUTE = timedelta(minutes=1)
_SECONDS_TO_REMEMBER_LOGINS = 3600  # those that were begun and never finished
_FORM_TOKEN = "csrf_token"  # noqa: S105  # flask_wtf's name for it
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{43}")


class BrowserSession(CallbackDict[str, Any], SessionMixin):
    """One browser's session: JSON values, and besides them who is logged in, where, and through what.

    *identifier* is the cookie's value. *stored* says whether the database knows it, and *is_in_browser* whether the
    browser does.
    """

    def __init__(self, identifier: str, initial: Mapping[str, Any] | None = None, *, stored: bool) -> None:
        def note_the_change(changed: BrowserSession) -> None:
            changed.modified = True

        super().__init__(initial, note_the_change)
        self.identifier = identifier
        self.stored = self.is_in_browser = stored
        self.new = not stored
        self.modified = False
        self.user_id: int | None = None
        self.organization_id: int | None = None
        self.integration_id: str | None = None

    @classmethod
    def begin(cls, form_token: str = "") -> BrowserSession:
        """A session that the database does not know, with the *form_token* of pages that are open already."""
        return cls(_new_identifier(), {_FORM_TOKEN: form_token} if form_token else None, stored=False)

    @property
    def is_to_be_stored(self) -> bool:
        """Whether there is more to remember than the token of forms."""
        return self.user_id is not None or not self.keys() <= {_FORM_TOKEN}


class DatabaseSessions(SessionInterface):
    """Keeps Flask's sessions in the table ``login_sessions``. *secure*: whether browsers come through TLS."""

    def __init__(self, secret_key: str, *, secure: bool) -> None:
        self._form_tokens = URLSafeSerializer(secret_key, salt="demo_app.sessions")
        self._forgot_at = datetime.min.replace(tzinfo=UTC)
        self.secure = secure
        self.cookie_name = "__Host-demo_session" if secure else "demo_session"

    def open_session(self, _app: Flask, request: Request) -> BrowserSession:
        """The session of the browser's cookie. An identifier that is unknown, revoked or too old is never adopted."""
        identifier = Secret(request.cookies.get(self.cookie_name, ""))
        row = _live_row(identifier)
        if row is None:
            return BrowserSession.begin(self._form_token(identifier))
        opened = BrowserSession(identifier, json.loads(row.data), stored=True)
        opened.user_id, opened.organization_id, opened.integration_id = (
            row.user_id,
            row.organization_id,
            row.integration_id,
        )
        now = clock.now()
        if now - row.last_seen_at > _MINUTE:
            row.last_seen_at = now
            database.session.commit()
        return opened

    def save_session(self, _app: Flask, session: SessionMixin, response: Response) -> None:
        """Keep what changed. What a view left uncommitted in the database is not kept."""
        database.session.rollback()
        opened = cast("BrowserSession", session)
        if not opened.modified:
            return
        now = clock.now()
        if not opened.stored and not opened.is_to_be_stored:
            if opened:
                signed = self._form_tokens.dumps([opened[_FORM_TOKEN], int(now.timestamp())])
                self._set_cookie(response, Secret(signed))
            return
        if opened.stored:
            database.session.execute(
                update(LoginSession)
                .where(LoginSession.id_sha256 == _digest(opened.identifier), LoginSession.revoked_at.is_(None))
                .values(data=json.dumps(dict(opened)))
                .execution_options(synchronize_session=False)
            )
        else:
            self.forget_what_is_over(now)
            database.session.add(_row(opened, now, data=json.dumps(dict(opened))))
        try:
            database.session.commit()
        except IntegrityError:  # the person was deleted meanwhile
            database.session.rollback()
            return
        if not opened.is_in_browser:
            self._set_cookie(response, opened.identifier)

    def regenerate(self, session: SessionMixin) -> None:
        """Give the session a new identifier and end the old one; its values stay."""
        _renew(cast("BrowserSession", session))
        database.session.commit()

    def _form_token(self, cookie: str) -> str:
        """The token of forms in a signed *cookie*, for as long as any session lives; else empty."""
        try:
            token, signed_at = self._form_tokens.loads(cookie)
        except BadSignature:
            return ""
        is_over = clock.now().timestamp() - signed_at > ABSOLUTE_LIMIT.total_seconds()
        return "" if is_over else str(token)

    def _set_cookie(self, response: Response, value: str) -> None:
        response.set_cookie(self.cookie_name, value, path="/", secure=self.secure, httponly=True, samesite="Lax")

    def forget_what_is_over(self, now: datetime) -> None:
        """Delete the sessions that nobody can use any more, and what is left of logins that were never finished; once
        a minute in each process, so that logins need not wait for it. The caller commits."""
        if now - self._forgot_at < _MINUTE:
            return
        self._forgot_at = now
        _forget(now)


def log_in(user: User, identity: Any = None) -> None:
    """Make this browser *user*'s, with a renewed session. Of the one before it holds the logins that are under way in
    other tabs, and nothing else. It ends with the integration of the *identity* with which they logged in, where it was
    not by password.

    The session is committed together with what the login wrote before. Integration, person, identity, session: whoever
    changes several of them does so in this order, so that of two at once one waits for the other.
    """
    session, now = _this_session(), clock.now()
    whose = (user.id, user.organization_id, identity.integration_id if identity is not None else None)
    user.last_login_at = now
    _interface().forget_what_is_over(now)
    _renew(session)
    row = _row(session, now)
    row.user_id, row.organization_id, row.integration_id = whose
    database.session.add(row)
    database.session.commit()
    kept = under_way(session, [oauth.backend for oauth in OAuth])
    session.clear()
    session.update(kept)
    session.user_id, session.organization_id, session.integration_id = whose
    session.stored = True


def log_out() -> None:
    """End this browser's session on the server and begin an empty one."""
    session = _this_session()
    _interface().regenerate(session)
    session.clear()
    session.user_id = session.organization_id = session.integration_id = None


def end_sessions_of_person(user: User) -> None:
    """End every session of *user*. The caller commits."""
    _revoke(LoginSession.user_id == user.id)


def end_sessions_of_integration(integration: IntegrationRecord) -> None:
    """End every session of people who logged in through *integration*. The caller commits."""
    _revoke(LoginSession.integration_id == integration.id)


def end_sessions_of_organization(organization: Organization) -> None:
    """End every session in *organization*. The caller commits."""
    _revoke(LoginSession.organization_id == organization.id)


def prune() -> tuple[int, int]:
    """Forget logins that were never finished, and sessions that nobody can use any more. Returns how many of each.
    Private keys that were kept for logins under way are erased when those are over."""
    forgotten = _forget(clock.now())
    database.session.commit()
    return forgotten


def end_sessions_by_other_ways(integration: IntegrationRecord) -> None:
    """End every session in *integration*'s organization that began in another way, but this browser's. The caller
    commits."""
    other_way = LoginSession.integration_id.is_(None) | (LoginSession.integration_id != integration.id)
    here = LoginSession.organization_id == integration.organization_id
    _revoke(here & other_way & (LoginSession.id_sha256 != _digest(_this_session().identifier)))


def end_sessions_of_identity(user_id: int, integration_id: str) -> int:
    """End every session of the person *user_id* that began through the integration *integration_id*; returns how many
    there were. The caller commits."""
    return _revoke((LoginSession.user_id == user_id) & (LoginSession.integration_id == integration_id))


def are_open() -> ColumnElement[bool]:
    """Return the condition for sessions that are open."""
    now = clock.now()
    return (
        LoginSession.revoked_at.is_(None)
        & (LoginSession.last_seen_at >= now - IDLE_LIMIT)
        & (LoginSession.created_at >= now - ABSOLUTE_LIMIT)
    )


def began_with(identity: Any) -> bool:
    """Return whether this browser's session began with a login through *identity*."""
    session = _this_session()
    return (session.user_id, session.integration_id) == (identity.user_id, identity.integration_id)


def end_all_but_this_browsers(user: User) -> None:
    """End every session of *user*, whose browser this is. It goes on with a renewed one, so that a copy of its cookie
    is worth nothing either. The caller commits."""
    end_sessions_of_person(user)
    _renew(_this_session())


def _this_session() -> BrowserSession:
    return cast("BrowserSession", flask.session._get_current_object())  # type: ignore[attr-defined]  # a proxy's method


def _interface() -> DatabaseSessions:
    return cast("DatabaseSessions", flask.current_app.session_interface)


def _new_identifier() -> Secret:
    return Secret(secrets.token_urlsafe(32))


def _digest(identifier: str) -> str:
    return hashlib.sha256(identifier.encode()).hexdigest()


def _live_row(identifier: str) -> LoginSession | None:
    if not _IDENTIFIER.fullmatch(identifier):
        return None
    row = database.session.get(LoginSession, _digest(identifier))
    if row is None or row.revoked_at is not None:
        return None
    now = clock.now()
    if now - row.last_seen_at > IDLE_LIMIT or now - row.created_at > ABSOLUTE_LIMIT:
        return None
    return row


def _revoke(which: ColumnElement[bool]) -> int:
    """Returns how many there were."""
    ended = database.session.execute(
        update(LoginSession)
        .where(which, LoginSession.revoked_at.is_(None))
        .values(revoked_at=clock.now(), data="{}")
        .returning(LoginSession.user_id, LoginSession.organization_id)
        .execution_options(synchronize_session=False)
    ).all()
    for user_id, organization_id in ended:
        if user_id is not None:
            audit.record("session.revoked", user_id=user_id, org_id=organization_id)
    return len(ended)


def _forget(now: datetime) -> tuple[int, int]:
    nonces: Any = SocialStorage.nonce
    logins = nonces.prune(_SECONDS_TO_REMEMBER_LOGINS)
    over: Any = database.session.execute(delete(LoginSession).where(LoginSession.last_seen_at < now - IDLE_LIMIT))
    finished = KeyPair.replaced_at < now - timedelta(seconds=LIFETIME)
    database.session.execute(
        update(KeyPair).where(finished, KeyPair.sealed_private_key.is_not(None)).values(sealed_private_key=None)
    )
    return logins, over.rowcount


def _renew(session: BrowserSession) -> None:
    """The caller commits."""
    if session.stored:
        _revoke(LoginSession.id_sha256 == _digest(session.identifier))
    session.identifier = _new_identifier()
    session.stored = session.is_in_browser = False
    session.modified = True


def _row(session: BrowserSession, now: datetime, *, data: str = "{}") -> LoginSession:
    return LoginSession(
        id_sha256=_digest(session.identifier),
        data=data,
        user_id=session.user_id,
        organization_id=session.organization_id,
        integration_id=session.integration_id,
        created_at=now,
        last_seen_at=now,
    )
