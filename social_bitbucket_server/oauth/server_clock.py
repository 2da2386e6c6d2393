"""Servers' clocks: how far each is from this machine's, as its refusals told, so that requests carry its own time."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ..problems import BitbucketServerError
from ..transport import hold_while_forking
from .answers import oauth_problem

if TYPE_CHECKING:
    from ..integration import ServerURL
    from ..transport import Answer

LARGEST_CORRECTION = 24 * 60 * 60
"""Seconds. A clock that is further off is a problem to be mended."""

_LOG = logging.getLogger(__name__)
_MOST_SERVERS = 1024
_NEGLIGIBLE = 30
_ACCEPTABLE = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")

_changing = threading.Lock()
hold_while_forking(_changing)
_differences: OrderedDict[ServerURL, int] = OrderedDict()


def difference(server_url: ServerURL) -> int:
    """Seconds by which the server's clock is ahead of this machine's, negative where it is behind; 0 where the server
    never complained."""
    return _differences.get(server_url, 0)


def timestamp(server_url: ServerURL) -> int:
    """The server's time, in seconds since 1970."""
    return int(time.time()) + difference(server_url)


def learn(server_url: ServerURL, refusal: Answer) -> bool:
    """Learn from a *refusal* what time it is for the server. Returns whether it is worth trying again.

    Raises ``clock_too_far_off``.
    """
    told = server_time(refusal)
    if told is None:
        return False
    seconds = told - int(time.time())
    facts = {"clock_difference": f"{seconds:+d} s"}
    if abs(seconds) > LARGEST_CORRECTION:
        forget(server_url)
        raise BitbucketServerError("clock_too_far_off", parameter="clock", facts=facts)
    if abs(seconds) <= _NEGLIGIBLE:
        was_corrected = difference(server_url) != 0
        forget(server_url)
        return was_corrected
    _LOG.warning("the clock of %s is %+d s off; its requests are signed with its own time", server_url, seconds)
    with _changing:
        _differences[server_url] = seconds
        _differences.move_to_end(server_url)
        if len(_differences) > _MOST_SERVERS:
            _differences.popitem(last=False)
    return True


def forget(server_url: ServerURL | None = None) -> None:
    """Take the server's clock, or every server's, for right again."""
    with _changing:
        if server_url is None:
            _differences.clear()
        else:
            _differences.pop(server_url, None)


def server_time(answer: Answer) -> int | None:
    """The time by the clock of the server that gave *answer*, in seconds since 1970, or ``None`` where it did not tell.

    A refusal names the timestamps that are accepted, with the server's time in their middle; every answer should have
    a ``Date``.
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
    """Whether *answer* refuses a request for its timestamp."""
    return answer.status in {400, 401} and oauth_problem(answer).get("oauth_problem") == "timestamp_refused"
