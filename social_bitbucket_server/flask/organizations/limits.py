"""Rate limits are the application's own. It is told what somebody is about to do, and raises what refuses it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from enum import StrEnum

from flask import g, request

from ...organizations import visitor_at
from .current import extension

_SECONDS = 60
_MOST = 10_000


class Limited(StrEnum):
    """Subjects of limits. Each is counted for a key: an integration's id, or an organization's primary key."""

    LOGINS = "logins"
    """Logins that are begun with one integration; count them for each visitor."""
    CALLBACKS = "callbacks"
    """Logins that come back to one integration; count them for each visitor. Allow more than logins that are begun."""
    ADMIN_REQUESTS = "admin_requests"
    """Forms that the admins of one organization send, whatever they are for."""
    TESTS = "tests"
    """Tests of one integration's connection; count them for each visitor."""
    SETUP_LINKS = "setup_links"
    """Set-up links that a visitor opens, whether there are any or not. The key is empty."""
    SETUP_LINKS_MADE = "setup_links_made"
    """Set-up links that are made for one integration."""
    SETUP_TESTS = "setup_tests"
    """Tests of one integration's connection by whoever has its set-up link."""
    KEY_PAIRS = "key_pairs"
    """Key pairs that one organization has made; making one takes a second of the processor."""


def count(what: Limited, key: object = "") -> None:
    """Tell the application, before *what* is done for *key*. Raises what the application raises to refuse it.

    ``g.bitbucket_limited`` says, for the event of a refusal, which limit it was.
    """
    g.bitbucket_limited = what.value
    extension().limit(what, str(key))
    del g.bitbucket_limited


def visitor() -> str:
    """Return what requests are counted by: the browser's IPv4 address, or the network of its IPv6 address."""
    return visitor_at(request.remote_addr or "")


class News:
    """Notices what happens for the first time in a minute in this process. So a flood does not fill the events."""

    def __init__(self) -> None:
        self._noted: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def is_new(self, *what: str) -> bool:
        """Return whether *what* happens for the first time in a minute."""
        now = time.monotonic()
        with self._one_at_a_time:
            if now - self._noted.get(what, -_SECONDS) < _SECONDS:
                return False
            self._noted[what] = now
            self._noted.move_to_end(what)
            while len(self._noted) > _MOST:
                self._noted.popitem(last=False)
            return True
