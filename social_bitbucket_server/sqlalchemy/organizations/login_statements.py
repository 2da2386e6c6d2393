"""The statements by which a login reads its integration. Each is made once, because making it takes longer than sending
it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import aliased, contains_eager, joinedload

from ...organizations import OAuth
from .ready_made import OrganizationModels


class LoginStatements:
    """Statements for the tables of *models*. Their parameter ``integration_id`` says which integration is read."""

    def __init__(self, models: OrganizationModels) -> None:
        self._models = models
        self._integration = cast("Any", models.integration)

    @cached_property
    def enabled(self) -> Select[Any]:
        """Read the integration if it is enabled, with its organization, the ways into it, and client credentials."""
        integration = self._integration
        return (
            select(integration)
            .join(integration.organization)
            .join(integration.ways_into_organization)
            .options(
                contains_eager(integration.organization),
                contains_eager(integration.ways_into_organization),
                joinedload(integration.client_credentials),
            )
            .where(integration.id == bindparam("integration_id"), integration.disabled_at.is_(None))
        )

    @cached_property
    def with_enforced(self) -> Select[Any]:
        """Read what :attr:`current` reads for OAuth 1. The second column is the id of the integration that is enforced
        in its organization."""
        other = aliased(self._integration)
        enforced = (
            select(other.id)
            .where(other.organization_id == self._integration.organization_id, other.enforced_at.is_not(None))
            .scalar_subquery()
        )
        return self.current[OAuth.ONE].add_columns(enforced)

    @cached_property
    def current(self) -> Mapping[OAuth, Select[Any]]:
        """Read the integration as the database has it now, also if this request has read it before. For a login by
        OAuth 1, read its key pairs, too."""
        current = self.enabled.execution_options(populate_existing=True)
        return {OAuth.ONE: current.options(joinedload(self._integration.key_pairs)), OAuth.TWO: current}

    @cached_property
    def current_and_locked(self) -> Mapping[OAuth, Select[Any]]:
        """Read what :attr:`current` reads, and lock it. Until the transaction ends, nobody changes the integration or
        its organization. Logins share the lock. SQLite locks as a whole with the first change."""
        models = self._models
        # In the order in which others lock them.
        locked = [models.organization, models.ways, models.integration]
        return {oauth: current.with_for_update(read=True, of=locked) for oauth, current in self.current.items()}
