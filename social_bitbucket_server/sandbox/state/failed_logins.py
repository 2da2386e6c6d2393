"""The wrong passwords that people gave, and the CAPTCHA that follows from too many."""

from __future__ import annotations

import threading

from .bounded import BoundedDict

FAILURES_BEFORE_CAPTCHA = 5
"""Wrong passwords after which a person must solve a CAPTCHA in a browser."""

_REMEMBERED = 10_000


class FailedLogins:
    """Counts the wrong passwords of each user name since the last login in a browser."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: BoundedDict[str, int] = BoundedDict(_REMEMBERED)

    def add(self, name: str) -> None:
        """Count one more."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + 1

    def forget(self, name: str) -> None:
        """Reset the count, after a login in a browser."""
        with self._lock:
            self._counts.pop(name, None)

    def are_too_many(self, name: str) -> bool:
        """Return whether the person must solve a CAPTCHA."""
        with self._lock:
            return self._counts.get(name, 0) >= FAILURES_BEFORE_CAPTCHA
