"""The ways into organizations: the login link, which can be replaced and closed, and one integration that can be
enforced."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, cast

from sqlalchemy import Select, bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from ...organizations import EventCode, LoginWays
from . import clock
from .models import IntegrationMixin, WaysMixin
from .part import Part


class WaysIn(Part):
    """Ways into organizations."""

    def of(self, organization: Any) -> LoginWays:
        """Return the ways into *organization* as they are now."""
        models = self._models
        found = self._session.execute(
            select(models.ways, models.integration.id)
            .outerjoin(
                models.integration,
                (models.integration.organization_id == models.ways.organization_id)
                & models.integration.enforced_at.is_not(None),
            )
            .where(models.ways.organization_id == self._store.key_of(organization))
            .execution_options(populate_existing=True)  # another request may have changed them since they were read
        ).one_or_none()
        if found is None:
            return LoginWays()
        return login_ways(*found)

    def with_integrations(self, organization: Any) -> tuple[LoginWays, Sequence[IntegrationMixin]]:
        """Return the ways into *organization* as they are now, and its integrations, oldest first. It takes one
        statement, because everybody who wants to log in asks for it."""
        of_this = {"organization_id": self._store.key_of(organization)}
        found = self._session.execute(self._with_integrations, of_this).all()
        if not found:
            return LoginWays(), ()
        records = [record for _ways, record in found if record is not None]
        enforced = next((record.id for record in records if record.enforced_at is not None), None)
        return login_ways(found[0][0], enforced), records

    @cached_property
    def _with_integrations(self) -> Select[Any]:
        ways, integration = self._models.ways, cast("Any", self._models.integration)
        return (
            select(ways, integration)
            .outerjoin(integration, integration.organization_id == ways.organization_id)
            .options(joinedload(integration.client_credentials))
            .where(ways.organization_id == bindparam("organization_id"))
            .order_by(integration.number)
            .execution_options(populate_existing=True)  # as above
        )

    def closed_since(self, organization: Any) -> datetime | None:
        """Return since when the login link of *organization* lets nobody in; ``None`` if it does."""
        ways = self._models.ways
        return self._session.scalar(
            select(ways.closed_at).where(ways.organization_id == self._store.key_of(organization))
        )

    def replace_link(self, organization: Any) -> None:
        """Make a new login link. The one before lets nobody in."""
        self.lock(organization).key = secrets.token_urlsafe(12)
        self._tell(EventCode.LOGIN_LINK_REPLACED, organization)
        self._session.commit()

    def close_link(self, organization: Any) -> None:
        """Let nobody log in through any integration. Whoever is logged in stays so."""
        ways = self.lock(organization)
        ways.closed_at = ways.closed_at or clock.now()
        self._tell(EventCode.LOGIN_LINK_CLOSED, organization)
        self._session.commit()

    def open_link(self, organization: Any) -> None:
        """Let people log in again."""
        self.lock(organization).closed_at = None
        self._tell(EventCode.LOGIN_LINK_OPENED, organization)
        self._session.commit()

    def enforced(self, organization: Any) -> IntegrationMixin | None:
        """Return the integration that is the only way in; ``None`` if all are open."""
        integration = self._models.integration
        return self._session.scalar(
            select(integration)
            .where(integration.organization == organization, integration.enforced_at.is_not(None))
            .execution_options(populate_existing=True)  # another request may have made it so since it was read
        )

    def enforce(self, record: IntegrationMixin) -> None:
        """Make *record* the only way in. End the sessions of everybody who came another way."""
        ways, before = self.lock(record.organization), self.enforced(record.organization)
        if before is not None:
            before.enforced_at = None
            self._session.flush()
        record.enforced_at = clock.now()
        _count_change(ways)
        for other in self._store.integrations.of(record.organization):
            if other is not record:
                other.end_sessions()
        self._note(EventCode.INTEGRATION_ENFORCED, record)
        self._session.commit()

    def lift(self, organization: Any) -> None:
        """Open all ways in again."""
        self.lock(organization)
        record = self.enforced(organization)
        if record is not None:
            self.end_enforcement(record)
        self._session.commit()

    def end_enforcement(self, record: IntegrationMixin) -> None:
        """Open all ways in again after *record* was the only one. The caller holds the lock of the organization, and
        commits."""
        _count_change(self._session.get_one(self._models.ways, record.organization_id))
        record.enforced_at = None
        self._note(EventCode.INTEGRATION_NOT_ENFORCED, record)

    def end_logins(self, organization: Any) -> None:
        """End everybody's sessions and the logins under way, for an application that disables *organization*. The
        caller commits."""
        _count_change(self.lock(organization))
        for record in self._store.integrations.of(organization):
            record.end_sessions()

    def lock(self, organization: Any) -> WaysMixin:
        """Let nobody else change the ways into *organization*, or what its integrations are called, until the caller
        commits. Return them as they are now. What locks on every database is a change, so the row gets the value that
        it has."""
        ways, key = self._models.ways, self._store.key_of(organization)
        while not self._touch(key):
            try:
                with self._session.begin_nested():
                    self._session.add(ways(organization_id=key))
            except IntegrityError:  # another request made it meanwhile
                continue
        return self._session.get_one(ways, key, populate_existing=True)

    def _touch(self, key: Any) -> bool:
        ways = self._models.ways
        touched = self._session.execute(
            update(ways)
            .where(ways.organization_id == key)
            .values(revision=ways.revision)
            .execution_options(synchronize_session=False)
        )
        return bool(touched.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it

    def _tell(self, event: EventCode, organization: Any) -> None:
        self._record(event, organization_id=self._store.key_of(organization))


def login_ways(ways: WaysMixin, enforced: str | None) -> LoginWays:
    """Return what the row *ways* says; *enforced* is the id of the integration that is the only way in, or ``None``."""
    return LoginWays(key=ways.key, is_closed=ways.closed_at is not None, enforced=enforced)


def _count_change(ways: WaysMixin) -> None:
    """End the logins under way, because they began when other ways in were open."""
    ways.revision = type(ways).revision + 1
