"""Integrations: made, changed, deleted, and found for a login."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import func, inspect, select, update
from sqlalchemy.orm import selectinload

from ...crypto import PrivateKey, Secret, new_consumer_key
from ...integration import (
    Admission,
    BaseURLRules,
    ConnectTo,
    Integration,
    OAuth2Integration,
    Roles,
    ServerURL,
    refuse_too_many,
)
from ...login import LIFETIME
from ...organizations import (
    Assembler,
    EventCode,
    KeyState,
    LoginWays,
    OAuth,
    SetupLinkCondition,
    Unopened,
    WayOut,
    oldest_login_began,
)
from ...problems import BitbucketServerError, Code
from ...transport import ClientCertificate
from ..sessions import holds_commits
from . import clock
from .login_statements import LoginStatements
from .models import ClientCredentialsMixin, IntegrationMixin, KeyPairMixin
from .part import Part
from .ways_in import login_ways

if TYPE_CHECKING:
    from .store import Store

_ID = re.compile(r"[0-9a-f]{24}")
_AnyIntegration = TypeVar("_AnyIntegration", Integration, OAuth2Integration)
_ANY_BASE_URL = BaseURLRules(plain_http_hosts=None)
_MINUTE = timedelta(minutes=1)
_LIFETIME_OF_LOGINS = timedelta(seconds=LIFETIME)
_TRIED: ContextVar[str | None] = ContextVar("social_bitbucket_server_moves", default=None)


class NameTakenError(ValueError):
    """Another integration of the organization has the wanted name; configuration as text knows them by it."""

    def __init__(self) -> None:
        super().__init__("Another integration of this organization has this name. Choose another one.")


class Integrations(Part):
    """Integrations of organizations."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._statements = LoginStatements(store.models)
        self._assembler = Assembler(lambda: store.keys, self._note_unopened, lambda: store.role_names)

    def make(
        self,
        organization: Any,
        name: str,
        server_url: ServerURL,
        *,
        ca_certificates: str = "",
        connect_to: ConnectTo | None = None,
        oauth: OAuth = OAuth.ONE,
    ) -> IntegrationMixin:
        """Make an integration of *organization*, with a consumer key and a namespace of its own, and a key pair for
        OAuth 1. For OAuth 2 it waits for its client credentials. Raises NameTakenError."""
        self._refuse_taken_name(organization, name)
        key = make_private_key() if oauth is OAuth.ONE else None  # a second, in which nobody waits for the database
        ways = self._store.ways_in.lock(organization)
        self._refuse_taken_name(organization, name)  # another one may be there by now
        ways.integrations_made = ways.integrations_made + 1
        record = self._models.integration(
            id=secrets.token_hex(12),
            organization_id=ways.organization_id,
            number=ways.integrations_made,
            name=name,
            base_url=str(server_url),
            namespace=_new_namespace(),
            ca_certificates=ca_certificates,
            connect_to=str(connect_to or ""),
            oauth1_ended_at=clock.now() if oauth is OAuth.TWO else None,
        )
        self._session.add(record)
        self._session.flush()
        if key is not None:
            self.add_key_pair(record, key, KeyState.ACTIVE, self.add_link(record))
        self._note(EventCode.INTEGRATION_CREATED, record, insecure=server_url.scheme == "http")
        self._session.commit()
        return record

    def add_link(self, record: IntegrationMixin) -> str:
        """Give *record* an application link of its own. Return its consumer key. The caller commits."""
        link_class = self._models.application_link
        last = self._session.scalar(select(func.max(link_class.number)).where(link_class.integration_id == record.id))
        link = link_class(consumer_key=new_consumer_key(), integration_id=record.id, number=(last or 0) + 1)
        self._session.add(link)
        self._session.flush()
        return link.consumer_key

    def add_key_pair(self, record: IntegrationMixin, key: PrivateKey, state: KeyState, consumer_key: str) -> None:
        """Give *record* a key pair for the application link with this *consumer_key*, with its private key sealed. The
        caller commits."""
        key_id = secrets.token_hex(12)
        self._session.add(
            self._models.key_pair(
                id=key_id,
                integration_id=record.id,
                stored_state=state.value,
                public_key=key.public.pem,
                sealed_private_key=self._keys.seal_private_key(
                    key, integration_id=record.id, key_id=key_id, state=state
                ),
                consumer_key=consumer_key,
            )
        )
        self._note(EventCode.KEY_CREATED, record)

    def change(
        self,
        record: IntegrationMixin,
        *,
        name: str,
        server_url: ServerURL,
        ca_certificates: str = "",
        connect_to: ConnectTo | None = None,
    ) -> None:
        """Keep what an admin changed. With another base URL everybody begins anew; see :mod:`~.moves`. Raises
        NameTakenError, and changes nothing."""
        if name != record.name:
            self._store.ways_in.lock(record.organization)
            self._refuse_taken_name(record.organization, name)
        if record.base_url != str(server_url):
            self.take_another_server(record, server_url)
        record.name = name
        record.ca_certificates = ca_certificates
        record.connect_to = str(connect_to or "")
        self._note(EventCode.INTEGRATION_UPDATED, record, insecure=server_url.scheme == "http")
        self._session.commit()

    def take_another_server(self, record: IntegrationMixin, server_url: ServerURL) -> int:
        """Give *record* another server, where each number is another person's. It gets a new namespace. Identities,
        sessions and the client secret of the old server are deleted. Return how many identities there were. The caller
        commits."""
        self.lock(record)  # nobody new comes in meanwhile
        concerned = self._store.identities.delete_all_of(record)
        # Whoever has the set-up link was to set the old server up.
        self._store.setup_links.end(record, SetupLinkCondition.ANOTHER_SERVER)
        record.base_url, record.moving_to = str(server_url), None
        record.namespace = _new_namespace()
        record.server_version, record.last_login_at = "", None
        if record.client_credentials is not None:
            self._session.delete(record.client_credentials)
        return concerned

    def set_enabled(self, record: IntegrationMixin, *, enabled: bool) -> None:
        """Let people log in through *record* or not. Disabling ends the sessions of everybody who did."""
        if enabled and record.disabled_at is not None:
            record.disabled_at = None
            self._note(EventCode.INTEGRATION_ENABLED, record)
        elif not enabled and record.disabled_at is None:
            record.disabled_at = clock.now()
            record.end_sessions()
            self._note(EventCode.INTEGRATION_DISABLED, record)
        self._session.commit()

    def roles_of(self, record: IntegrationMixin) -> Roles:
        """Return the roles that *record* gives, apart from those that the application offers no more."""
        return self._assembler.roles_of(record)

    def change_admission(self, record: IntegrationMixin, admission: Admission, roles: Roles) -> None:
        """Keep who may log in, and which roles people have. Both count from the next login on. Raises
        ``setting_invalid``, and changes nothing, if one login cannot ask for so much."""
        refuse_too_many(roles, admission)
        record.role_conditions = roles.fields
        record.allow_groups, record.allow_projects, record.allow_repositories = map(
            list, (admission.groups, admission.projects, admission.repositories)
        )
        self._note(EventCode.INTEGRATION_UPDATED, record, conditions=len(admission.conditions), roles=len(roles.named))
        self._session.commit()

    def change_client_certificate(self, record: IntegrationMixin, shown: ClientCertificate | None) -> None:
        """Keep the client certificate for the gateway in front of *record*'s server; ``None`` removes it."""
        certificate, key = shown if shown is not None else ("", Secret())
        if (certificate, key) == (record.client_certificate, self.kept_client_key(record)):
            return
        record.client_certificate = certificate
        record.sealed_client_key = self._keys.seal_client_key(key, integration_id=record.id) if key else ""
        self._note(EventCode.INTEGRATION_UPDATED, record)
        self._session.commit()

    def kept_client_key(self, record: IntegrationMixin) -> Secret:
        """Return the key of *record*'s client certificate, or an empty one if there is none or it cannot be opened."""
        try:
            return self._assembler.client_key(record)
        except BitbucketServerError:
            return Secret()

    def lock(self, record: IntegrationMixin) -> None:
        """Let nobody else change *record* until the caller commits, and read it anew."""
        # By its id alone: a record may be kept together with rows that are joined from outside, which cannot be locked.
        integration = self._models.integration
        self._session.execute(select(integration.id).where(integration.id == record.id).with_for_update()).one()
        touch = update(integration).where(integration.id == record.id).values(number=integration.number)
        self._session.execute(touch, execution_options={"synchronize_session": False})  # SQLite locks with a change
        self._session.refresh(record)

    def delete(self, record: IntegrationMixin) -> None:
        """Delete *record* with the identities and sessions of everybody who logs in through it. Where it was the only
        way in, all others are open afterwards."""
        self._store.ways_in.lock(record.organization)  # before the integration, as whoever enforces one does
        self.lock(record)  # nobody new comes in meanwhile
        if record.enforced_at is not None:
            self._store.ways_in.end_enforcement(record)
        self._store.people.leave(record)
        self._store.setup_links.end(record, SetupLinkCondition.DELETED)
        self._note(EventCode.INTEGRATION_DELETED, record)
        self._session.delete(record)
        self._session.commit()

    def note_login(self, record: IntegrationMixin) -> None:
        """Keep when somebody logged in last through *record*, to the minute: everybody who logs in at once would wait
        for this one row. It may have been deleted meanwhile."""
        now, integration = clock.now(), self._models.integration
        if record.last_login_at is None or now - record.last_login_at > _MINUTE:
            noted = update(integration).where(integration.id == record.id).values(last_login_at=now)
            self._session.execute(noted)
            self._session.commit()

    def note_version(self, integration_id: str, version: str) -> None:
        """Keep the version that a test found."""
        record = self._session.get(self._models.integration, integration_id)
        if record is not None:
            record.server_version = version
        self._session.commit()

    def of(self, organization: Any) -> Sequence[IntegrationMixin]:
        """Return all integrations of *organization*, oldest first."""
        integration: Any = self._models.integration
        return self._session.scalars(
            select(integration)
            .options(selectinload(integration.client_credentials))
            .where(integration.organization == organization)
            .order_by(integration.number)
        ).all()

    def find(self, organization: Any, integration_id: str) -> IntegrationMixin | None:
        """Return the integration *integration_id* of *organization*, never another organization's."""
        integration = self._models.integration
        if not _ID.fullmatch(integration_id):
            return None
        return self._session.scalar(
            select(integration).where(integration.id == integration_id, integration.organization == organization)
        )

    def organization_of(self, integration_id: str) -> Any:
        """Return the primary key of the organization whose integration it is; ``None`` if it is nobody's."""
        integration = self._models.integration
        if not _ID.fullmatch(integration_id):
            return None
        return self._session.scalar(select(integration.organization_id).where(integration.id == integration_id))

    def find_enabled(self, integration_id: str) -> IntegrationMixin | None:
        """Return the integration *integration_id*, if it is enabled and its organization lets people log in."""
        if not _ID.fullmatch(integration_id):
            return None
        return self._if_open(self._session.scalar(self._statements.enabled, {"integration_id": integration_id}))

    def find_with_ways_in(self, integration_id: str) -> tuple[IntegrationMixin, LoginWays] | None:
        """Return what :meth:`find_enabled` returns, with the ways into its organization as they are now; ``None`` if
        there is none. It takes one statement, because each login asks for it twice. With its key pairs, the integration
        is complete for a login."""
        if not _ID.fullmatch(integration_id):
            return None
        asked = self._session.execute(self._statements.with_enforced, {"integration_id": integration_id})
        found = asked.unique().one_or_none()
        if found is None or self._if_open(found[0]) is None:
            return None
        return found[0], login_ways(found[0].ways_into_organization, found[1])

    def for_login(self, integration_id: str, just_read: IntegrationMixin | None = None) -> Integration | None:
        """Return the integration for a login by OAuth 1, or ``None``. The library calls this when a login begins and
        when it comes back. Logins that were under way when OAuth 2 replaced OAuth 1 can be finished for as long as
        logins take.

        *just_read* is what the request has read for its address a moment ago. ``None`` reads the integration now.
        """
        record = self._read(integration_id, OAuth.ONE, just_read)
        pair = record.active_key_pair if record is not None else None
        if record is None or pair is None:
            return None
        now = clock.now()
        if record.oauth1_ended_at is not None and record.oauth1_ended_at < oldest_login_began(
            now=now, lifetime=_LIFETIME_OF_LOGINS
        ):
            return None
        replaced = record.pairs_in_use.finishing_logins(now=now, lifetime=_LIFETIME_OF_LOGINS)
        return self._when_all_is_read(
            self.signing_with(record, pair, pending=record.pending_key_pair, replaced=replaced)
        )

    def for_oauth2_login(
        self, integration_id: str, just_read: IntegrationMixin | None = None
    ) -> OAuth2Integration | None:
        """Return the integration for a login by OAuth 2, or ``None``; see :meth:`for_login`."""
        record = self._read(integration_id, OAuth.TWO, just_read)
        if record is None or record.client_credentials is None:
            return None
        return self._when_all_is_read(self.by_oauth2(record, record.client_credentials))

    def signing_with(
        self,
        record: IntegrationMixin,
        pair: KeyPairMixin,
        *,
        pending: KeyPairMixin | None = None,
        replaced: KeyPairMixin | None = None,
    ) -> Integration:
        """Return *record* as the library expects it, with requests signed with *pair*'s private key; see
        :meth:`~social_bitbucket_server.organizations.Assembler.signing_with`."""
        return self._assembler.signing_with(
            record, pair, self._way_out(record), pending=pending, replaced=replaced, base_url=_base_url_to_try(record)
        )

    def by_oauth2(self, record: IntegrationMixin, credentials: ClientCredentialsMixin) -> OAuth2Integration:
        """Return *record* as the library expects it for OAuth 2. Raises what :meth:`signing_with` raises."""
        return self._assembler.by_oauth2(record, credentials, self._way_out(record), base_url=_base_url_to_try(record))

    def ready_for(self, record: IntegrationMixin, oauth: OAuth) -> Integration | OAuth2Integration:
        """Return *record* as the library expects it for *oauth*, one of its ways or the one that is being prepared.

        Raises ``setting_missing`` if that is not configured, and what :meth:`signing_with` raises.
        """
        if oauth is OAuth.ONE and record.active_key_pair is not None:
            return self.signing_with(record, record.active_key_pair)
        if oauth is OAuth.TWO and record.client_credentials is not None:
            return self.by_oauth2(record, record.client_credentials)
        parameter = "private_key" if oauth is OAuth.ONE else "client_id"
        raise BitbucketServerError(Code.SETTING_MISSING, parameter=parameter)

    def way_out(self, organization: Any) -> WayOut:
        """Return how the servers of *organization* may be reached."""
        return self._store.outbound.way_out(str(self._store.key_of(organization)))

    def _way_out(self, record: IntegrationMixin) -> WayOut:
        return self._store.outbound.way_out(str(record.organization_id))

    def _if_open(self, record: IntegrationMixin | None) -> IntegrationMixin | None:
        return record if record is not None and self._store.may_log_in(record.organization) else None

    def _when_all_is_read(self, integration: _AnyIntegration) -> _AnyIntegration:
        """Let nobody wait for this request's connection to the database while Bitbucket is asked."""
        if not holds_commits(self._session):
            self._session.commit()
        return integration

    def _note_unopened(self, unopened: Unopened) -> None:
        self._record(
            EventCode.KEY_DECRYPT_FAILED,
            outcome="failure",
            integration_id=unopened.integration_id,
            code=f"{unopened.left_out}_key" if unopened.left_out is not None else None,
        )

    def _refuse_taken_name(self, organization: Any, name: str) -> None:
        integration = self._models.integration
        is_taken = select(integration.id).where(integration.organization == organization, integration.name == name)
        if self._session.scalar(is_taken.limit(1)) is not None:
            raise NameTakenError

    def _read(
        self, integration_id: str, oauth: OAuth, just_read: IntegrationMixin | None = None
    ) -> IntegrationMixin | None:
        is_written = holds_commits(self._session)  # for a halted login that goes on, this is the first look-up
        if (
            just_read is not None
            and not is_written
            and not inspect(just_read).expired_attributes
            and just_read.id == integration_id
        ):
            return just_read
        statements = self._statements.current_and_locked if is_written else self._statements.current
        found = self._session.scalars(statements[oauth], {"integration_id": integration_id})
        return self._if_open(found.unique().one_or_none())


