"""Everything that the key ring seals, sealed with its newest key, so that older ones can be taken out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import select, update

from ...account import EXTRA_DATA_KEY, erase
from ...problems import BitbucketServerError
from .part import Part


class Resealing(Part):
    """Seals what is stored anew. All of it can be interrupted and run again."""

    def reseal_keys(self) -> tuple[int, int]:
        """Seal every private key, client secret and client certificate's key with the ring's newest key.

        Each is kept before the next is touched. Return how many are sealed with the newest key now, and how many could
        not be opened and stay as they are.
        """
        done = failed = 0
        models, keys = self._models, self._keys
        sealed_columns: tuple[tuple[Any, Any, Callable[[Any], str]], ...] = (
            (models.key_pair, models.key_pair.sealed_private_key, keys.reseal_private_key),
            (models.client_credentials, models.client_credentials.sealed_client_secret, keys.reseal_client_secret),
            (models.integration, models.integration.sealed_client_key, keys.reseal_client_key),
        )
        for table, column, reseal in sealed_columns:
            for row_id in self._session.scalars(select(table.id).where(column != "")).all():
                try:
                    done += self._reseal(table, column, row_id, reseal)
                except BitbucketServerError:
                    failed += 1
        return done, failed

    def reseal_tokens(self, reseal: Callable[[Any], object]) -> tuple[int, int]:
        """Seal every access token that is kept by calling *reseal* with its identity. Return what :meth:`reseal_keys`
        returns."""
        done = failed = 0
        for identity in self._with_tokens():
            try:
                reseal(identity)
                done += 1
            except BitbucketServerError:
                failed += 1
        return done, failed

    def forget_tokens(self) -> int:
        """Erase every access token that is kept. Return how many there were."""
        forgotten = 0
        for identity in self._with_tokens():
            erase(identity)
            forgotten += 1
        return forgotten

    def opens_keys(self) -> bool:
        """Return whether the configured ring opens the oldest and the newest private key, client secret and client
        certificate's key; true if there are none.

        A ring is lost at one moment: of what was sealed before it, the oldest does not open.
        """
        models, keys = self._models, self._keys
        sealed: tuple[tuple[Any, Any, Callable[[Any], object]], ...] = (
            (models.key_pair, models.key_pair.sealed_private_key, keys.open_private_key),
            (models.client_credentials, models.client_credentials.sealed_client_secret, keys.open_client_secret),
            (models.integration, models.integration.sealed_client_key, keys.open_client_key),
        )
        try:
            for table, column, open_it in sealed:
                for row in self._oldest_and_newest(table, column):
                    open_it(row)
        except BitbucketServerError:
            return False
        return True

    def _reseal(self, table: Any, column: Any, row_id: str, reseal: Callable[[Any], str]) -> bool:
        """Return whether the row still had something in *column*. What was changed meanwhile is left to the next
        run."""
        row = self._session.get(table, row_id)
        sealed = getattr(row, column.key, None)
        if not sealed:
            return False
        resealed = update(table).where(table.id == row_id, column == sealed).values({column: reseal(row)})
        self._session.execute(resealed)
        self._session.commit()
        return True

    def _oldest_and_newest(self, table: Any, column: Any) -> list[Any]:
        rows = select(table).where(column != "")
        oldest = rows.order_by(table.created_at, table.id).limit(1)
        newest = rows.order_by(table.created_at.desc(), table.id.desc()).limit(1)
        return [row for row in map(self._session.scalar, (oldest, newest)) if row is not None]

    def _with_tokens(self) -> Iterator[Any]:
        """Yield each identity with an access token that is kept, locked. What the caller did to it is committed."""
        identity = self._models.identity
        has_token = identity.extra_data[EXTRA_DATA_KEY].as_string().is_not(None)
        for identity_id in self._session.scalars(select(identity.id).where(has_token).order_by(identity.id)).all():
            # Whoever logs in meanwhile, and keeps a newer token, waits for this change of nothing to be over.
            unchanged = update(identity).where(identity.id == identity_id).values(name=identity.name)
            self._session.execute(unchanged.execution_options(synchronize_session=False))
            found = self._session.get(identity, identity_id, populate_existing=True)
            if found is not None and EXTRA_DATA_KEY in found.extra_data:
                yield found
            self._session.commit()
