"""How often something may be done: counted in this process, or in Redis where several processes serve."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

from social_bitbucket_server.flask.organizations import visitor
from social_bitbucket_server.organizations import Limited

from .config import Settings
from .instance_files import UnsafeSettingError

LOGINS = "logins"
"""Logins that are begun, from one address with one integration."""
CALLBACKS = "callbacks"
"""Logins that come back, from one address to one integration."""
OWNER_PASSWORDS = "owner_passwords"
"""Attempts at the password of one organization's owner, from one address."""
OWNER_REQUESTS = "admin_requests"
"""Forms that the owner of one organization sends, whatever they are for."""
TESTS = "tests"
"""Tests of one integration's connection, from one address."""
SETUP_LINKS = "setup_links"
"""Set-up links that are opened from one address, whether there are any or not."""
SETUP_LINKS_MADE = "setup_links_made"
"""Set-up links that are made for one integration."""
SETUP_TESTS = "setup_tests"
"""Tests of one integration's connection by whoever has its set-up link."""
KEY_PAIRS = "key_pairs"
"""Key pairs that one organization has made; making one takes a second of the processor."""
ORGANIZATIONS = "organizations"
"""Organizations that are created from one address."""

_WORDS = {
    LOGINS: "Too many logins were begun from your network.",
    CALLBACKS: "Too many logins came back from your network.",
    OWNER_PASSWORDS: "The owner's password was tried too often from your network.",
    OWNER_REQUESTS: "Your organization's settings were changed too often.",
    TESTS: "The connection was tested too often from your network.",
    SETUP_LINKS: "Too many set-up links were opened from your network.",
    SETUP_LINKS_MADE: "Too many set-up links were made for this integration.",
    SETUP_TESTS: "The connection was tested too often with this set-up link.",
    KEY_PAIRS: "Your organization made too many key pairs within an hour.",
    ORGANIZATIONS: "Too many organizations were created from your network.",
}
_OF_A_VISITOR = {Limited.LOGINS, Limited.CALLBACKS, Limited.TESTS, Limited.SETUP_LINKS}
_LOG = logging.getLogger(__name__)


class TooOftenError(TooManyRequests):
    """There was too much of *what*, and somebody has to wait for *seconds*."""

    def __init__(self, what: str, seconds: int) -> None:
        super().__init__(_WORDS[what], retry_after=seconds)


class _OwnMemory(MemoryStorage):
    """Counts in this process. Of two threads that come at once, the library's own lets one start the other's timer a
    second time, which fails."""

    STORAGE_SCHEME = None  # type: ignore[assignment]  # no address leads here

    def __init__(self) -> None:
        super().__init__()
        self._one_at_a_time = threading.Lock()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count, if it is not too often."""
        with self._one_at_a_time:
            return super().acquire_entry(key, limit, expiry, amount)


@dataclass(frozen=True)
class _Limits:
    items: dict[str, RateLimitItem]
    counter: MovingWindowRateLimiter
    own_counter: MovingWindowRateLimiter
    """Counts in this process while the configured storage does not answer."""

    def hit(self, item: RateLimitItem, *whose: str) -> int:
        """Count once more. Returns the seconds to wait where that is too often, else 0."""
        try:
            return _hit(self.counter, item, *whose)
        except StorageError as error:
            _LOG.warning("RATE_LIMIT_STORAGE does not answer (%s); counting in this process.", type(error).__name__)
            return _hit(self.own_counter, item, *whose)


def set_up(app: Flask, settings: Settings) -> None:
    """Raises UnsafeSettingError where the storage cannot be used."""
    try:
        storage = _storage(settings.rate_limit_storage)
    except ConfigurationError as error:
        raise UnsafeSettingError(
            "RATE_LIMIT_STORAGE must be memory:// or the address of a Redis, whose Python package is installed."
        ) from error
    app.extensions["rate_limits"] = _Limits(
        items={
            LOGINS: RateLimitItemPerMinute(settings.logins_per_minute, namespace=LOGINS),
            CALLBACKS: RateLimitItemPerMinute(6 * settings.logins_per_minute, namespace=CALLBACKS),
            OWNER_PASSWORDS: RateLimitItemPerMinute(10, 15, namespace=OWNER_PASSWORDS),
            OWNER_REQUESTS: RateLimitItemPerMinute(60, namespace=OWNER_REQUESTS),
            TESTS: RateLimitItemPerMinute(10, namespace=TESTS),
            SETUP_LINKS: RateLimitItemPerMinute(30, namespace=SETUP_LINKS),
            SETUP_LINKS_MADE: RateLimitItemPerHour(20, namespace=SETUP_LINKS_MADE),
            SETUP_TESTS: RateLimitItemPerMinute(10, 5, namespace=SETUP_TESTS),
            KEY_PAIRS: RateLimitItemPerHour(10, namespace=KEY_PAIRS),
            ORGANIZATIONS: RateLimitItemPerHour(10, namespace=ORGANIZATIONS),
        },
        counter=MovingWindowRateLimiter(storage),
        own_counter=MovingWindowRateLimiter(_OwnMemory()),
    )


def limit(what: Limited, key: str) -> None:
    """Refuse what the library's pages do too often. Raises TooOftenError."""
    count(what.value, *((visitor(),) if what in _OF_A_VISITOR else ()), key)


def count(what: str, *whose: str) -> None:
    """Count *what* for *whose*, before it is done. Raises TooOftenError."""
    limits: _Limits = current_app.extensions["rate_limits"]
    seconds = limits.hit(limits.items[what], *whose)
    if seconds:
        raise TooOftenError(what, seconds)


def _storage(address: str) -> Storage:
    return _OwnMemory() if address == "memory://" else cast(Storage, storage_from_string(address, wrap_exceptions=True))


def _hit(counter: MovingWindowRateLimiter, item: RateLimitItem, *whose: str) -> int:
    if counter.hit(item, *whose):
        return 0
    return max(1, math.ceil(counter.get_window_stats(item, *whose).reset_time - time.time()))
