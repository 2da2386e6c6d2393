"""A pause in the requests to a server that fails."""

from __future__ import annotations

import threading
import time

from ..problems import BitbucketServerError, Code

SECONDS_OPEN = 5.0
"""How long a server is left alone before one request may try again."""

_FAILURES_UNTIL_OPEN = 3


class Breaker:
    """Leaves a server alone for a moment after a few failures in a row, so that it does not occupy every thread.

    It belongs to one route, and so to one integration. Slow answers are the business of :mod:`.bulkhead`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._next_try = 0.0

    def check(self) -> None:
        """Let one request try again after the moment. Raises ``server_overloaded`` while the server is left alone."""
        with self._lock:
            if self._failures < _FAILURES_UNTIL_OPEN:
                return
            if time.monotonic() < self._next_try:
                raise BitbucketServerError(Code.SERVER_OVERLOADED)
            self._next_try = time.monotonic() + SECONDS_OPEN

    def count(self, failed: bool) -> None:
        """Note how a request ended."""
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            self._next_try = time.monotonic() + SECONDS_OPEN
