"""Integrations between the database and the library: made, found for a login, and their private keys sealed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from flask import current_app, g, url_for
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import contains_eager, joinedload, selectinload

from social_bitbucket_server.crypto import KeyRing, PrivateKey, Secret, new_consumer_key
from social_bitbucket_server.integration import (
    Admission,
    BaseURLRules,
    ConnectTo,
    Integration,
    OAuth2Integration,
    ServerURL,
)
from social_bitbucket_server.login import LIFETIME
from social_bitbucket_server.organizations import (
    Assembler,
    EventCode,
    KeyState,
    OAuth,
    SealedKeys,
    Unopened,
    WayOut,
    link_path,
    oldest_login_began,
)
from social_bitbucket_server.problems import BitbucketServerError, Code
from social_bitbucket_server.transport import ClientCertificate

from . import audit, clock, database, ended_setup_links, identities
from .config import Settings
from .instance_files import UnsafeSettingError
from .models import (
    ApplicationLink,
    ClientCredentials,
    IntegrationRecord,
    KeyPair,
    Organization,
)

_ID = re.compile(r"[0-9a-f]{24}")
_AnyIntegration = TypeVar("_AnyIntegration", Integration, OAuth2Integration)
_ANY_BASE_URL = BaseURLRules(plain_http_hosts=None)
_MINUTE = timedelta(minutes=1)
_LIFETIME_OF_LOGINS = timedelta(seconds=LIFETIME)


class NameTakenError(ValueError):
    """Another integration of the organization has the wanted name; configuration as text knows them by it."""

    def __init__(self) -> None:
        super().__init__("Another integration of this organization has this name. Choose another one.")


def load_key_ring(settings: Settings) -> Secret:
    """The text of the configured ring, or of the one that the first run made. Raises UnsafeSettingError where it was
    lost."""
    text = settings.key_ring or settings.instance.read("key_ring")
    if text is None:
        sealed = (select(KeyPair.id), select(ClientCredentials.id), _with_client_key(IntegrationRecord.id))
        if any(database.session.scalar(rows.limit(1)) for rows in sealed):
            raise UnsafeSettingError(
                f"The key ring is missing, and with it the private keys in the database cannot be opened. "
                f"Put the file {settings.instance.path / 'key_ring'} back, or set KEY_RING."
            )
        text = settings.instance.read_or_make("key_ring", KeyRing.generate)
    return Secret(text)


def _with_client_key(wanted: Any) -> Select[Any]:
    return select(wanted).where(IntegrationRecord.sealed_client_key != "")


def make(
    organization: Organization,
    name: str,
    server_url: ServerURL,
    *,
    ca_certificates: str = "",
    connect_to: ConnectTo | None = None,
    oauth: OAuth = OAuth.ONE,
) -> IntegrationRecord:
    """A new integration of *organization*, with a consumer key and a namespace of its own, and a key pair for OAuth 1.
    For OAuth 2 it waits for its client credentials. Raises NameTakenError."""
    _refuse_taken_name(organization, name)
    key = make_private_key() if oauth is OAuth.ONE else None  # a second, in which nobody waits for the database
    organization.integrations_made = Organization.integrations_made + 1
    database.session.flush()  # the database counts, so that two at once get different numbers
    _refuse_taken_name(organization, name)  # the other one is there by now
    record = IntegrationRecord(
        id=secrets.token_hex(12),
        organization_id=organization.id,
        number=organization.integrations_made,
        name=name,
        base_url=str(server_url),
        namespace=new_namespace(),
        ca_certificates=ca_certificates,
        connect_to=str(connect_to or ""),
        oauth1_ended_at=clock.now() if oauth is OAuth.TWO else None,
    )
    database.session.add(record)
    database.session.flush()
    if key is not None:
        add_key_pair(record, key, KeyState.ACTIVE, add_link(record))
    audit.record(
        EventCode.INTEGRATION_CREATED,
        org_id=organization.id,
        integration_id=record.id,
        insecure=server_url.scheme == "http",
    )
    database.session.commit()
    return record


def new_namespace() -> str:
    """A namespace that no integration ever had, and none gets again: it is random."""
    return secrets.token_hex(16)


def add_link(record: IntegrationRecord) -> str:
    """Give *record* an application link of its own; returns its consumer key. The caller commits."""
    last = database.session.scalar(
        select(func.max(ApplicationLink.number)).where(ApplicationLink.integration_id == record.id)
    )
    link = ApplicationLink(consumer_key=new_consumer_key(), integration_id=record.id, number=(last or 0) + 1)
    database.session.add(link)
    database.session.flush()
    return link.consumer_key


def add_key_pair(record: IntegrationRecord, key: PrivateKey, state: KeyState, consumer_key: str) -> None:
    """Give *record* a key pair for the application link with this *consumer_key*, with its private key sealed. The
    caller commits."""
    key_id = secrets.token_hex(12)
    database.session.add(
        KeyPair(
            id=key_id,
            integration_id=record.id,
            stored_state=state.value,
            public_key=key.public.pem,
            sealed_private_key=sealed_keys().seal_private_key(
                key, integration_id=record.id, key_id=key_id, state=state
            ),
            consumer_key=consumer_key,
        )
    )
    audit.record(EventCode.KEY_CREATED, org_id=record.organization_id, integration_id=record.id)


def change(
    record: IntegrationRecord,
    *,
    name: str,
    server_url: ServerURL,
    ca_certificates: str = "",
    connect_to: ConnectTo | None = None,
) -> None:
    """Keep what its owner changed. With another base URL everybody begins anew; see :mod:`demo_app.moves`. Raises
    NameTakenError, and changes nothing."""
    if name != record.name:
        lock_organization(record.organization)
        _refuse_taken_name(record.organization, name)
    if record.base_url != str(server_url):
        take_another_server(record, server_url)
    record.name = name
    record.ca_certificates = ca_certificates
    record.connect_to = str(connect_to or "")
    audit.record(EventCode.INTEGRATION_UPDATED, integration_id=record.id, insecure=server_url.scheme == "http")
    database.session.commit()


def take_another_server(record: IntegrationRecord, server_url: ServerURL) -> int:
    """Give *record* another server, where each number is another person's. It gets a new namespace. Identities,
    sessions and the client secret of the old server are deleted. Returns how many identities there were. The caller
    commits."""
    lock(record)  # nobody new comes in meanwhile
    concerned = identities.delete_all_of(record)
    # Whoever has the set-up link was to set the old server up.
    ended_setup_links.end(record, ended_setup_links.ANOTHER_SERVER)
    record.base_url, record.moving_to = str(server_url), None
    record.namespace = new_namespace()
    record.server_version, record.last_login_at = "", None
    if record.client_credentials is not None:
        database.session.delete(record.client_credentials)
    return concerned


def set_enabled(record: IntegrationRecord, *, enabled: bool) -> None:
    """Let people log in through *record* or not; disabling ends the sessions of everybody who did."""
    if enabled and record.disabled_at is not None:
        record.disabled_at = None
        audit.record(EventCode.INTEGRATION_ENABLED, integration_id=record.id)
    elif not enabled and record.disabled_at is None:
        record.disabled_at = clock.now()
        record.end_sessions()
        audit.record(EventCode.INTEGRATION_DISABLED, integration_id=record.id)
    database.session.commit()


def change_admission(record: IntegrationRecord, admission: Admission) -> None:
    """Let those log in whom *admission* names, from the next login on."""
    record.allow_groups, record.allow_projects, record.allow_repositories = map(
        list, (admission.groups, admission.projects, admission.repositories)
    )
    audit.record(EventCode.INTEGRATION_UPDATED, integration_id=record.id, conditions=len(admission.conditions))
    database.session.commit()


def change_client_certificate(record: IntegrationRecord, shown: ClientCertificate | None) -> None:
    """Keep the client certificate for the gateway in front of *record*'s server; ``None`` removes it."""
    certificate, key = shown if shown is not None else ("", Secret())
    if (certificate, key) == (record.client_certificate, kept_client_key(record)):
        return
    record.client_certificate = certificate
    record.sealed_client_key = sealed_keys().seal_client_key(key, integration_id=record.id) if key else ""
    audit.record(EventCode.INTEGRATION_UPDATED, integration_id=record.id)
    database.session.commit()


