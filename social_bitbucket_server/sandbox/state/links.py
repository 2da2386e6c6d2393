"""Application links, and the consumers that log in through them."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, replace
from urllib.parse import urlsplit


class LinkRefusedError(ValueError):
    """A link or consumer that the server does not take; the text says why."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """The contents of the *Incoming Authentication* form, in the order of the form.

    *public_key* is kept as it was typed. Calls fail with HTTP 500 if it cannot be read.
    *three_legged_allowed* has no field in the form. With false, the server does not let people log in this way.
    """

    key: str
    name: str
    public_key: str
    description: str = ""
    callback_url: str = ""
    two_legged_allowed: bool = False
    execute_as: str = ""
    impersonation_allowed: bool = False
    three_legged_allowed: bool = True


@dataclass(frozen=True, slots=True)
class Link:
    """One application link. *consumer* is missing until the incoming authentication was filled in."""

    id: str
    name: str
    application_url: str
    consumer: Consumer | None = None


class Links:
    """Every application link."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_id: dict[str, Link] = {}

    def add(self, name: str, application_url: str, consumer: Consumer | None = None) -> Link:
        """Make a link. Raises :class:`LinkRefusedError` if the address or the consumer key is taken or unusable."""
        with self._lock:
            self.check(name, application_url)
            if consumer is not None:
                self._check_consumer(None, consumer)
            link = Link(str(uuid.uuid4()), name, application_url, consumer)
            self._by_id[link.id] = link
            return link

    def check(self, name: str, application_url: str) -> None:
        """Raise :class:`LinkRefusedError` if no link can be made with this name and address."""
        self.check_application_url(application_url)
        if not name:
            raise LinkRefusedError("Enter an Application Name.")

    def check_application_url(self, application_url: str) -> None:
        """Raise :class:`LinkRefusedError` if no link can be made to this address."""
        if not is_web_address(application_url):
            raise LinkRefusedError("Enter the whole address of the application, beginning with https:// or http://.")
        for link in self.all():
            if link.application_url.rstrip("/").casefold() == application_url.rstrip("/").casefold():
                raise LinkRefusedError(f"There is a link with this Application URL already: {link.name}.")

    def set_consumer(self, link_id: str, consumer: Consumer | None) -> None:
        """Fill in, replace or empty a link's incoming authentication.

        Raises :class:`LinkRefusedError` if the key is taken or a field is missing, ``KeyError`` without such a link.
        """
        with self._lock:
            if consumer is not None:
                self._check_consumer(link_id, consumer)
            self._by_id[link_id] = replace(self._by_id[link_id], consumer=consumer)

    def remove(self, link_id: str) -> None:
        """Delete a link. Raises ``KeyError`` if there is no such id."""
        with self._lock:
            del self._by_id[link_id]

    def get(self, link_id: str) -> Link | None:
        """Return the link with this id, or ``None``."""
        return self._by_id.get(link_id)

    def consumer(self, key: str) -> Consumer | None:
        """Return the consumer with this consumer key, or ``None``."""
        return next((link.consumer for link in self.all() if link.consumer and link.consumer.key == key), None)

    def all(self) -> list[Link]:
        """Return every link, the oldest first."""
        with self._lock:
            return list(self._by_id.values())

    def _check_consumer(self, link_id: str | None, consumer: Consumer) -> None:
        if not consumer.key:
            raise LinkRefusedError("Enter a Consumer Key.")
        if not consumer.name:
            raise LinkRefusedError("Enter a Consumer Name.")
        for link in self._by_id.values():
            if link.id != link_id and link.consumer is not None and link.consumer.key == consumer.key:
                raise LinkRefusedError(f"The Consumer Key is taken: the link {link.name} has it.")


def is_web_address(text: str) -> bool:
    """Return whether *text* is an address that begins with https:// or http:// and has a host."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)