@contextmanager
def trying(base_url: str | None) -> Iterator[None]:
    """Send what happens inside to *base_url*, to which a server is about to move; ``None`` changes nothing."""
    token = _TRIED.set(base_url)
    try:
        yield
    finally:
        _TRIED.reset(token)


def _base_url_to_try(record: IntegrationMixin) -> str | None:
    tried = _TRIED.get()
    return tried if tried is not None and tried == record.moving_to else None


def server_url(record: IntegrationMixin) -> ServerURL:
    """Return the base URL of *record*, to be shown. Whether it may still be asked is decided when a login begins."""
    return ServerURL.parse(record.base_url, _ANY_BASE_URL)


def new_server_url(record: IntegrationMixin) -> ServerURL | None:
    """Return the base URL that waits for a trial login, to be shown; ``None`` if none does."""
    return ServerURL.parse(record.moving_to, _ANY_BASE_URL) if record.moving_to is not None else None


def link_number(record: IntegrationMixin, pair: KeyPairMixin) -> int:
    """Return which of *record*'s application links *pair* belongs to, from 1."""
    return next(link.number for link in record.application_links if link.consumer_key == pair.consumer_key)


def make_private_key() -> PrivateKey:
    """Make a private key of the library's default size."""
    return PrivateKey.generate()


def _new_namespace() -> str:
    """Return a namespace that no integration ever had, and none gets again: it is random."""
    return secrets.token_hex(16)
