"""The differences between servers' clocks and this machine's."""

from __future__ import annotations

import threading
from collections import OrderedDict


class Clocks:
    """The clocks that are known to be wrong, each by the *owner* of the route and the *origin* of the server.

    *most*: how many are kept. Those that were learned first are forgotten first.
    """

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._changing = threading.Lock()
        self._differences: OrderedDict[tuple[str, str], int] = OrderedDict()

    def difference(self, owner: str, origin: str) -> int:
        """Return the seconds by which the clock is ahead of this machine's: negative if it is behind, 0 if unknown."""
        return self._differences.get((owner, origin), 0)

    def learn(self, owner: str, origin: str, seconds: int) -> None:
        """Remember that the clock is ahead by so many *seconds*."""
        with self._changing:
            self._differences[owner, origin] = seconds
            self._differences.move_to_end((owner, origin))
            if len(self._differences) > self._most:
                self._differences.popitem(last=False)

    def forget(self, owner: str, origin: str) -> None:
        """Forget the difference, and trust the clock again."""
        with self._changing:
            self._differences.pop((owner, origin), None)
