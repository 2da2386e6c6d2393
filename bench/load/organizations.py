"""Organizations by the thousand, each with one integration, written to the database at once."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from flask import Flask
from sqlalchemy import Connection, insert, text

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.organizations import KeyState
from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.flask_app.models import Organization, models

from .visitors import Door

_AT_ONCE = 2000
_PUBLIC_KEY_BYTES, _SEALED_BYTES = 330, 1750  # before base64; of the default key's size


def add(app: Flask, ports: Sequence[int], keys: Sequence[PrivateKey], *, beside: int = 0) -> list[Door]:
    """Add an organization for each of the *ports*, with an integration that works, and *beside* them those that nobody
    uses: their keys are made up."""
    begun = secrets.token_hex(4)
    engine = app.extensions["engine"]
    doors = []
    with app.app_context(), engine.begin() as connection:
        for number, port in enumerate(ports):
            key = keys[number % len(keys)]
            doors.append(_one(connection, f"{begun}-{number}", f"https://127.0.0.1:{port}", key))
        for first in range(0, beside, _AT_ONCE):
            _unused(connection, begun, range(first, min(beside, first + _AT_ONCE)))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))  # as the databases do by themselves after a while
    return doors


def _one(connection: Connection, slug: str, base_url: str, key: PrivateKey) -> Door:
    organization_id = _inserted_organizations(connection, [slug])[0]
    row = _integration(organization_id, base_url)
    pair_id = secrets.token_hex(12)
    sealed = store.keys.seal_private_key(key, integration_id=row["id"], key_id=pair_id, state=KeyState.ACTIVE)
    connection.execute(insert(models.integration), [row])
    # The same key serves several; only the column must differ.
    _insert_pairs(connection, [_pair(row["id"], pair_id, f"{key.public.pem}{pair_id}", sealed)])
    return Door(slug, row["id"], row["namespace"])


def _unused(connection: Connection, begun: str, numbers: Sequence[int]) -> None:
    organizations = _inserted_organizations(connection, [f"{begun}-unused-{number}" for number in numbers])
    rows = [_integration(organization_id, "https://bitbucket.example") for organization_id in organizations]
    connection.execute(insert(models.integration), rows)
    made_up = _made_up()
    pairs = [_pair(row["id"], secrets.token_hex(12), next(made_up), next(made_up)) for row in rows]
    _insert_pairs(connection, pairs)


def _insert_pairs(connection: Connection, pairs: Sequence[dict[str, Any]]) -> None:
    """Insert pairs, each for an application link of its own."""
    links = [{"consumer_key": pair["consumer_key"], "integration_id": pair["integration_id"]} for pair in pairs]
    connection.execute(insert(models.application_link), [{**link, "number": 1} for link in links])
    connection.execute(insert(models.key_pair), pairs)


def _made_up() -> Iterator[str]:
    """Return a public key and a sealed private key in turn, as long as real ones."""
    while True:
        yield base64.b64encode(os.urandom(_PUBLIC_KEY_BYTES)).decode()
        yield base64.b64encode(os.urandom(_SEALED_BYTES)).decode()


def _inserted_organizations(connection: Connection, slugs: Sequence[str]) -> Sequence[int]:
    rows = [{"slug": slug, "name": slug} for slug in slugs]
    made = connection.scalars(insert(Organization).returning(Organization.id), rows).all()
    connection.execute(insert(models.ways), [{"organization_id": one, "integrations_made": 1} for one in made])
    return made


def _integration(organization_id: int, base_url: str) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(12),
        "organization_id": organization_id,
        "number": 1,
        "name": "Bitbucket",
        "base_url": base_url,
        "namespace": secrets.token_hex(16),
    }


def _pair(integration_id: str, pair_id: str, public_key: str, sealed: str) -> dict[str, Any]:
    return {
        "id": pair_id,
        "integration_id": integration_id,
        "state": KeyState.ACTIVE.value,
        "public_key": public_key,
        "sealed_private_key": sealed,
        "consumer_key": secrets.token_hex(16),
        "created_at": clock.now(),
    }