def kept_client_key(record: IntegrationRecord) -> Secret:
    """Return the key of *record*'s client certificate, or an empty one if there is none or it cannot be opened."""
    try:
        return _ASSEMBLER.client_key(record)
    except BitbucketServerError:
        return Secret()


def lock(record: IntegrationRecord) -> None:
    """Let nobody else change *record* until the caller commits, and read it anew. Databases that lock as a whole do so
    with the first change."""
    # By its id alone: a record may be kept together with rows that are joined from outside, which cannot be locked.
    row = select(IntegrationRecord.id).where(IntegrationRecord.id == record.id).with_for_update()
    database.session.execute(row).one()
    database.session.refresh(record)


def count_change_of_ways_in(organization: Organization) -> None:
    """End the logins under way in *organization*, because another integration is or was the only way in. The caller
    commits."""
    organization.revision = Organization.revision + 1


def lock_organization(organization: Organization) -> None:
    """Let nobody else change the ways into *organization*, or what its integrations are called, until the caller
    commits, and read it anew. What locks on every database is a change, so the row gets the value that it has."""
    database.session.execute(
        update(Organization)
        .where(Organization.id == organization.id)
        .values(name=Organization.name)
        .execution_options(synchronize_session=False)
    )
    database.session.refresh(organization)


def _refuse_taken_name(organization: Organization, name: str) -> None:
    is_taken = select(IntegrationRecord.id).where(
        IntegrationRecord.organization_id == organization.id, IntegrationRecord.name == name
    )
    if database.session.scalar(is_taken.limit(1)) is not None:
        raise NameTakenError


