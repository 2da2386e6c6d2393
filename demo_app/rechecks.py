"""People who logged in lately, asked for at Bitbucket with their own access tokens: are they still there, and may they
still log in? It ends the sessions of people who may not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select, update

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.account import Recheck, Standing
from social_bitbucket_server.organizations import EventCode

from . import audit, browser_session, clock, database
from .identities import Identity
from .models import IntegrationRecord, Organization, User


@dataclass(frozen=True)
class Found:
    """Result of asking for one person at one integration. *asked* is false if the server was not asked, because it had
    not answered for another person."""

    user_id: int
    integration_id: str
    recheck: Recheck
    asked: bool = True


def due(organization: Organization | None = None) -> Sequence[int]:
    """Return the ids of the identities of *organization*, or of all, through which a session may be open. Those that
    were not asked for the longest come first. All other people are asked for when they log in."""
    wanted = (
        select(Identity.id)
        .join(User, User.id == Identity.user_id)
        .join(Organization, Organization.id == User.organization_id)
        .join(IntegrationRecord, IntegrationRecord.id == Identity.integration_id)
        .where(
            Identity.last_login_at > browser_session.open_since(),
            or_(User.sessions_ended_at.is_(None), User.sessions_ended_at < Identity.last_login_at),
            User.disabled_at.is_(None),
            Organization.disabled_at.is_(None),
            IntegrationRecord.disabled_at.is_(None),
        )
        .order_by(Identity.rechecked_at.asc().nulls_first(), Identity.id)
    )
    if organization is not None:
        wanted = wanted.where(Organization.id == organization.id)
    return database.session.scalars(wanted).all()


def recheck(identity_ids: Iterable[int]) -> Iterator[Found]:
    """Ask for each of these identities that is still there, and end the sessions of people who may not log in any more.
    A server that cannot be asked for one is not asked for others."""
    silent: dict[str, Recheck] = {}
    for identity_id in identity_ids:
        identity = database.session.get(Identity, identity_id, populate_existing=True)
        if identity is None:
            continue
        if identity.integration_id in silent:
            yield Found(identity.user_id, identity.integration_id, silent[identity.integration_id], asked=False)
            continue
        found = _ask(identity)
        if found.recheck.is_the_servers:
            silent[found.integration_id] = found.recheck
        yield found


def _ask(identity: Any) -> Found:
    identity_id, user_id, integration_id = identity.id, identity.user_id, identity.integration_id
    about = {"user_id": user_id, "integration_id": integration_id, "org_id": identity.user.organization_id}
    found = bitbucket.recheck(identity)
    database.session.rollback()  # what was read before the server was asked may have changed
    database.session.execute(update(Identity).where(Identity.id == identity_id).values(rechecked_at=clock.now()))
    if found.standing is Standing.REFUSED:
        user = database.session.get(User, user_id)
        if user is not None:  # nobody deleted them meanwhile
            browser_session.end_all_of(user)
        audit.record(EventCode.RECHECK_REFUSED, outcome="failure", problem=found.problem, **about)
    elif found.standing is Standing.UNANSWERED:
        audit.record(EventCode.RECHECK_UNANSWERED, outcome="failure", problem=found.problem, **about)
    database.session.commit()
    return Found(user_id, integration_id, found)
