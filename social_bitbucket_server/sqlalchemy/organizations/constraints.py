"""Constraints, indexes and revisions of the tables of organizations, whatever their classes are called."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import ForeignKeyConstraint, Index, Table, UniqueConstraint, event, inspect
from sqlalchemy.orm import Mapper

from ...organizations import KeyState
from .models import (
    ApplicationLinkMixin,
    ClientCredentialsMixin,
    EventMixin,
    IntegrationMixin,
    KeyPairMixin,
    OrganizationIdentityMixin,
    SetupLinkMixin,
    WaysMixin,
)

_END_NO_LOGINS = frozenset(
    {"last_login_at", "moving_to", "oauth1_ended_at", "revision", "server_version", "sessions_ended"}
)


@event.listens_for(IntegrationMixin, "before_update", propagate=True)
def _count_change(_mapper: Any, _connection: Any, record: IntegrationMixin) -> None:
    if _changed_columns(record) - _END_NO_LOGINS:
        record.revision = type(record).revision + 1


@event.listens_for(WaysMixin, "before_update", propagate=True)
def _count_change_of_ways_in(_mapper: Any, _connection: Any, ways: WaysMixin) -> None:
    if _changed_columns(ways) & {"closed_at", "key"}:
        ways.revision = type(ways).revision + 1


def _changed_columns(row: Any) -> set[str]:
    state: Any = inspect(row)
    return {column.key for column in state.mapper.column_attrs if state.attrs[column.key].history.has_changes()}


@event.listens_for(IntegrationMixin, "after_mapper_constructed", propagate=True)
def _constrain_integrations(mapper: Mapper[Any], _mapped: Any) -> None:
    columns = _table(mapper).c
    _constrain(mapper, UniqueConstraint(columns.organization_id, columns.number))
    _one_where(mapper, "enforced", columns.organization_id, columns.enforced_at.is_not(None))


@event.listens_for(ApplicationLinkMixin, "after_mapper_constructed", propagate=True)
def _constrain_links(mapper: Mapper[Any], _mapped: Any) -> None:
    columns = _table(mapper).c
    _constrain(mapper, UniqueConstraint(columns.integration_id, columns.number))
    _constrain(mapper, UniqueConstraint(columns.consumer_key, columns.integration_id))


@event.listens_for(ClientCredentialsMixin, "after_mapper_constructed", propagate=True)
def _constrain_credentials(mapper: Mapper[Any], _mapped: Any) -> None:
    _constrain(mapper, UniqueConstraint(_table(mapper).c.integration_id))


@event.listens_for(KeyPairMixin, "after_mapper_constructed", propagate=True)
def _constrain_key_pairs(mapper: Mapper[Any], mapped: type[KeyPairMixin]) -> None:
    columns, link = _table(mapper).c, _table(inspect(mapped.application_link_class)).c
    of_own_integration = ForeignKeyConstraint(
        (columns.consumer_key, columns.integration_id), (link.consumer_key, link.integration_id), ondelete="CASCADE"
    )
    _constrain(mapper, of_own_integration)
    for state in (KeyState.ACTIVE, KeyState.PENDING, KeyState.REPLACED):
        _one_where(mapper, state.value, columns.integration_id, columns.state == state.value)


@event.listens_for(SetupLinkMixin, "after_mapper_constructed", propagate=True)
def _constrain_setup_links(mapper: Mapper[Any], _mapped: Any) -> None:
    columns = _table(mapper).c
    _one_where(mapper, "live", columns.integration_id, columns.revoked_at.is_(None))


@event.listens_for(EventMixin, "after_mapper_constructed", propagate=True)
def _index_events(mapper: Mapper[Any], _mapped: Any) -> None:
    table = _table(mapper)
    Index(f"ix_{table.name}_organization", table.c.organization_id, table.c.id)
    Index(f"ix_{table.name}_integration", table.c.integration_id, table.c.event, table.c.id)


@event.listens_for(OrganizationIdentityMixin, "after_mapper_constructed", propagate=True)
def _one_identity_by_either_oauth(mapper: Mapper[Any], _mapped: Any) -> None:
    table = _table(mapper)
    Index(f"one_uid_{table.name}", table.c.uid, unique=True)


def _table(mapper: Mapper[Any]) -> Table:
    return cast("Table", mapper.local_table)


def _constrain(mapper: Mapper[Any], constraint: UniqueConstraint | ForeignKeyConstraint) -> None:
    _table(mapper).append_constraint(constraint)


def _one_where(mapper: Mapper[Any], what: str, column: Any, condition: Any) -> None:
    """Let no two rows with the same value of *column* meet *condition*, which is about *what*."""
    name = f"one_{what}_{_table(mapper).name}"
    Index(name, column, unique=True, sqlite_where=condition, postgresql_where=condition)
