"""An older identity at the login of a person who may be its owner: rules over values.

A number never changes. A name may be another person's by now, so more than the name must agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..integration import BACKENDS, CarryOver, Key, ServerURL
from .carrying_over import (
    Evidence,
    Identities,
    Identity,
    IdentityT,
    Move,
    Outcome,
    Place,
    data_of,
    is_profile_of,
    without_tokens,
)

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


@dataclass(frozen=True, slots=True)
class Origin:
    """The identity that another one was, before a login carried it over. *id_key*: what its backend calls the uid."""

    provider: str
    uid: str
    id_key: str


def with_origin(older: Identity, provider: str) -> dict[str, Any]:
    """Return what the carried identity keeps: no token, and which identity of *provider* it was."""
    # Older versions of social_django have no id_key.
    origin = Origin(provider, str(older.uid), getattr(older, "id_key", ""))
    return {**without_tokens(older), ORIGIN: asdict(origin)}


def origin_of(identity: Identity) -> Origin | None:
    """Return what *identity* was before it was carried over, or ``None`` if it was not."""
    match data_of(identity).get(ORIGIN):
        case {"provider": str(provider), "uid": str(uid), "id_key": str(id_key)}:
            return Origin(provider, uid, id_key)
    return None


def waiting_identities(identities: Identities[IdentityT], rule: CarryOver) -> list[Move[IdentityT]]:
    """Return the *identities* that logins may carry over by *rule*. The outcome is what can be said before their people
    log in."""
    own = Place(rule.provider)
    rows = identities.of(rule.provider, lock=False)
    older = (row for row in rows if rule.provider not in BACKENDS or own.is_place_of(row.uid))
    return [Move(row, outcome_so_far(row, getattr(row.user, "email", None), rule)) for row in older]


def give_back_identities(identities: Identities[IdentityT], place: Place, *, apply: bool) -> list[Move[IdentityT]]:
    """Give those *identities* of *place* that logins carried over what they were before, and return what becomes of
    each. Without *apply* nothing is changed."""
    carried = [
        (row, origin)
        for row in identities.of(place.provider, lock=apply)
        if place.is_place_of(str(row.uid)) and (origin := origin_of(row)) is not None
    ]
    known = identities.accounts({origin.provider for _, origin in carried})
    times = Counter((origin.provider, origin.uid) for _, origin in carried)
    moves = []
    for row, origin in carried:
        key = origin.provider, origin.uid
        if key in known:
            outcome = Outcome.ALREADY_THERE if known[key] == row.user_id else Outcome.OF_ANOTHER_ACCOUNT
        elif times[key] > 1:
            outcome = Outcome.NAME_CHANGED_HANDS
        else:
            outcome = Outcome.CARRIED_OVER
        moves.append(Move(row, outcome, origin.uid if outcome is Outcome.CARRIED_OVER else ""))
        if apply and outcome is Outcome.CARRIED_OVER:
            kept = {name: value for name, value in without_tokens(row).items() if name != ORIGIN}
            identities.write(row, **asdict(origin), extra_data=kept)
    return moves


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
