"""Limits on what visitors may do: the subjects that an application counts, whom it counts, and a bound for events."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from enum import StrEnum
from ipaddress import ip_address, ip_network

_SECONDS = 60
_MOST = 10_000


class Limited(StrEnum):
    """Subjects of limits. Each is counted for a key: an integration's id, or in Flask an organization's primary key."""

    LOGINS = "logins"
    """Logins that are begun with one integration; count them for each visitor."""
    CALLBACKS = "callbacks"
    """Logins that come back to one integration; count them for each visitor. Allow more than logins that are begun."""
    ADMIN_REQUESTS = "admin_requests"
    """Forms that the admins of one organization send, whatever they are for. In Flask alone."""
    TESTS = "tests"
    """Tests of one integration's connection; count them for each visitor."""
    SETUP_LINKS = "setup_links"
    """Set-up links that a visitor opens, whether there are any or not. The key is empty."""
    SETUP_LINKS_MADE = "setup_links_made"
    """Set-up links that are made for one integration."""
    SETUP_TESTS = "setup_tests"
    """Tests of one integration's connection by whoever has its set-up link."""
    KEY_PAIRS = "key_pairs"
    """Key pairs that are made for one organization, in Django for one integration; making one takes a second of the
    processor."""


def counted_address(address: str) -> str:
    """Return what requests from *address* are counted by: an IPv4 address, or the network of an IPv6 address. An IPv4
    address that a socket shows as an IPv6 address counts as IPv4, and other text as it is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, 64), strict=False))  # what one customer has, at the least


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

    def is_repeated_failure(self, *what: str, is_stranger: bool) -> bool:
        """Return whether *what* failed so often within a minute that another event says nothing new. *is_stranger*: the
        browser has no session, and may be anybody's program. One session may send any number of callbacks, too."""
        return not any(self.is_new(*what, str(turn)) for turn in range(1 if is_stranger else 10))
