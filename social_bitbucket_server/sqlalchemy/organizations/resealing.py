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
        for table, column, _open_it, reseal in self._sealed():
            for row_id in self._session.scalars(select(table.id).where(column != "")).all():
                row = self._session.get(table, row_id)
                sealed = getattr(row, column.key, None)
                if not sealed:
                    continue
                try:
                    values = {column: reseal(row)}
                except BitbucketServerError:
                    failed += 1
                    continue
                # What was changed meanwhile is left to the next run.
                resealed = update(table).where(table.id == row_id, column == sealed).values(values)
                self._session.execute(resealed)
                self._session.commit()
                done += 1
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
        try:
            for table, column, open_it, _reseal in self._sealed():
                rows = select(table).where(column != "").limit(1)
                oldest = self._session.scalar(rows.order_by(table.created_at, table.id))
                newest = self._session.scalar(rows.order_by(table.created_at.desc(), table.id.desc()))
                for row in (oldest, newest):
                    if row is not None:
                        open_it(row)
        except BitbucketServerError:
            return False
        return True

    def _sealed(self) -> Iterator[tuple[Any, Any, Callable[[Any], object], Callable[[Any], str]]]:
        """Yield each table with a sealed column, that column, and what opens and reseals it in a row."""
        models, keys = self._models, self._keys
        pair, credentials, integration = models.key_pair, models.client_credentials, models.integration
        yield pair, pair.sealed_private_key, keys.open_private_key, keys.reseal_private_key
        yield credentials, credentials.sealed_client_secret, keys.open_client_secret, keys.reseal_client_secret
        yield integration, integration.sealed_client_key, keys.open_client_key, keys.reseal_client_key

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
