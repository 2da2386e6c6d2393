"""Integrations between the database and the library: made, found for a login, and their private keys sealed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import lru_cache

from flask import current_app
from sqlalchemy import Select, select, update
from sqlalchemy.orm import contains_eager, joinedload

from social_bitbucket_server.integration import Integration
from social_bitbucket_server.key_ring import KeyRing
from social_bitbucket_server.keys import PrivateKey, new_consumer_key
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.server_url import BaseURLRules, ServerURL

from . import audit, clock, database, identities, sessions
from .config import Settings
from .instance_files import UnsafeSettingError
from .models import IntegrationRecord, KeyPair, KeyState, Organization

_PURPOSE = "integration-private-key"
_ANY_BASE_URL = BaseURLRules(plain_http_hosts=None)

KEYS_KEPT = 1024
"""Private keys that are kept opened in each process."""


class SealedKeys:
    """Private keys as they rest in the database, sealed with *ring*; the :data:`KEYS_KEPT` that were used last are
    opened and parsed once.

    They are known by the sealed record itself: what another process changes in the database is opened anew.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._opened = lru_cache(maxsize=KEYS_KEPT)(self._open)

    @classmethod
    def load(cls, settings: Settings) -> SealedKeys:
        """With the configured ring, or the one that the first run made. Raises UnsafeSettingError where it was lost."""
        text = settings.key_ring or settings.instance.read("key_ring")
        if text is None:
            if database.session.scalar(select(KeyPair.id).limit(1)) is not None:
                raise UnsafeSettingError(
                    f"The key ring is missing, and with it the private keys in the database cannot be opened. "
                    f"Put the file {settings.instance.path / 'key_ring'} back, or set KEY_RING."
                )
            text = settings.instance.read_or_make("key_ring", KeyRing.generate)
        return cls(KeyRing.parse(text))

    def seal(self, key: PrivateKey, *, integration_id: str, key_id: str) -> str:
        """*key* as a record that opens for this integration and this key id only."""
        return self._ring.seal(key.pem().encode(), purpose=_PURPOSE, integration_id=integration_id, key_id=key_id)

    def reseal(self, pair: KeyPair) -> str:
        """The record of *pair*'s private key, sealed with the newest key of the ring."""
        return self._ring.reseal(
            pair.sealed_private_key or "", purpose=_PURPOSE, integration_id=pair.integration_id, key_id=pair.id
        )

    def open(self, pair: KeyPair) -> PrivateKey:
        """The private key of *pair*. Raises ``sealed_key_unopenable``."""
        return self._opened(pair.sealed_private_key or "", pair.integration_id, pair.id)

    # Whose it is belongs to what is known: a record that was copied to another row must not open there.
    def _open(self, sealed: str, integration_id: str, key_id: str) -> PrivateKey:
        return PrivateKey.read(self._ring.open(sealed, purpose=_PURPOSE, integration_id=integration_id, key_id=key_id))


def make(
    organization: Organization, name: str, server_url: ServerURL, *, ca_certificates: str = ""
) -> IntegrationRecord:
    """A new integration of *organization*, with a consumer key, a namespace and a key pair of its own."""
    organization.integrations_made = Organization.integrations_made + 1
    database.session.flush()  # the database counts, so that two at once get different numbers
    record = IntegrationRecord(
        id=secrets.token_hex(12),
        organization_id=organization.id,
        number=organization.integrations_made,
        name=name,
        base_url=str(server_url),
        consumer_key=new_consumer_key(),
        namespace=secrets.token_hex(16),
        ca_certificates=ca_certificates,
    )
    database.session.add(record)
    database.session.flush()
    add_key_pair(record, make_private_key(), KeyState.ACTIVE)
    audit.record(
        "integration.created",
        org_id=organization.id,
        integration_id=record.id,
        insecure=server_url.scheme == "http",
    )
    database.session.commit()
    return record


def add_key_pair(record: IntegrationRecord, key: PrivateKey, state: KeyState) -> None:
    """Give *record* a key pair, with its private key sealed. The caller commits."""
    key_id = secrets.token_hex(12)
    database.session.add(
        KeyPair(
            id=key_id,
            integration_id=record.id,
            stored_state=state.value,
            public_key=key.public.pem,
            sealed_private_key=sealed_keys().seal(key, integration_id=record.id, key_id=key_id),
        )
    )
    audit.record("key.created", org_id=record.organization_id, integration_id=record.id)


def change(
    record: IntegrationRecord, *, name: str, server_url: ServerURL, ca_certificates: str = "", enabled: bool
) -> None:
    """Keep what its owner changed; disabling ends the sessions of everybody who logged in through it."""
    record.name = name
    record.base_url = str(server_url)
    record.ca_certificates = ca_certificates
    if enabled:
        record.disabled_at = None
    elif record.disabled_at is None:
        record.disabled_at = clock.now()
        sessions.end_sessions_of_integration(record)
        audit.record("integration.disabled", integration_id=record.id)
    audit.record("integration.updated", integration_id=record.id, insecure=server_url.scheme == "http")
    database.session.commit()


def delete(record: IntegrationRecord) -> None:
    """Delete *record* with the identities and sessions of everybody who logs in through it. Who has no other way in is
    deleted with it."""
    database.session.refresh(record, with_for_update=True)  # nobody new comes in meanwhile
    identities.delete_people_without_another(record)
    audit.record("integration.deleted", integration_id=record.id)
    database.session.delete(record)
    database.session.commit()


