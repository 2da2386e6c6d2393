"""People who log in through an organization's integrations: listed, disabled, and logged out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.orm import contains_eager

from ...organizations import EventCode
from . import clock
from .models import IntegrationMixin
from .part import Part


@dataclass(frozen=True)
class Person:
    """One of the application's users, with the *identities* by which they log in to one organization.

    *key* is the user's primary key as text, and *name* what the application calls them.
    """

    user: Any
    key: str
    name: str
    identities: Sequence[Any]

    @property
    def is_disabled(self) -> bool:
        """Whether the person may not log in."""
        return any(identity.disabled_at is not None for identity in self.identities)

    @property
    def last_login_at(self) -> datetime | None:
        """Time of the last login; ``None`` if there was none."""
        return max(
            (identity.last_login_at for identity in self.identities if identity.last_login_at is not None), default=None
        )


class People(Part):
    """People of organizations."""

    def of(self, organization: Any) -> list[Person]:
        """Return everybody who logs in to *organization*, by name."""
        identity = self._models.identity
        found = self._session.scalars(
            select(identity)
            .join(identity.integration)
            .options(contains_eager(identity.integration))
            .where(self._models.integration.organization == organization)
            .order_by(identity.user_id, identity.id)
        ).unique()
        people = [
            Person(user, str(self._store.key_of(user)), self._store.name_of(user), tuple(theirs))
            for user, theirs in groupby(found, key=lambda each: each.user)
        ]
        return sorted(people, key=lambda person: (person.name.lower(), person.key))

    def find(self, organization: Any, key: str) -> Person | None:
        """Return the person with this *key* if they log in to *organization*, or ``None``."""
        return next((person for person in self.of(organization) if person.key == key), None)

    def names(self, organization: Any, user_ids: Iterable[Any]) -> Mapping[Any, str]:
        """Return what the application calls those of these users who belong to *organization*, by primary key."""
        wanted = {user_id for user_id in user_ids if user_id is not None}
        if not wanted:
            return {}
        store = self._store
        found = self._session.scalars(select(self._models.user).where(store.user_key.in_(wanted))).unique()
        return {store.key_of(user): store.name_of(user) for user in found if store.belongs_to(user, organization)}

    def disable(self, organization: Any, person: Person) -> None:
        """Let *person* in no more, and end their sessions."""
        self._set_disabled(organization, person.user, clock.now())
        self._tell(EventCode.USER_DISABLED, organization, person.user)
        self.log_out(organization, person)

    def enable(self, organization: Any, person: Person) -> None:
        """Let *person* in again."""
        self._set_disabled(organization, person.user, None)
        self._tell(EventCode.USER_ENABLED, organization, person.user)
        self._session.commit()

    def log_out(self, organization: Any, person: Person) -> None:
        """End the sessions of *person*, who can log in again."""
        self.end_sessions(organization, person.user)
        self._session.commit()

    def end_sessions(self, organization: Any, user: Any) -> None:
        """End the sessions that *user* has by an integration of *organization*. The caller commits."""
        self._store.identities.end_sessions(self._is_of(organization, user))
        self._tell(EventCode.SESSION_REVOKED, organization, user)

    def disable_whom_bitbucket_disabled(self, uid: str) -> None:
        """Disable the person with the identity *uid*, whose account Bitbucket says is disabled; it says so of no one
        else.

        It stays so until an admin of the organization enables them again.
        """
        identity = self._store.identities.with_uid(uid)
        if identity is None or identity.disabled_at is not None:
            return
        organization = identity.integration.organization
        self.disable(organization, Person(identity.user, "", "", (identity,)))

    def count_only_through(self, record: IntegrationMixin) -> int:
        """Return how many people log in through *record* and in no other way."""
        count = select(func.count()).select_from(self._models.user).where(self._logs_in_only_through(record))
        return self._session.scalar(count) or 0

    def leave(self, record: IntegrationMixin) -> None:
        """Let the application forget the people who log in through *record* alone. The caller commits."""
        found = self._session.scalars(select(self._models.user).where(self._logs_in_only_through(record)))
        only_here = found.unique().all()
        if only_here:
            self._store.forget(only_here)

    def _set_disabled(self, organization: Any, user: Any, disabled_at: datetime | None) -> None:
        self._session.execute(
            update(self._models.identity)
            .where(self._is_of(organization, user))
            .values(disabled_at=disabled_at)
            .execution_options(synchronize_session="fetch")
        )

    def _is_of(self, organization: Any, user: Any) -> ColumnElement[bool]:
        identity, integration = self._models.identity, self._models.integration
        of_organization = select(integration.id).where(integration.organization == organization)
        is_of: ColumnElement[bool] = (identity.user == user) & identity.integration_id.in_(of_organization)
        return is_of

    def _logs_in_only_through(self, record: IntegrationMixin) -> ColumnElement[bool]:
        identity, key = self._models.identity, self._store.user_key
        here = exists().where(identity.user_id == key, identity.integration_id == record.id)
        elsewhere = exists().where(identity.user_id == key, identity.integration_id != record.id)
        return here & ~elsewhere

    def _tell(self, event: EventCode, organization: Any, user: Any) -> None:
        key_of = self._store.key_of
        self._record(event, organization_id=key_of(organization), user_id=key_of(user))
