"""What is over and may be forgotten: logins, and private keys that were kept for logins under way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import update

from social_bitbucket_server.login import LIFETIME

from . import clock, database
from .models import KeyPair, SocialStorage

_SECONDS_TO_REMEMBER_LOGINS = 3600  # those that were begun and never finished
_MINUTE = timedelta(minutes=1)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def forget_once_a_minute() -> None:
    """Forget what is over, once a minute in each process, so that logins need not wait for it."""
    now = clock.now()
    if now - current_app.extensions.get("forgot_at", _LONG_AGO) >= _MINUTE:
        current_app.extensions["forgot_at"] = now
        forget()


def forget() -> int:
    """Delete what is left of logins that were never finished, or were ended by a log-out twelve hours ago. Erase the
    private keys that were kept for logins which are over. Returns how many logins there were. Commits."""
    nonces: Any = SocialStorage.nonce
    logins: int = nonces.prune(_SECONDS_TO_REMEMBER_LOGINS)
    finished = KeyPair.replaced_at < clock.now() - timedelta(seconds=LIFETIME)
    database.session.execute(
        update(KeyPair).where(finished, KeyPair.sealed_private_key.is_not(None)).values(sealed_private_key=None)
    )
    database.session.commit()
    return logins
