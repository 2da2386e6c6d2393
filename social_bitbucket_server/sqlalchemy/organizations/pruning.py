"""Logins that are over, and private keys that were kept for logins under way: both may be forgotten."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from ...login import LIFETIME
from . import clock
from .part import Part

_SECONDS_TO_REMEMBER_LOGINS = 3600  # those that were begun and never finished


class Pruning(Part):
    """Forgets what is over."""

    def forget(self) -> int:
        """Delete what is left of logins that were never finished. Erase the private keys that were kept for logins
        which are over. Return how many logins there were."""
        pair = self._models.key_pair
        logins = self._models.storage.nonce.prune(_SECONDS_TO_REMEMBER_LOGINS)
        finished = pair.replaced_at < clock.now() - timedelta(seconds=LIFETIME)
        self._session.execute(
            update(pair).where(finished, pair.sealed_private_key.is_not(None)).values(sealed_private_key=None)
        )
        self._session.commit()
        return logins
