"""The people (and one machine) who have an account in the sandbox."""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from .bounded import BoundedDict

FAILURES_BEFORE_CAPTCHA = 5
"""Wrong passwords after which a person must solve a CAPTCHA in a browser."""


@dataclass(frozen=True, slots=True)
class User:
    """One account. *id* is the stable key, *name* what the person types to log in, *slug* what stands in addresses.

    An empty *slug* becomes the one Bitbucket would make of the name. The password is the name.
    """

    id: int
    name: str
    display_name: str
    email: str | None = None
    slug: str = ""
    active: bool = True
    admin: bool = False
    type: Literal["NORMAL", "SERVICE"] = "NORMAL"

    def __post_init__(self) -> None:
        if not self.slug:
            object.__setattr__(self, "slug", slug_of(self.name))

    @property
    def password(self) -> str:
        """The password that the person types to log in, besides the name."""
        return self.name

    def matches(self, text: str) -> bool:
        """Return whether the user search finds this user by *text*, a part of name, display name or e-mail address."""
        return any(text.casefold() in field.casefold() for field in (self.name, self.display_name, self.email or ""))


def slug_of(name: str) -> str:
    """Return the slug that Bitbucket makes of a user name: ``jo@example`` has ``jo_example``."""
    return re.sub(r"[^a-z0-9._-]", "_", name.lower())


class Users:
    """Every account, changeable while the server runs."""

    def __init__(self, users: Iterable[User]) -> None:
        self._lock = threading.RLock()
        self._by_id: dict[int, User] = {}
        for user in users:
            self.put(user)

    def put(self, user: User) -> None:
        """Add *user*, or replace the one with the same id. Raises ``ValueError`` if name or slug is taken."""
        with self._lock:
            for other in self._by_id.values():
                if other.id != user.id and (other.name == user.name or other.slug == user.slug):
                    raise ValueError(f"There is another user with the name {user.name} or the slug {user.slug}.")
            self._by_id[user.id] = user

    def remove(self, name: str) -> None:
        """Delete the user called *name*. Raises ``KeyError`` if there is no such user."""
        with self._lock:
            del self._by_id[self._named(name).id]

    def disable(self, name: str) -> None:
        """Disable the user called *name*: no log-in any more, and tokens are honoured no more."""
        with self._lock:
            self.put(replace(self._named(name), active=False))

    def enable(self, name: str) -> None:
        """Undo :meth:`disable`."""
        with self._lock:
            self.put(replace(self._named(name), active=True))

    def rename(self, name: str, new_name: str) -> None:
        """Give the user called *name* the name *new_name* and the slug that belongs to it; the id stays."""
        with self._lock:
            self.put(replace(self._named(name), name=new_name, slug=slug_of(new_name)))

    def by_id(self, user_id: int | None) -> User | None:
        """Return the user with this id, or ``None``."""
        return None if user_id is None else self._by_id.get(user_id)

    def by_name(self, name: str) -> User | None:
        """Return the user with exactly this name, or ``None``."""
        return next((user for user in self.all() if user.name == name), None)

    def by_password(self, name: str, password: str) -> User | None:
        """Return the user with exactly this name and password, active or not. ``None`` if one of them is wrong."""
        user = self.by_name(name)
        is_right = user is not None and hmac.compare_digest(user.password.encode(), password.encode())
        return user if is_right else None

    def by_slug(self, slug: str) -> User | None:
        """Return the user with exactly this slug, or ``None``."""
        return next((user for user in self.all() if user.slug == slug), None)

    def search(self, text: str) -> list[User]:
        """Return everybody whom *text* finds, in the order of display names."""
        found = [user for user in self.all() if user.matches(text)]
        return sorted(found, key=lambda user: (user.display_name.casefold(), user.id))

    def all(self) -> list[User]:
        """Return everybody, in the order of ids."""
        with self._lock:
            return [self._by_id[user_id] for user_id in sorted(self._by_id)]

    def _named(self, name: str) -> User:
        user = self.by_name(name)
        if user is None:
            raise KeyError(name)
        return user


class FailedLogins:
    """Counts the wrong passwords of each user name since the last login in a browser."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: BoundedDict[str, int] = BoundedDict()

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


_SURNAMES = (
    "Abbott Adams Allen Anderson Andrews Archer Armstrong Atkins Austin Bailey Baker Barnes Bell Bennett Berry "
    "Bishop Black Boyd Bradley Brooks Brown Burke Burns Butler Byrne Carter Chapman Clark Cole Cooper"
)

SANDBOX_USERS = (
    User(1, "admin", "Ada Admin", "admin@example.com", admin=True),
    User(2, "jane", "Jane Doe", "jane@example.com"),
    User(3, "jo@example", "Jo Example", "jo@example.com"),
    User(4, "kim", "Kim Without E-mail"),
    User(5, "dora", "Dora Disabled", "dora@example.com", active=False),
    User(6, "build-bot", "Build Bot", type="SERVICE"),
    User(7, "natasha", "Наташа Иванова", "natasha@example.com"),
    # A search for "jane" finds these first: the Jane whose name is exactly that stands on the second page.
    *(
        User(number, f"jane.{surname.lower()}", f"Jane {surname}", f"jane.{surname.lower()}@example.com")
        for number, surname in enumerate(_SURNAMES.split(), start=8)
    ),
)
"""The users of a sandbox that is not given others."""
