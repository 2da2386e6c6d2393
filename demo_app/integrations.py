"""Integrations between the database and the library: made, found for a login, and their private keys sealed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from flask import current_app
from sqlalchemy import func, select

from social_bitbucket_server.integration import Integration
from social_bitbucket_server.key_ring import KeyRing
from social_bitbucket_server.keys import PrivateKey, new_consumer_key
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.server_url import BaseURLRules, ServerURL

from . import audit, clock, database, sessions
from .config import Settings
from .instance_files import UnsafeSettingError
from .models import IntegrationRecord, KeyPair, KeyState, Organization, SocialStorage, User

_PURPOSE = "integration-private-key"
_ANY_BASE_URL = BaseURLRules(plain_http_hosts=None)


class SealedKeys:
    """Private keys as they rest in the database, sealed with *ring*; each is opened and parsed once."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._opened: dict[str, PrivateKey] = {}

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

    def reseal(self, pair: KeyPair) -> None:
        """Seal the private key of *pair* again, with the newest key of the ring."""
        pair.sealed_private_key = self._ring.reseal(
            pair.sealed_private_key or "", purpose=_PURPOSE, integration_id=pair.integration_id, key_id=pair.id
        )

    def open(self, pair: KeyPair) -> PrivateKey:
        """The private key of *pair*. Raises ``sealed_key_unopenable``."""
        sealed = pair.sealed_private_key or ""
        if sealed not in self._opened:
            pem = self._ring.open(sealed, purpose=_PURPOSE, integration_id=pair.integration_id, key_id=pair.id)
            self._opened[sealed] = PrivateKey.read(pem)
        return self._opened[sealed]


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
    _add_key_pair(record)
    audit.record("integration.created", integration_id=record.id, insecure=server_url.scheme == "http")
    database.session.commit()
    return record


def replace_key_pair(record: IntegrationRecord) -> None:
    """Give *record* a new key pair at once. The old private key is erased; the caller says what that means."""
    for pair in record.key_pairs:
        if pair.state is KeyState.ACTIVE:
            pair.stored_state = KeyState.RETIRED.value
            pair.sealed_private_key = None
            audit.record("key.retired", integration_id=record.id)
    database.session.flush()
    _add_key_pair(record)
    database.session.commit()


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
    """Delete *record* and everybody who logs in through it, with their identities and sessions."""
    audit.record("integration.deleted", integration_id=record.id)
    database.session.delete(record)
    database.session.commit()


def reseal_keys() -> int:
    """Seal every private key with the ring's newest key, so that the older ones can be taken out of it. Returns how
    many; one that cannot be opened stops it, and those before it stay done."""
    pairs = database.session.scalars(select(KeyPair).where(KeyPair.sealed_private_key.is_not(None))).all()
    for pair in pairs:
        sealed_keys().reseal(pair)
        database.session.commit()
    return len(pairs)


def newest_key_opens() -> bool:
    """Whether the configured ring opens what was sealed last; true where nothing was."""
    pair = database.session.scalar(
        select(KeyPair)
        .where(KeyPair.sealed_private_key.is_not(None))
        .order_by(KeyPair.created_at.desc(), KeyPair.id)
        .limit(1)
    )
    try:
        return pair is None or sealed_keys().open(pair) is not None
    except BitbucketServerError:
        return False


def count_people(record: IntegrationRecord) -> int:
    """How many people log in through *record*."""
    count = select(func.count()).select_from(User).where(User.integration_id == record.id)
    return database.session.scalar(count) or 0


def count_identities(record: IntegrationRecord) -> int:
    """How many Bitbucket accounts *record* has recognized."""
    identity: Any = SocialStorage.user  # the columns are the storage's own
    count = select(func.count()).select_from(identity).join(User, User.id == identity.user_id)
    return database.session.scalar(count.where(User.integration_id == record.id)) or 0


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
    return database.session.scalar(
        select(IntegrationRecord)
        .join(Organization)
        .where(
            IntegrationRecord.id == integration_id,
            IntegrationRecord.disabled_at.is_(None),
            Organization.disabled_at.is_(None),
        )
    )


def for_login(integration_id: str) -> Integration | None:
    """What the library asks when a login begins and when it comes back."""
    record = find_enabled(integration_id)
    if record is None:
        return None
    settings: Settings = current_app.extensions["settings"]
    try:
        private_key = sealed_keys().open(record.active_key_pair)
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


def sealed_keys() -> SealedKeys:
    """The application's private keys."""
    keys: SealedKeys = current_app.extensions["sealed_keys"]
    return keys


def _add_key_pair(record: IntegrationRecord) -> None:
    key, key_id = make_private_key(), secrets.token_hex(12)
    record.key_pairs.append(
        KeyPair(
            id=key_id,
            stored_state=KeyState.ACTIVE.value,
            public_key=key.public.pem,
            sealed_private_key=sealed_keys().seal(key, integration_id=record.id, key_id=key_id),
        )
    )
    audit.record("key.created", integration_id=record.id)
