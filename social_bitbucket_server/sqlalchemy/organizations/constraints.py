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
    table = _table(mapper)
    table.append_constraint(UniqueConstraint(table.c.organization_id, table.c.number))
    _one_where(table, "enforced", table.c.organization_id, table.c.enforced_at.is_not(None))


@event.listens_for(ApplicationLinkMixin, "after_mapper_constructed", propagate=True)
def _constrain_links(mapper: Mapper[Any], _mapped: Any) -> None:
    table = _table(mapper)
    table.append_constraint(UniqueConstraint(table.c.integration_id, table.c.number))
    table.append_constraint(UniqueConstraint(table.c.consumer_key, table.c.integration_id))


@event.listens_for(ClientCredentialsMixin, "after_mapper_constructed", propagate=True)
def _constrain_credentials(mapper: Mapper[Any], _mapped: Any) -> None:
    table = _table(mapper)
    table.append_constraint(UniqueConstraint(table.c.integration_id))


@event.listens_for(KeyPairMixin, "after_mapper_constructed", propagate=True)
def _constrain_key_pairs(mapper: Mapper[Any], mapped: type[KeyPairMixin]) -> None:
    table, link = _table(mapper), _table(inspect(mapped.application_link_class)).c
    own, others = (table.c.consumer_key, table.c.integration_id), (link.consumer_key, link.integration_id)
    table.append_constraint(ForeignKeyConstraint(own, others, ondelete="CASCADE"))
    for state in (KeyState.ACTIVE, KeyState.PENDING, KeyState.REPLACED):
        _one_where(table, state.value, table.c.integration_id, table.c.state == state.value)


@event.listens_for(SetupLinkMixin, "after_mapper_constructed", propagate=True)
def _constrain_setup_links(mapper: Mapper[Any], _mapped: Any) -> None:
    table = _table(mapper)
    _one_where(table, "live", table.c.integration_id, table.c.revoked_at.is_(None))


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


def _one_where(table: Table, what: str, column: Any, condition: Any) -> None:
    """Let no two rows with the same value of *column* meet *condition*, which is about *what*."""
    name = f"one_{what}_{table.name}"
    Index(name, column, unique=True, sqlite_where=condition, postgresql_where=condition)
