"""Identities of another backend, or of another configuration, as identities of this library's: which can be carried
over, and what each becomes.

These are rules over values. Storages read and write the rows, each in its own transaction: see :class:`Identities`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from ..integration import BACKENDS, ServerURL
from .tokens import EXTRA_DATA_KEY

CORES_BACKEND = "bitbucket-datacenter-oauth2"
"""The name of social-core's own backend. Its uid is the numeric user id."""
ID_KEY = "id"
"""How social-core calls the number in an identity's ``id_key``, for its own backend and for ours."""

_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_LARGEST_NUMBER = 2**63 - 1
_PORTS = {"http": 80, "https": 443}
_TOKENS = frozenset(
    {"access_token", "expires", "expires_in", "integration", "refresh_token", "scope", "token_type", EXTRA_DATA_KEY}
)
"""What an identity keeps of a token. A token belongs to the other backend, or is sealed for the other uid."""


class Identity(Protocol):
    """A row of the table of identities."""

    @property
    def uid(self) -> str: ...

    @property
    def user(self) -> Any: ...

    @property
    def user_id(self) -> Any: ...

    @property
    def extra_data(self) -> Any: ...


IdentityT = TypeVar("IdentityT", bound=Identity)


class Identities(Protocol[IdentityT]):
    """A storage's table of identities, within a transaction."""

    def of(self, provider: str, *, lock: bool) -> Iterable[IdentityT]:
        """Return the identities of the backend *provider*, in the order of their keys. *lock*: they will be written."""

    def accounts(self, providers: Collection[str]) -> Mapping[tuple[str, str], Any]:
        """Return the accounts of the identities of these backends, by backend and uid."""

    def write(self, identity: IdentityT, *, provider: str, uid: str, id_key: str, extra_data: dict[str, Any]) -> None:
        """Give *identity* these values, and make a note of it."""


class Outcome(StrEnum):
    """An end of carrying over: done, or the reason why an identity stays as it is."""

    CARRIED_OVER = "carried over"
    ALREADY_THERE = "already there"
    """The account has the new identity, too."""
    OF_ANOTHER_ACCOUNT = "the new identity belongs to another account"
    ON_ANOTHER_SERVER = "kept an address of another server"
    WITHOUT_ADDRESS = "kept no address that shows the server"
    NOT_A_NUMBER = "the uid is not a user's number"
    OTHER_EMAIL = "the e-mail address differs"
    WITHOUT_EMAIL = "no e-mail address to compare"
    NAME_CHANGED_HANDS = "the name belonged to another person"