def delete(record: IntegrationRecord) -> None:
    """Delete *record* with the identities and sessions of everybody who logs in through it. Who has no other way in is
    deleted with it. Where it was the only way in, all others are open afterwards."""
    lock_organization(record.organization)  # before the integration, as whoever enforces one does
    lock(record)  # nobody new comes in meanwhile
    if record.enforced_at is not None:
        end_enforcement(record)
    identities.delete_people_without_another(record)
    ended_setup_links.end(record, ended_setup_links.DELETED)
    audit.record(EventCode.INTEGRATION_DELETED, integration_id=record.id)
    database.session.delete(record)
    database.session.commit()


def note_login(record: IntegrationRecord) -> None:
    """Keep when somebody logged in last through *record*, to the minute: everybody who logs in at once would wait for
    this one row. It may have been deleted meanwhile."""
    now = clock.now()
    if record.last_login_at is None or now - record.last_login_at > _MINUTE:
        noted = update(IntegrationRecord).where(IntegrationRecord.id == record.id).values(last_login_at=now)
        database.session.execute(noted)
        database.session.commit()


def end_enforcement(record: IntegrationRecord) -> None:
    """Open all ways in again after *record* was the only one. The caller holds the lock of the organization, and
    commits."""
    count_change_of_ways_in(record.organization)
    record.enforced_at = None
    audit.record(EventCode.INTEGRATION_NOT_ENFORCED, org_id=record.organization_id, integration_id=record.id)


def reseal_keys() -> tuple[int, int]:
    """Seal every private key, client secret and client certificate's key with the ring's newest key, so that the older
    ones can be taken out of it.

    Each is kept before the next is touched, so it can be interrupted and run again. Returns how many are sealed with
    the newest key now, and how many could not be opened and stay as they are.
    """
    done = failed = 0
    keys = sealed_keys()
    sealed_columns: tuple[tuple[Any, Callable[[Any], str]], ...] = (
        (KeyPair.sealed_private_key, keys.reseal_private_key),
        (ClientCredentials.sealed_client_secret, keys.reseal_client_secret),
        (IntegrationRecord.sealed_client_key, keys.reseal_client_key),
    )
    for column, reseal in sealed_columns:
        for row_id in database.session.scalars(select(column.class_.id).where(column != "")).all():
            try:
                done += _reseal(column, row_id, reseal)
            except BitbucketServerError:
                failed += 1
    return done, failed


def _reseal(column: Any, row_id: str, reseal: Callable[[Any], str]) -> bool:
    """Return whether the row still had something in *column*. What was changed meanwhile is left to the next run."""
    table = column.class_
    row = database.session.get(table, row_id)
    sealed = getattr(row, column.key, None)
    if not sealed:
        return False
    database.session.execute(update(table).where(table.id == row_id, column == sealed).values({column: reseal(row)}))
    database.session.commit()
    return True


