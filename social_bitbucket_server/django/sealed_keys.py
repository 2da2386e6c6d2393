"""Private keys, and those of client certificates, sealed with the key ring of the settings."""

from __future__ import annotations

from functools import lru_cache

from ..crypto import KeyRing
from ..organizations import SealedKeys
from . import configuration


def current() -> SealedKeys:
    """Return the keys that the configured ring seals and opens.

    Call it for each use. The setting is read each time, so a ring that was taken away opens nothing that it opened
    before. Raises ``setting_missing`` and ``key_ring_invalid``.
    """
    return _sealed_with(configuration.key_ring())


@lru_cache(maxsize=4)
def _sealed_with(ring: KeyRing) -> SealedKeys:
    return SealedKeys(ring)