def reseal_keys() -> tuple[int, int]:
    """Seal every private key with the ring's newest key, so that the older ones can be taken out of it.

    Each is kept before the next is touched, so it can be interrupted and run again. Returns how many are sealed with
    the newest key now, and how many could not be opened and stay as they are.
    """
    done = failed = 0
    for key_id in database.session.scalars(select(KeyPair.id).where(KeyPair.sealed_private_key.is_not(None))).all():
        try:
            done += _reseal(key_id)
        except BitbucketServerError:
            failed += 1
    return done, failed


def _reseal(key_id: str) -> bool:
    """Whether the key pair still had a private key. One that was changed meanwhile is left to the next run."""
    pair = database.session.get(KeyPair, key_id)
    if pair is None or pair.sealed_private_key is None:
        return False
    database.session.execute(
        update(KeyPair)
        .where(KeyPair.id == key_id, KeyPair.sealed_private_key == pair.sealed_private_key)
        .values(sealed_private_key=sealed_keys().reseal(pair))
    )
    database.session.commit()
    return True


def ring_opens_keys() -> bool:
    """Whether the configured ring opens the oldest and the newest private key; true where there are none.

    A ring is lost at one moment: of the keys that were sealed before it, the oldest does not open.
    """
    sealed = select(KeyPair).where(KeyPair.sealed_private_key.is_not(None))
    oldest = sealed.order_by(KeyPair.created_at, KeyPair.id).limit(1)
    newest = sealed.order_by(KeyPair.created_at.desc(), KeyPair.id.desc()).limit(1)
    try:
        for pair in filter(None, map(database.session.scalar, (oldest, newest))):
            sealed_keys().open(pair)
    except BitbucketServerError:
        return False
    return True


def of(organization: Organization) -> Sequence[IntegrationRecord]:
    """All integrations of *organization*, oldest first."""
    return database.session.scalars(
        select(IntegrationRecord)
        .where(IntegrationRecord.organization_id == organization.id)
        .order_by(IntegrationRecord.number)
    ).all()


def enabled_of(organization: Organization) -> Sequence[IntegrationRecord]:
    """The integrations of *organization* that people can log in through, oldest first."""
    return [record for record in of(organization) if record.disabled_at is None]


def find(organization: Organization, integration_id: str) -> IntegrationRecord | None:
    """The integration *integration_id* of *organization*, never another organization's."""
    return database.session.scalar(
        select(IntegrationRecord).where(
            IntegrationRecord.id == integration_id, IntegrationRecord.organization_id == organization.id
        )
    )


def find_enabled(integration_id: str) -> IntegrationRecord | None:
    """The integration *integration_id*, if it and its organization are enabled."""
    return database.session.scalar(_enabled(integration_id))


def for_login(integration_id: str) -> Integration | None:
    """What the library asks when a login begins and when it comes back."""
    with_keys = _enabled(integration_id).options(joinedload(IntegrationRecord.key_pairs))
    record = database.session.scalars(with_keys).unique().one_or_none()
    if record is None:
        return None
    return signing_with(record, record.active_key_pair)


def signing_with(record: IntegrationRecord, pair: KeyPair) -> Integration:
    """*record* as the library wants it, with requests signed by *pair*'s private key.

    Raises ``sealed_key_unopenable``, and ``invalid_base_url`` where the operator does not allow the server any more.
    """
    settings: Settings = current_app.extensions["settings"]
    try:
        private_key = sealed_keys().open(pair)
    except BitbucketServerError:
        audit.record("key.decrypt_failed", outcome="failure", integration_id=record.id)
        raise
    return Integration(
        id=record.id,
        server_url=ServerURL.parse(record.base_url, settings.base_url_rules),
        consumer_key=record.consumer_key,
        private_key=private_key,
        namespace=record.namespace,
        name=record.name,
        verify=settings.ca_bundle or True,
        ca_certificates=record.ca_certificates,
        proxies=settings.proxies_of(record.organization.slug),
        address_policy=settings.address_policy(record.organization.slug),
    )


def server_url(record: IntegrationRecord) -> ServerURL:
    """The base URL of *record*, to be shown; whether it may still be asked is decided when a login begins."""
    return ServerURL.parse(record.base_url, _ANY_BASE_URL)


def application_path(record: IntegrationRecord) -> str:
    """The path of the Application URL. One Bitbucket Server refuses the same Application URL twice, so only an
    organization's first integration has the organization's own address; all of them show the same page."""
    path = f"/o/{record.organization.slug}/"
    return path if record.number == 1 else f"{path}i/{record.number}/"


def make_private_key() -> PrivateKey:
    """A new private key, of the library's default size."""
    return PrivateKey.generate()


def _enabled(integration_id: str) -> Select[tuple[IntegrationRecord]]:
    return (
        select(IntegrationRecord)
        .join(IntegrationRecord.organization)
        .options(contains_eager(IntegrationRecord.organization))
        .where(
            IntegrationRecord.id == integration_id,
            IntegrationRecord.disabled_at.is_(None),
            Organization.disabled_at.is_(None),
        )
    )


def sealed_keys() -> SealedKeys:
    """The application's private keys."""
    keys: SealedKeys = current_app.extensions["sealed_keys"]
    return keys