def ring_opens_keys() -> bool:
    """Whether the configured ring opens the oldest and the newest private key, client secret and client certificate's
    key; true where there are none.

    A ring is lost at one moment: of what was sealed before it, the oldest does not open.
    """
    keys = sealed_keys()
    sealed_pairs = select(KeyPair).where(KeyPair.sealed_private_key.is_not(None))
    try:
        for pair in _oldest_and_newest(sealed_pairs, KeyPair):
            keys.open_private_key(pair)
        for credentials in _oldest_and_newest(select(ClientCredentials), ClientCredentials):
            keys.open_client_secret(credentials)
        for record in _oldest_and_newest(_with_client_key(IntegrationRecord), IntegrationRecord):
            keys.open_client_key(record)
    except BitbucketServerError:
        return False
    return True


def _oldest_and_newest(rows: Any, table: Any) -> list[Any]:
    oldest = rows.order_by(table.created_at, table.id).limit(1)
    newest = rows.order_by(table.created_at.desc(), table.id.desc()).limit(1)
    return [row for row in map(database.session.scalar, (oldest, newest)) if row is not None]


def of(organization: Organization) -> Sequence[IntegrationRecord]:
    """All integrations of *organization*, oldest first."""
    return database.session.scalars(
        select(IntegrationRecord)
        .options(selectinload(IntegrationRecord.client_credentials))
        .where(IntegrationRecord.organization_id == organization.id)
        .order_by(IntegrationRecord.number)
    ).all()


def enabled_of(organization: Organization) -> Sequence[IntegrationRecord]:
    """The integrations of *organization* that people can log in through, oldest first."""
    return [record for record in of(organization) if record.disabled_at is None]


def find(organization: Organization, integration_id: str) -> IntegrationRecord | None:
    """The integration *integration_id* of *organization*, never another organization's."""
    if not _ID.fullmatch(integration_id):
        return None
    return database.session.scalar(
        select(IntegrationRecord).where(
            IntegrationRecord.id == integration_id, IntegrationRecord.organization_id == organization.id
        )
    )


def organization_of(integration_id: str) -> int | None:
    """The id of the organization whose integration it is, if it is anybody's."""
    if not _ID.fullmatch(integration_id):
        return None
    whose = select(IntegrationRecord.organization_id).where(IntegrationRecord.id == integration_id)
    return database.session.scalar(whose)


def find_enabled(integration_id: str) -> IntegrationRecord | None:
    """The integration *integration_id*, if it and its organization are enabled."""
    return database.session.scalar(_enabled(integration_id)) if _ID.fullmatch(integration_id) else None


def for_login(integration_id: str) -> Integration | None:
    """Return the integration for a login by OAuth 1, or ``None``. The library calls this when a login begins and when
    it comes back. Logins that were under way when OAuth 2 replaced OAuth 1 can be finished for as long as logins
    take."""
    with_keys = _current(integration_id).options(joinedload(IntegrationRecord.key_pairs))
    record = database.session.scalars(with_keys).unique().one_or_none()
    pair = record.active_key_pair if record is not None else None
    if record is None or pair is None:
        return None
    now = clock.now()
    if record.oauth1_ended_at is not None and record.oauth1_ended_at < oldest_login_began(
        now=now, lifetime=_LIFETIME_OF_LOGINS
    ):
        return None
    replaced = record.pairs_in_use.finishing_logins(now=now, lifetime=_LIFETIME_OF_LOGINS)
    return _when_all_is_read(signing_with(record, pair, pending=record.pending_key_pair, replaced=replaced))


def for_oauth2_login(integration_id: str) -> OAuth2Integration | None:
    """Return the integration for a login by OAuth 2, or ``None``. The library calls this when a login begins and when
    it comes back."""
    record = database.session.scalar(_current(integration_id))
    if record is None or record.client_credentials is None:
        return None
    return _when_all_is_read(by_oauth2(record, record.client_credentials))


def _when_all_is_read(integration: _AnyIntegration) -> _AnyIntegration:
    """Let nobody wait for this request's connection to the database while Bitbucket is asked."""
    if not database.holds_commits():
        database.session.commit()
    return integration