@dataclass(frozen=True, slots=True)
class Place:
    """One server's identities in the table: those of the backend *provider* whose uid has the *namespace*.

    *namespace* is empty if the uid is the bare number.
    """

    provider: str
    namespace: str = ""

    def uid(self, number: int) -> str:
        """Return the uid of the user *number* here."""
        return f"{self.namespace}:{number}" if self.namespace else str(number)

    def is_place_of(self, uid: str) -> bool:
        """Return whether *uid* is one of this place's. Uids of other namespaces are not."""
        return uid.startswith(f"{self.namespace}:") if self.namespace else ":" not in uid

    def number_of(self, uid: str) -> int | None:
        """Return the user's number in a *uid* of this place; ``None`` if it is not a number that Bitbucket gives."""
        text = uid.removeprefix(f"{self.namespace}:") if self.namespace else uid
        number = int(text) if _NUMBER.fullmatch(text) else None
        return None if number is None or number > _LARGEST_NUMBER else number


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence that an identity is one of this server's.

    *addresses*: the server's base URLs, today's and former ones. The address that an identity keeps of its profile must
    be below one of them. *without_address*: the operator says that identities that keep no address are this server's,
    too.
    """

    addresses: Sequence[ServerURL]
    without_address: bool = False

    def against(self, identity: Identity) -> Outcome | None:
        """Return what speaks against *identity*, or ``None``."""
        address = data_of(identity).get("url")
        if not address:
            return None if self.without_address else Outcome.WITHOUT_ADDRESS
        is_below = any(is_profile_of(str(address), server) for server in self.addresses)
        return None if is_below else Outcome.ON_ANOTHER_SERVER


@dataclass(frozen=True, slots=True)
class Move(Generic[IdentityT]):
    """A plan for one *identity*. *uid* is its uid afterwards, if the *outcome* is that it is carried over."""

    identity: IdentityT
    outcome: Outcome
    uid: str = ""


def carry_over_identities(
    identities: Identities[IdentityT], source: Place, target: Place, evidence: Evidence, *, apply: bool
) -> list[Move[IdentityT]]:
    """Carry the *identities* of *source* over to *target*, and return what becomes of each. Without *apply* nothing is
    changed."""
    rows = identities.of(source.provider, lock=apply)
    moves = plan(rows, source, target, evidence, identities.accounts(backends_of(target)))
    for move in moves if apply else ():
        if move.outcome is Outcome.CARRIED_OVER:
            kept = without_tokens(move.identity)
            identities.write(move.identity, provider=target.provider, uid=move.uid, id_key=ID_KEY, extra_data=kept)
    return moves


def plan(
    identities: Iterable[IdentityT],
    source: Place,
    target: Place,
    evidence: Evidence,
    known: Mapping[tuple[str, str], Any],
) -> list[Move[IdentityT]]:
    """Return what becomes of each of the *identities* of *source* at *target*. Those of other places are left out.

    *known* has the accounts by backend and uid of the identities of :func:`backends_of` *target*. Accounts are never
    merged: an identity whose new uid another account has, by either OAuth, stays as it is.
    """
    return [
        _move(identity, source, target, evidence, known)
        for identity in identities
        if source.is_place_of(str(identity.uid))
    ]


def _move(
    identity: IdentityT, source: Place, target: Place, evidence: Evidence, known: Mapping[tuple[str, str], Any]
) -> Move[IdentityT]:
    number = source.number_of(str(identity.uid))
    if number is None:
        return Move(identity, Outcome.NOT_A_NUMBER)
    against = evidence.against(identity)
    if against is not None:
        return Move(identity, against)
    uid = target.uid(number)
    accounts = {name: known[name, uid] for name in backends_of(target) if (name, uid) in known}
    if set(accounts.values()) - {identity.user_id}:
        return Move(identity, Outcome.OF_ANOTHER_ACCOUNT)
    if target.provider in accounts:
        return Move(identity, Outcome.ALREADY_THERE)
    return Move(identity, Outcome.CARRIED_OVER, uid)


def backends_of(place: Place) -> list[str]:
    """Return the backends in which a uid of *place* is the same person: for one of ours, those of both OAuths."""
    return list(BACKENDS) if place.provider in BACKENDS else [place.provider]


def counts(moves: Iterable[Move[Any]]) -> Counter[Outcome]:
    """Return how often each outcome is."""
    return Counter(move.outcome for move in moves)


def without_tokens(identity: Identity) -> dict[str, Any]:
    """Return what *identity* keeps, but for its tokens. People get a new one at their next login, if any is kept."""
    return {name: value for name, value in data_of(identity).items() if name not in _TOKENS}


def data_of(identity: Identity) -> dict[str, Any]:
    """Return what *identity* keeps; nothing if that is no mapping."""
    return identity.extra_data if isinstance(identity.extra_data, dict) else {}


def is_profile_of(address: str, server: ServerURL) -> bool:
    """Return whether *address* is that of a person's page on *server*, with its scheme, host, port and context path."""
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return False
    is_host = (parts.scheme, parts.hostname, port) == (server.scheme, server.host.strip("[]"), server.host_and_port[1])
    return is_host and not parts.username and parts.path.startswith(f"{server.path}/users/")
