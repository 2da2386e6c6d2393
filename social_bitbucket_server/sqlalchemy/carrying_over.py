"""Identities that the table has already: carried over to this package's backends, and back again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import select, update
from sqlalchemy.orm import lazyload

from ..account import (
    ID_KEY,
    Evidence,
    Move,
    Outcome,
    Place,
    backends_of,
    origin_of,
    outcome_so_far,
    plan,
    plan_back,
    without_origin,
    without_tokens,
)
from ..integration import BACKENDS, CarryOver, base_url
from .sessions import commit, holding_commits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Select

    from .models import IdentityMixin

_LOG = logging.getLogger(__name__)


class CarryingOver:
    """The part of a storage that gives identities other backends and uids."""

    user: type[IdentityMixin]

    @classmethod
    def identities_that_keep(cls, providers: Sequence[str], field: str, value: str) -> list[Any]:
        """Return the identities of *providers* whose extra data has exactly this *value* in *field*."""
        identity = cls.user
        found = select(identity).where(
            identity.provider.in_(providers), identity.extra_data[field].as_string() == value
        )
        rows = cls.user.current_session().scalars(found).unique()
        return [row for row in rows if row.extra_data.get(field) == value]

    @classmethod
    def move_identity(cls, identity: Any, provider: str, uid: str, extra_data: dict[str, Any]) -> bool:
        """Make *identity* one of *provider* with this *uid* and *extra_data*. Return false if it has changed
        meanwhile."""
        session, table = cls.user.current_session(), cls.user
        moved = session.execute(
            update(table)
            .where(table.id == identity.id, table.provider == identity.provider, table.uid == identity.uid)
            .values(provider=provider, uid=uid, id_key=ID_KEY, extra_data=extra_data)
            .execution_options(synchronize_session=False)
        )
        session.expire(identity)
        commit(session)
        return bool(cast("Any", moved).rowcount == 1)

    @classmethod
    def carry_over(
        cls,
        source: Place,
        target: Place,
        base_urls: Sequence[str],
        *,
        without_address: bool = False,
        apply: bool = False,
    ) -> list[Move[Any]]:
        """Carry the identities of *source* over to *target*, which is the same server, all of them or none.

        *base_urls*: the server's base URLs, today's and former ones. The address that an identity keeps of its profile
        must be below one of them. *without_address*: whether to carry over identities, too, that keep none. *apply*:
        false changes nothing. Returns what becomes, or would become, of each identity; accounts are never merged. With
        the places exchanged it leads back.

        Raises ``invalid_base_url``.
        """
        evidence = Evidence([base_url({"url": text, "allow_http": True}) for text in base_urls], without_address)
        session = cls.user.current_session()
        with holding_commits(session, cls.user):
            found = session.scalars(cls._rows(source.provider, lock=apply)).unique()
            moves = plan(found, source, target, evidence, cls._accounts(*backends_of(target)))
            for move in moves if apply else ():
                if move.outcome is Outcome.CARRIED_OVER:
                    _move(move, target.provider, move.uid, without_tokens(move.identity))
                    move.identity.id_key = ID_KEY
        return moves

    @classmethod
    def waiting(cls, fields: Mapping[str, Any]) -> list[Move[Any]]:
        """Return the identities that logins may carry over by these *fields* of the setting ``CARRY_OVER``. The outcome
        is what can be said before their people log in.

        Raises ``setting_invalid``.
        """
        rule, identity = CarryOver.read(fields), cls.user
        rows = select(identity).where(identity.provider == rule.provider).order_by(identity.id)
        found = cls.user.current_session().scalars(rows).unique()
        older = (row for row in found if rule.provider not in BACKENDS or Place(rule.provider).is_place_of(row.uid))
        return [Move(row, outcome_so_far(row, getattr(row.user, "email", None), rule)) for row in older]

    @classmethod
    def give_back(cls, place: Place, *, apply: bool = False) -> list[Move[Any]]:
        """Give the identities of *place* that logins carried over their backend and uid of before, all of them or none.

        *apply*: false changes nothing. Returns what becomes, or would become, of each identity.
        """
        session = cls.user.current_session()
        with holding_commits(session, cls.user):
            found = session.scalars(cls._rows(place.provider, lock=apply)).unique()
            moves = plan_back(found, place, cls._accounts())
            for move in moves if apply else ():
                origin = origin_of(move.identity)
                if move.outcome is Outcome.CARRIED_OVER and origin is not None:
                    _move(move, *origin, without_origin(move.identity))
        return moves

    @classmethod
    def _accounts(cls, *backends: str) -> dict[tuple[str, str], Any]:
        """Return the accounts by backend and uid of the identities of *backends*, or without any of all identities."""
        identity = cls.user
        columns = select(identity.provider, identity.uid, identity.user_id)
        rows = columns.where(identity.provider.in_(backends)) if backends else columns
        return {(provider, uid): user_id for provider, uid, user_id in cls.user.current_session().execute(rows)}

    @classmethod
    def _rows(cls, provider: str, *, lock: bool) -> Select[Any]:
        identity = cls.user
        rows = select(identity).where(identity.provider == provider).order_by(identity.id)
        # Rows that are joined from outside, as the user is, cannot be locked.
        rows = rows.options(lazyload(identity.user)).execution_options(populate_existing=True)
        return rows.with_for_update() if lock else rows


def _move(move: Move[Any], provider: str, uid: str, extra_data: dict[str, Any]) -> None:
    identity = move.identity
    _LOG.info("identity=%s of user=%s: from %s to %s", identity.id, identity.user_id, identity.provider, provider)
    identity.provider, identity.uid, identity.extra_data = provider, uid, extra_data