def signing_with(
    record: IntegrationRecord, pair: KeyPair, *, pending: KeyPair | None = None, replaced: KeyPair | None = None
) -> Integration:
    """Return *record* as the library expects it, with requests signed by *pair*'s private key; see
    :meth:`~social_bitbucket_server.organizations.Assembler.signing_with`."""
    return _ASSEMBLER.signing_with(
        record, pair, _way_out(record), pending=pending, replaced=replaced, base_url=_base_url_to_try(record)
    )


def by_oauth2(record: IntegrationRecord, credentials: ClientCredentials) -> OAuth2Integration:
    """Return *record* as the library expects it for OAuth 2. Raises what :func:`signing_with` raises."""
    return _ASSEMBLER.by_oauth2(record, credentials, _way_out(record), base_url=_base_url_to_try(record))


def _way_out(record: IntegrationRecord) -> WayOut:
    settings: Settings = current_app.extensions["settings"]
    return settings.outbound.way_out(str(record.organization_id))


def _base_url_to_try(record: IntegrationRecord) -> str | None:
    return record.moving_to if g.get("tries_the_move") else None


def _note_unopened(unopened: Unopened) -> None:
    audit.record(
        EventCode.KEY_DECRYPT_FAILED,
        outcome="failure",
        integration_id=unopened.integration_id,
        code=f"{unopened.left_out}_key" if unopened.left_out is not None else None,
    )


def ready_for(record: IntegrationRecord, oauth: OAuth) -> Integration | OAuth2Integration:
    """*record* as the library wants it for *oauth*, one of its ways or the one that is being prepared.

    Raises ``setting_missing`` where that is not configured, and what :func:`signing_with` raises.
    """
    if oauth is OAuth.ONE and record.active_key_pair is not None:
        return signing_with(record, record.active_key_pair)
    if oauth is OAuth.TWO and record.client_credentials is not None:
        return by_oauth2(record, record.client_credentials)
    parameter = "private_key" if oauth is OAuth.ONE else "client_id"
    raise BitbucketServerError(Code.SETTING_MISSING, parameter=parameter)


def server_url(record: IntegrationRecord) -> ServerURL:
    """The base URL of *record*, to be shown; whether it may still be asked is decided when a login begins."""
    return ServerURL.parse(record.base_url, _ANY_BASE_URL)


def new_server_url(record: IntegrationRecord) -> ServerURL | None:
    """The base URL that waits for a trial login, to be shown."""
    return ServerURL.parse(record.moving_to, _ANY_BASE_URL) if record.moving_to is not None else None


def link_number(record: IntegrationRecord, pair: KeyPair) -> int:
    """Return which of *record*'s application links *pair* belongs to, from 1."""
    return next(link.number for link in record.application_links if link.consumer_key == pair.consumer_key)


def application_path(record: IntegrationRecord, link: int = 1) -> str:
    """Return the path of the Application URL of *record*'s application link with the number *link*. All of an
    organization's show the same page."""
    return link_path(f"/o/{record.organization.slug}/", integration=record.number, link=link)


def callback_path(record: IntegrationRecord, oauth: OAuth) -> str:
    """The path where logins come back to; with OAuth 2 it is a part of the Redirect URL."""
    return url_for("login.complete" if oauth is OAuth.ONE else "login.complete_oauth2", integration=record.id)


def make_private_key() -> PrivateKey:
    """A new private key, of the library's default size."""
    return PrivateKey.generate()


def _enabled(integration_id: str) -> Select[Any]:
    return (
        select(IntegrationRecord)
        .join(IntegrationRecord.organization)
        .options(contains_eager(IntegrationRecord.organization), joinedload(IntegrationRecord.client_credentials))
        .where(
            IntegrationRecord.id == integration_id,
            IntegrationRecord.disabled_at.is_(None),
            Organization.disabled_at.is_(None),
        )
    )


def _current(integration_id: str) -> Select[Any]:
    """As the database has it now, also where this request has read it before. While a login is written, nobody changes
    the integration or its organization. Logins share the lock. SQLite locks as a whole with the first change."""
    current = _enabled(integration_id).execution_options(populate_existing=True)
    if not database.holds_commits():
        return current
    # In the order in which others lock them.
    return current.with_for_update(read=True, of=[Organization, IntegrationRecord])


def sealed_keys() -> SealedKeys:
    """The application's private keys."""
    keys: SealedKeys = current_app.extensions["sealed_keys"]
    return keys


_ASSEMBLER = Assembler(sealed_keys, _note_unopened)
