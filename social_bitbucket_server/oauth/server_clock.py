"""Servers' clocks, by what their refusals tell, so that requests carry each server's own time."""

from __future__ import annotations

import logging
import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

from ..integration import AnyIntegration
from ..problems import BitbucketServerError, Code
from ..transport import Answer, Clocks
from .answers import oauth_problem

LARGEST_CORRECTION = 24 * 60 * 60
"""Seconds. A clock that is further off is a problem to be mended."""

_LOG = logging.getLogger(__name__)
_NEGLIGIBLE = 30
_ACCEPTABLE = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")


class ServerClock:
    """The clock of *integration*'s server. What its refusals tell is kept in *clocks*."""

    def __init__(self, clocks: Clocks, integration: AnyIntegration) -> None:
        self._clocks = clocks
        self._server_url = integration.server.url
        self._key = integration.id, integration.server.url.origin

    @property
    def difference(self) -> int:
        """The seconds by which the clock is ahead of this machine's: negative if it is behind, 0 if the server never
        complained."""
        return self._clocks.difference(*self._key)

    def timestamp(self) -> int:
        """Return the server's time, in seconds since 1970."""
        return int(time.time()) + self.difference

    def learn(self, refusal: Answer) -> bool:
        """Learn from a *refusal* what time it is for the server. Return whether it is worth trying again.

        Raises ``clock_too_far_off``.
        """
        told = server_time(refusal)
        if told is None:
            return False
        seconds = told - int(time.time())
        facts = {"clock_difference": f"{seconds:+d} s"}
        if abs(seconds) > LARGEST_CORRECTION:
            self.forget()
            raise BitbucketServerError(Code.CLOCK_TOO_FAR_OFF, parameter="clock", facts=facts)
        if abs(seconds) <= _NEGLIGIBLE:
            was_corrected = self.difference != 0
            self.forget()
            return was_corrected
        _LOG.warning(
            "the clock of %s is %+d s off; its requests are signed with its own time", self._server_url, seconds
        )
        self._clocks.learn(*self._key, seconds)
        return True

    def forget(self) -> None:
        """Forget the difference, and trust the server's clock again."""
        self._clocks.forget(*self._key)


def server_time(answer: Answer) -> int | None:
    """Return the time by the clock of the server that gave *answer*, in seconds since 1970, or ``None`` if it did not
    tell.

    A refusal names the range of accepted timestamps, with the server's time in the middle. Every answer should have a
    ``Date``.
    """
    acceptable = _ACCEPTABLE.fullmatch(oauth_problem(answer).get("oauth_acceptable_timestamps", ""))
    if acceptable:
        return (int(acceptable[1]) + int(acceptable[2])) // 2
    try:
        date = parsedate_to_datetime(answer.headers.get("Date", ""))
        return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None


def is_refusal(answer: Answer) -> bool:
    """Return whether *answer* refuses a request for its timestamp."""
    return answer.status in {400, 401} and oauth_problem(answer).get("oauth_problem") == "timestamp_refused"
