"""The states of an integration's key pairs, and what a key rotation makes of them.

A new key pair waits beside the old one until Bitbucket accepts it. It is for the application link in use, or for a new
one with a new consumer key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from ..integration import Credentials, Integration
from ..problems import Code
from .stored import StoredKeyPair

_Pair = TypeVar("_Pair")
# Without a bound on the class: mypy checks bounds of annotations before it knows the columns of a model.
_StoredPair = TypeVar("_StoredPair", bound="StoredKeyPair")


class KeyState(StrEnum):
    """The state of a key pair, which says what it is used for."""

    PENDING = "pending"
    ACTIVE = "active"
    REPLACED = "replaced"
    RETIRED = "retired"

    @property
    def meaning(self) -> str:
        """The use of a key pair in this state, in words."""
        return {
            KeyState.PENDING: "waits for Bitbucket to have its public key",
            KeyState.ACTIVE: "logins are signed with it",
            KeyState.REPLACED: "its application link can be removed; logins that began with it are finished with it",
            KeyState.RETIRED: "not used any more; its private key is erased",
        }[self]


@dataclass(frozen=True, slots=True)
class KeyPairs(Generic[_Pair]):
    """The key pairs of one integration that are in use, as they are at one moment: at most one in each state.

    *active*: ``None`` for an integration that never had one. *pending* and *replaced*: ``None`` while there is none.
    """

    active: _Pair | None = None
    pending: _Pair | None = None
    replaced: _Pair | None = None

    @classmethod
    def of(cls, pairs: Iterable[_StoredPair]) -> KeyPairs[_StoredPair]:
        """Return the key pairs of one integration among *pairs*, which are all its own. Retired ones are left out."""
        by_state = {KeyState(pair.state): pair for pair in pairs}
        return KeyPairs(*map(by_state.get, (KeyState.ACTIVE, KeyState.PENDING, KeyState.REPLACED)))

    @property
    def to_set_up(self) -> _Pair | None:
        """The key pair that Bitbucket has to know next: the one that waits, or else the active one."""
        return self.pending or self.active

    @property
    def pending_for_new_link(self) -> _Pair | None:
        """The key pair that waits for an application link of its own; ``None`` if it is for the link in use."""
        active: Any = self.active
        pending: Any = self.pending
        if active is None or pending is None or pending.consumer_key == active.consumer_key:
            return None
        return self.pending

    def may_begin(self, *, with_new_link: bool) -> bool:
        """Return whether a new key pair may be made. *with_new_link*: whether it gets an application link of its own.
        It may not while an old link waits for its removal: Bitbucket would have three."""
        return not with_new_link or self.replaced is None

    @property
    def state_of_old(self) -> KeyState:
        """The state of the active key pair after the one that waits was put in use. An application link of its own can
        still be removed, and logins that began with it are finished with it."""
        return KeyState.RETIRED if self.pending_for_new_link is None else KeyState.REPLACED

    def finishing_logins(self, *, now: datetime, lifetime: timedelta) -> _Pair | None:
        """Return the replaced key pair if a login that began with it may still be under way. *lifetime*: how long a
        login may take."""
        pair: Any = self.replaced
        if pair is None or pair.replaced_at is None or not pair.sealed_private_key:
            return None
        return None if pair.replaced_at < oldest_login_began(now=now, lifetime=lifetime) else self.replaced


def oldest_login_began(*, now: datetime, lifetime: timedelta) -> datetime:
    """Return when the oldest login began that may still be under way. *lifetime*: how long a login may take.

    The private key of a link that was replaced before finishes no login, and is erased.
    """
    return now - lifetime


def may_be_about_the_key(code: Code, refused: Credentials | Integration, other: Credentials | Integration) -> bool:
    """Return whether Bitbucket may have refused a request because it has the key of *other*.

    *code*: the problem that it had with the request, which *refused* signed. It says that the signature is invalid or
    the consumer key unknown, and it fails if its key has another size.
    """
    is_of_another_size = refused.private_key.public.bits != other.private_key.public.bits
    is_of_another_link = refused.consumer_key != other.consumer_key
    return (
        code == Code.SIGNATURE_INVALID
        or (code == Code.CONSUMER_KEY_UNKNOWN and is_of_another_link)
        or (code == Code.SERVER_ERROR and is_of_another_size)
    )
