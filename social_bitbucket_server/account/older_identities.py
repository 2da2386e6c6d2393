"""An older identity at the login of a person who may be its owner: rules over values.

A number never changes. A name may be another person's by now, so more than the name must agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..integration import Key
from .carrying_over import Evidence, Move, Outcome, data_of, is_profile_of, without_tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ..integration import CarryOver, ServerURL
    from .carrying_over import Identity, IdentityT, Place

ORIGIN = "carried_over"
"""The key of the extra data that says which identity it was before."""

FIELD_OF_NAME = {Key.NAME: "name", Key.SLUG: "username"}
"""The extra data in which this package's identities keep the name of each kind."""


def older_uid(rule: CarryOver, response: Mapping[str, Any]) -> str | None:
    """Return the uid that an older identity of this person has; ``None`` if the person has no such name."""
    value = response.get(rule.key)
    return None if value is None else str(value)


def outcome_at_login(
    older: Identity,
    email_of_user: str | None,
    response: Mapping[str, Any],
    rule: CarryOver,
    server: ServerURL,
    others: Collection[Identity],
) -> Outcome:
    """Return whether *older* is carried over to the person of *response*, who logs in at *server*.

    *email_of_user* is the account's e-mail address; the one that the identity keeps counts more. *others*: this
    server's identities of other numbers that keep the same name.
    """
    against = _against_server(older, rule, server)
    if against is not None or rule.key is Key.ID:
        return against or Outcome.CARRIED_OVER
    number = _number(data_of(older).get("id"))
    if others or number not in {None, str(response["id"])}:
        return Outcome.NAME_CHANGED_HANDS
    if number is not None:
        return Outcome.CARRIED_OVER
    known, given = data_of(older).get("email") or email_of_user, response.get("email")
    if known and given:
        is_same = str(known).strip().casefold() == str(given).strip().casefold()
        return Outcome.CARRIED_OVER if is_same else Outcome.OTHER_EMAIL
    return Outcome.CARRIED_OVER if rule.without_email else Outcome.WITHOUT_EMAIL


def outcome_so_far(older: Identity, email_of_user: str | None, rule: CarryOver) -> Outcome:
    """Return what can be said of *older* before its person logs in. ``CARRIED_OVER`` means that it may be."""
    against = _against_server(older, rule, rule.url)
    if against is not None or rule.key is Key.ID or rule.without_email:
        return against or Outcome.CARRIED_OVER
    data = data_of(older)
    has_evidence = data.get("email") or email_of_user or _number(data.get("id"))
    return Outcome.CARRIED_OVER if has_evidence else Outcome.WITHOUT_EMAIL


def with_origin(older: Identity, provider: str) -> dict[str, Any]:
    """Return what the carried identity keeps: no token, and which identity of *provider* it was."""
    return {**without_tokens(older), ORIGIN: {"provider": provider, "uid": str(older.uid)}}


def origin_of(identity: Identity) -> tuple[str, str] | None:
    """Return provider and uid that *identity* had before it was carried over, or ``None`` if it was not."""
    match data_of(identity).get(ORIGIN):
        case {"provider": str(provider), "uid": str(uid)}:
            return provider, uid
    return None


def plan_back(
    identities: Iterable[IdentityT], place: Place, known: Mapping[tuple[str, str], Any]
) -> list[Move[IdentityT]]:
    """Return what becomes of each of the *identities* of *place* that was carried over, if it gets the backend and uid
    of before. *known* has the accounts by backend and uid of all identities."""
    moves = []
    for identity in identities:
        origin = origin_of(identity)
        if origin is None or not place.is_place_of(str(identity.uid)):
            continue
        if origin in known:
            is_own = known[origin] == identity.user_id
            moves.append(Move(identity, Outcome.ALREADY_THERE if is_own else Outcome.OF_ANOTHER_ACCOUNT))
        else:
            moves.append(Move(identity, Outcome.CARRIED_OVER, origin[1]))
    return moves


def without_origin(identity: Identity) -> dict[str, Any]:
    """Return what *identity* keeps after it was given back."""
    return {name: value for name, value in without_tokens(identity).items() if name != ORIGIN}


def _against_server(older: Identity, rule: CarryOver, server: ServerURL) -> Outcome | None:
    if server != rule.url:
        return Outcome.ON_ANOTHER_SERVER
    if rule.key is Key.ID:
        return Evidence([server]).against(older)
    address = data_of(older).get("url")
    return None if not address or is_profile_of(str(address), server) else Outcome.ON_ANOTHER_SERVER


def _number(value: Any) -> str | None:
    """Return a number that an older identity keeps, as text. A hand-made backend may keep other things as its id."""
    text = str(value) if type(value) in {int, str} else ""
    return text if text.isascii() and text.isdigit() else None
