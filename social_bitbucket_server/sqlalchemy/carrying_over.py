"""Identities that the table has already: carried over to this package's backends, and back again."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import select, update
from sqlalchemy.orm import lazyload

from ..account import ID_KEY, Evidence, Move, Place, carry_over_identities, give_back_identities, waiting_identities
from ..integration import CarryOver, base_url
from .models import IdentityMixin
from .sessions import commit, holding_commits

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
        with holding_commits(cls.user.current_session(), cls.user):
            return carry_over_identities(_Identities(cls.user), source, target, evidence, apply=apply)

    @classmethod
    def waiting(cls, fields: Mapping[str, Any]) -> list[Move[Any]]:
        """Return the identities that logins may carry over by these *fields* of the setting ``CARRY_OVER``. The outcome
        is what can be said before their people log in.

        Raises ``setting_invalid``.
        """
        return waiting_identities(_Identities(cls.user), CarryOver.read(fields))

    @classmethod
    def give_back(cls, place: Place, *, apply: bool = False) -> list[Move[Any]]:
        """Give the identities of *place* that logins carried over their backend and uid of before, all of them or none.

        *apply*: false changes nothing. Returns what becomes, or would become, of each identity.
        """
        with holding_commits(cls.user.current_session(), cls.user):
            return give_back_identities(_Identities(cls.user), place, apply=apply)


@dataclass(frozen=True, slots=True)
class _Identities:
    """The rows of *table*, as the rules read and write them."""

    table: type[IdentityMixin]

    def of(self, provider: str, *, lock: bool) -> Iterable[Any]:
        rows = select(self.table).where(self.table.provider == provider).order_by(self.table.id)
        if lock:  # Rows that are joined from outside, as the user is, cannot be locked.
            rows = rows.options(lazyload(self.table.user)).with_for_update()
        options = {"populate_existing": True}
        return self.table.current_session().scalars(rows, execution_options=options).unique()

    def accounts(self, providers: Collection[str]) -> dict[tuple[str, str], Any]:
        columns = select(self.table.provider, self.table.uid, self.table.user_id)
        rows = self.table.current_session().execute(columns.where(self.table.provider.in_(providers)))
        return {(provider, uid): user_id for provider, uid, user_id in rows}

    def write(self, identity: Any, *, provider: str, uid: str, id_key: str, extra_data: dict[str, Any]) -> None:
        _LOG.info("identity=%s of user=%s: from %s to %s", identity.id, identity.user_id, identity.provider, provider)
        identity.provider, identity.uid, identity.id_key, identity.extra_data = provider, uid, id_key, extra_data
