"""People who logged in lately, asked for at Bitbucket with their own access tokens: are they still there, and may they
still log in? It ends the sessions of people who may not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select, update

from ...account import Recheck, Standing
from ...organizations import EventCode
from . import clock
from .part import Part


@dataclass(frozen=True)
class Found:
    """Result of asking for one person at one integration. *asked* is false if the server was not asked, because it had
    not answered for another person."""

    user_id: Any
    integration_id: str
    recheck: Recheck
    asked: bool = True


class Rechecks(Part):
    """Asks for people between two logins."""

    def due(self, within: timedelta, organization: Any = None) -> Sequence[int]:
        """Return the ids of the identities of *organization*, or of all for ``None``, that logged in *within* this
        time. Those that were not asked for the longest come first. All other people are asked for when they log in."""
        identity, integration = self._models.identity, self._models.integration
        wanted = (
            select(identity)
            .join(identity.integration)
            .where(
                identity.last_login_at > clock.now() - within,
                or_(identity.sessions_ended_at.is_(None), identity.sessions_ended_at < identity.last_login_at),
                identity.disabled_at.is_(None),
                integration.disabled_at.is_(None),
            )
            .order_by(identity.rechecked_at.asc().nulls_first(), identity.id)
        )
        if organization is not None:
            wanted = wanted.where(integration.organization == organization)
        found, may_log_in = self._session.scalars(wanted).unique(), self._store.may_log_in
        return [identity.id for identity in found if may_log_in(identity.integration.organization)]

    def recheck(self, identity_ids: Iterable[int], ask: Callable[[Any], Recheck]) -> Iterator[Found]:
        """Ask for each of these identities that is still there by calling *ask*, and end the sessions of people who may
        not log in any more. A server that cannot be asked for one is not asked for others."""
        silent: dict[str, Recheck] = {}
        for identity_id in identity_ids:
            identity = self._session.get(self._models.identity, identity_id, populate_existing=True)
            if identity is None:
                continue
            if identity.integration_id in silent:
                yield Found(identity.user_id, identity.integration_id, silent[identity.integration_id], asked=False)
                continue
            found = self._ask(identity, ask)
            if found.recheck.is_the_servers:
                silent[found.integration_id] = found.recheck
            yield found

    def _ask(self, identity: Any, ask: Callable[[Any], Recheck]) -> Found:
        identity_id, user_id, record = identity.id, identity.user_id, identity.integration
        integration_id, organization_id = record.id, record.organization_id
        about = {"organization_id": organization_id, "integration_id": integration_id, "user_id": user_id}
        table = self._models.identity
        found = ask(identity)
        self._session.rollback()  # what was read before the server was asked may have changed, or be gone
        self._session.execute(update(table).where(table.id == identity_id).values(rechecked_at=clock.now()))
        if found.standing is Standing.REFUSED:
            organization = self._session.get(self._models.organization, organization_id)
            user = self._session.get(self._models.user, user_id)
            if organization is not None and user is not None:
                self._store.people.end_sessions(organization, user)
            self._record(EventCode.RECHECK_REFUSED, outcome="failure", problem=found.problem, **about)
        elif found.standing is Standing.UNANSWERED:
            self._record(EventCode.RECHECK_UNANSWERED, outcome="failure", problem=found.problem, **about)
        self._session.commit()
        return Found(user_id, integration_id, found)
