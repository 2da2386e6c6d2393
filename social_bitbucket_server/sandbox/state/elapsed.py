"""The time that passes for what the sandbox remembers."""

from __future__ import annotations

import time


class Clock:
    """Tells the age of tokens.

    Moving it ahead makes tokens older. It leaves alone the wall clock that timestamps are compared with: a client
    cannot be moved along with it. For a wall clock that is wrong there is ``Faults.clock_skew``.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Return seconds since the epoch, plus everything advanced."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass at once."""
        self._ahead += seconds
