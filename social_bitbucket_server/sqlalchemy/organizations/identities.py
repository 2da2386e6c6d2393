"""Identities: the Bitbucket accounts that people log in with, one for each integration at most."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, exists, func, select, update
from sqlalchemy.orm import aliased, contains_eager

from ...organizations import EventCode
from . import clock
from .models import IntegrationMixin
from .part import Part


class Identities(Part):
    """Identities of people, and the sessions that began with them."""

    def find(self, user: Any, identity_id: int) -> Any:
        """Return the identity *identity_id* of *user*, or ``None``; never another person's."""
        identity = self._models.identity
        return self._session.scalar(select(identity).where(identity.id == identity_id, identity.user == user))

    def with_uid(self, uid: str) -> Any:
        """Return the identity *uid* as the database has it now, or ``None``. It is the same one by whichever OAuth
        somebody logs in: *provider* is only the one that was used last."""
        return self._session.scalar(self._with_uid, {"uid": uid})

    @cached_property
    def _with_uid(self) -> Select[Any]:
        identity = self._models.identity
        by_uid = select(identity).where(identity.uid == bindparam("uid"))
        return by_uid.execution_options(populate_existing=True)

    def of_session(self, identity_id: int, revision: str) -> Any:
        """Return the identity *identity_id* if a session that began with it in this *revision* may go on, or ``None``.

        A session ends with the identity, its person, its integration or its organization, and where another
        integration is enforced.
        """
        identity, integration = self._models.identity, self._models.integration
        other = aliased(integration)
        is_shut_out = exists().where(
            other.organization_id == integration.organization_id,
            other.id != integration.id,
            other.enforced_at.is_not(None),
        )
        found = self._session.scalar(
            select(identity)
            .join(identity.integration)
            .join(integration.organization)
            .options(contains_eager(identity.integration).contains_eager(integration.organization))
            .where(
                identity.id == identity_id,
                identity.disabled_at.is_(None),
                integration.disabled_at.is_(None),
                ~is_shut_out,
            )
        )
        if found is None or found.session_revision != revision:
            return None
        return found if self._store.may_log_in(found.integration.organization) else None

    def is_connected(self, user: Any, record: IntegrationMixin) -> bool:
        """Return whether *user* can log in through *record* already."""
        return self._session.scalar(select(self._has_identity(user, record.id))) or False

    def to_connect(self, organization: Any, user: Any) -> Sequence[IntegrationMixin]:
        """Return the integrations of *organization* through which *user* cannot log in yet, but could."""
        integration = self._models.integration
        enabled = self._session.scalars(
            select(integration)
            .where(
                integration.organization == organization,
                integration.disabled_at.is_(None),
                ~self._has_identity(user, integration.id),
            )
            .order_by(integration.number)
        )
        return [record for record in enabled if record.ways]

    def of(self, organization: Any, user: Any) -> Sequence[Any]:
        """Return the identities of *user* at the integrations of *organization*, oldest first."""
        identity = self._models.identity
        found = self._session.scalars(
            select(identity)
            .join(identity.integration)
            .options(contains_eager(identity.integration))
            .where(identity.user == user, self._models.integration.organization == organization)
            .order_by(identity.id)
        )
        return found.unique().all()

    def can_be_disconnected(self, user: Any) -> set[int]:
        """Return the ids of those identities of *user* without which there is another one that lets them in."""
        identity = self._models.identity
        return set(self._session.scalars(select(identity.id).where(identity.user == user, self._has_another())))

    def disconnect(self, user: Any, identity: Any) -> bool:
        """Take *identity* away from *user*, and end the sessions that began with their others. The last way in stays.

        Return whether it is gone.
        """
        record, table = identity.integration, self._models.identity
        # Two at once wait for each other here, or at SQLite's write lock, so that they cannot take the last two.
        self.lock_person(user)
        gone = self._session.execute(
            delete(table)
            .where(table.id == identity.id, table.user == user, self._has_another())
            .execution_options(synchronize_session=False)
        )
        is_gone: bool = gone.rowcount == 1  # type: ignore[attr-defined]  # a DELETE's result has it
        if is_gone:
            self.end_sessions(table.user == user)
            self._note(EventCode.IDENTITY_DISCONNECTED, record, user_id=self._store.key_of(user))
        self._session.commit()
        return is_gone

    def lock_person(self, user: Any) -> None:
        """Let nobody else connect or disconnect an account of *user* until the caller commits, and read *user* anew."""
        # By the key alone: rows that the application's users are joined with from outside cannot be locked.
        key = self._store.user_key
        self._session.execute(select(key).where(key == self._store.key_of(user)).with_for_update()).one()
        self._session.refresh(user)

    def end_sessions(self, of_these: ColumnElement[bool]) -> None:
        """End the sessions that began with *of_these* identities. The caller commits."""
        identity = self._models.identity
        ended = {"sessions_ended": identity.sessions_ended + 1, "sessions_ended_at": clock.now()}
        self._session.execute(
            update(identity).where(of_these).values(ended).execution_options(synchronize_session="fetch")
        )

    def count(self, record: IntegrationMixin) -> int:
        """Return how many people log in through *record*; each has one identity there."""
        return self.counts([record.id]).get(record.id, 0)

    def counts(self, integration_ids: Sequence[str]) -> dict[str, int]:
        """Return how many people log in through each of these integrations, by its id."""
        identity = self._models.identity
        rows = self._session.execute(
            select(identity.integration_id, func.count().label("people"))
            .where(identity.integration_id.in_(integration_ids))
            .group_by(identity.integration_id)
        )
        return {row.integration_id: row.people for row in rows}

    def last_persons(self, integration_ids: Sequence[str]) -> dict[str, str]:
        """Return the name of the person who logged in last through each of these integrations, by its id."""
        identity = self._models.identity
        last = (
            select(identity.integration_id, func.max(identity.last_login_at).label("at"))
            .where(identity.integration_id.in_(integration_ids))
            .group_by(identity.integration_id)
            .subquery()
        )
        of_last = (last.c.integration_id == identity.integration_id) & (last.c.at == identity.last_login_at)
        found = self._session.scalars(select(identity).join(last, of_last)).unique()
        return {each.integration_id: self._store.name_of(each.user) for each in found}

    def delete_all_of(self, record: IntegrationMixin) -> int:
        """Delete everybody's identity at *record*, and nobody. Return how many there were. The caller commits."""
        identity = self._models.identity
        gone = self._session.execute(
            delete(identity).where(identity.integration_id == record.id).execution_options(synchronize_session=False)
        )
        return int(gone.rowcount)  # type: ignore[attr-defined]  # a DELETE's result has it

    def _has_identity(self, user: Any, integration_id: Any) -> ColumnElement[bool]:
        identity = self._models.identity
        return exists().where(identity.user == user, identity.integration_id == integration_id)

    def _has_another(self) -> ColumnElement[bool]:
        """Return whether the person of an identity has another one, through an integration that is enabled."""
        identity, integration = self._models.identity, self._models.integration
        other: Any = aliased(identity)
        return exists(
            select(other.id)
            .join(integration, integration.id == other.integration_id)
            .where(other.user_id == identity.user_id, other.id != identity.id, integration.disabled_at.is_(None))
            .correlate(identity)
        )
