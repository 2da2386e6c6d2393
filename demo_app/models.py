"""The tables: organizations, their people, and their integrations."""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from flask_login import UserMixin
from sqlalchemy import JSON, ForeignKey, ForeignKeyConstraint, Index, String, Text, UniqueConstraint, event, inspect
from sqlalchemy.orm import Mapped, declared_attr, mapped_column, relationship

from social_bitbucket_server.integration import Admission
from social_bitbucket_server.organizations import KeyPairs, KeyState, OAuth, OAuthVersions
from social_bitbucket_server.sqlalchemy import make_storage

from . import clock, database
from .database import Base, Moment, session


class Organization(Base):
    """A customer: people, and the integrations through which they log in. *slug* is its part of every address.

    *login_key* is a part of its login link, and empty until that was replaced for the first time; since
    *login_closed_at* the link lets nobody in.
    """

    __tablename__ = "organizations"
    __table_args__ = ({"sqlite_autoincrement": True},)  # an id is never given again

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    integrations_made: Mapped[int] = mapped_column(default=0)
    """How many integrations there ever were, so that none gets the number of a deleted one."""
    created_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)
    login_key: Mapped[str] = mapped_column(String(32), default="")
    login_closed_at: Mapped[datetime | None] = mapped_column(Moment)
    revision: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often the ways into it were changed. Logins that began before that end."""

    integrations: Mapped[list[IntegrationRecord]] = relationship(
        back_populates="organization", order_by="IntegrationRecord.number", passive_deletes=True
    )
    people: Mapped[list[User]] = relationship(
        back_populates="organization", order_by="User.display_name", passive_deletes=True
    )


class IntegrationRecord(Base):
    """An organization's configuration for logins through one Bitbucket Server.

    *id* is opaque and a part of addresses. *namespace* is a part of the identity of everybody who logs in here. It is
    random, so that no other integration ever has it. *number* counts within the organization. *ca_certificates* (PEM)
    are trusted for this server instead of the machine's. *connect_to* says where connections go, as ``host:port``. It
    is empty for the base URL's host.
    """

    __tablename__ = "integrations"
    __table_args__ = (UniqueConstraint("organization_id", "number"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    number: Mapped[int]
    name: Mapped[str] = mapped_column(String(80))
    base_url: Mapped[str] = mapped_column(String(255))
    moving_to: Mapped[str | None] = mapped_column(String(255))
    """A new base URL that waits for a trial login to show that it is the same server's."""
    namespace: Mapped[str] = mapped_column(String(32), unique=True)
    ca_certificates: Mapped[str] = mapped_column(Text, default="")
    client_certificate: Mapped[str] = mapped_column(Text, default="", server_default="")
    sealed_client_key: Mapped[str] = mapped_column(Text, default="", server_default="")
    """The key of the client certificate; both are empty where no gateway wants one."""
    connect_to: Mapped[str] = mapped_column(String(255), default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)
    last_login_at: Mapped[datetime | None] = mapped_column(Moment)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)
    server_version: Mapped[str] = mapped_column(String(41), default="")
    """Version that the last test found. Empty before the first test that finds one."""
    oauth1_ended_at: Mapped[datetime | None] = mapped_column(Moment)
    """Since when nobody begins a login by OAuth 1: OAuth 2 took its place, or was chosen from the beginning."""

    enforced_at: Mapped[datetime | None] = mapped_column(Moment)
    """Since when it is the only way into the organization."""
    allow_groups: Mapped[list[str]] = mapped_column(JSON, default=list)
    allow_projects: Mapped[list[str]] = mapped_column(JSON, default=list)
    allow_repositories: Mapped[list[str]] = mapped_column(JSON, default=list)
    """Who of the server's people may log in; everybody where all three are empty."""

    revision: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often it was changed. Logins that began before that end."""
    sessions_ended: Mapped[int] = mapped_column(default=0)
    """How often the sessions of everybody who logged in through it were ended."""

    organization: Mapped[Organization] = relationship(back_populates="integrations")
    client_credentials: Mapped[ClientCredentials | None] = relationship(
        back_populates="integration", cascade="all, delete-orphan", passive_deletes=True
    )
    application_links: Mapped[list[ApplicationLink]] = relationship(
        order_by="ApplicationLink.number", cascade="all, delete-orphan", passive_deletes=True
    )
    key_pairs: Mapped[list[KeyPair]] = relationship(
        back_populates="integration", order_by="KeyPair.created_at", cascade="all, delete-orphan", passive_deletes=True
    )

    @property
    def oauth_versions(self) -> OAuthVersions:
        """The OAuth versions by which people can log in."""
        return OAuthVersions(
            is_oauth1_ended=self.is_for_oauth2, has_client_credentials=self.client_credentials is not None
        )

    @property
    def ways(self) -> tuple[OAuth, ...]:
        """The OAuth versions by which people can log in, the one that is known to work first."""
        return self.oauth_versions.usable

    @property
    def is_for_oauth2(self) -> bool:
        """Whether OAuth 2 is the only way to log in, also where its client credentials are not there yet."""
        return self.oauth1_ended_at is not None

    @property
    def is_enabled(self) -> bool:
        """Whether neither it nor its organization is disabled."""
        return self.disabled_at is None and self.organization.disabled_at is None

    @property
    def login_revision(self) -> str:
        """Revision that a login under way is bound to."""
        return f"{self.revision}.{self.organization.revision}"

    @property
    def session_revision(self) -> str:
        """Revision that a session is bound to. A session ends when it changes."""
        return f"{self.namespace}.{self.sessions_ended}"

    def end_sessions(self) -> None:
        """End the sessions of everybody who logged in through it. The caller commits."""
        self.sessions_ended = IntegrationRecord.sessions_ended + 1

    @property
    def admission(self) -> Admission:
        """Who of the server's people may log in."""
        return Admission.read(self.allow_groups, self.allow_projects, self.allow_repositories)

    def shares_limits_of(self) -> str:
        """Return the organization whose integrations share the limits on waiting threads."""
        return str(self.organization_id)

    @property
    def pairs_in_use(self) -> KeyPairs[KeyPair]:
        """All key pairs but the retired ones."""
        return KeyPairs.of(self.key_pairs)

    @property
    def active_key_pair(self) -> KeyPair | None:
        """The key pair that logins are signed with. There is always exactly one, except where OAuth 2 was chosen from
        the beginning."""
        return self.pairs_in_use.active

    @property
    def pending_key_pair(self) -> KeyPair | None:
        """The key pair that waits for Bitbucket to have its public key, if there is one."""
        return self.pairs_in_use.pending

    @property
    def replaced_key_pair(self) -> KeyPair | None:
        """The key pair whose application link can be removed, if there is one."""
        return self.pairs_in_use.replaced

    @property
    def has_new_link(self) -> bool:
        """Whether the key pair that waits is for an application link of its own, with a new consumer key."""
        return self.pairs_in_use.pending_for_new_link is not None

    @property
    def key_pair_to_set_up(self) -> KeyPair | None:
        """The key pair that Bitbucket has to know now: the one that waits, else the active one. There is none where
        people log in by OAuth 2 alone."""
        return None if self.is_for_oauth2 else self.pairs_in_use.to_set_up


_END_NO_LOGINS = frozenset(
    {"last_login_at", "moving_to", "oauth1_ended_at", "revision", "server_version", "sessions_ended"}
)
_WAYS_IN = frozenset({"disabled_at", "login_closed_at", "login_key"})


@event.listens_for(IntegrationRecord, "before_update")
def _count_change(_mapper: Any, _connection: Any, record: IntegrationRecord) -> None:
    if _changed_columns(record) - _END_NO_LOGINS:
        record.revision = IntegrationRecord.revision + 1


@event.listens_for(Organization, "before_update")
def _count_change_of_ways_in(_mapper: Any, _connection: Any, organization: Organization) -> None:
    if _changed_columns(organization) & _WAYS_IN:
        organization.revision = Organization.revision + 1


def _changed_columns(row: Base) -> set[str]:
    state: Any = inspect(row)
    return {column.key for column in state.mapper.column_attrs if state.attrs[column.key].history.has_changes()}


Index(
    "one_enforced_integration",
    IntegrationRecord.organization_id,
    unique=True,
    sqlite_where=IntegrationRecord.enforced_at.is_not(None),
    postgresql_where=IntegrationRecord.enforced_at.is_not(None),
)


class ApplicationLink(Base):
    """An application link in Bitbucket, which knows an integration by this *consumer_key*. *number* counts within the
    integration: a new link stands beside the old one, so it has another Application URL and another name."""

    __tablename__ = "application_links"
    __table_args__ = (
        UniqueConstraint("integration_id", "number"),
        UniqueConstraint("consumer_key", "integration_id"),
    )

    consumer_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    integration_id: Mapped[str] = mapped_column(ForeignKey("integrations.id", ondelete="CASCADE"))
    number: Mapped[int]


class KeyPair(Base):
    """An integration's keys: the public one as text, which no other has, and the private one sealed. *consumer_key* is
    that of its application link. *replaced_at*: since when another link is in use.
    """

    __tablename__ = "key_pairs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["consumer_key", "integration_id"],
            ["application_links.consumer_key", "application_links.integration_id"],
            ondelete="CASCADE",
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    integration_id: Mapped[str] = mapped_column(ForeignKey("integrations.id", ondelete="CASCADE"), index=True)
    stored_state: Mapped[str] = mapped_column("state", String(16))
    public_key: Mapped[str] = mapped_column(Text, unique=True)
    sealed_private_key: Mapped[str | None] = mapped_column(Text)
    consumer_key: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)
    replaced_at: Mapped[datetime | None] = mapped_column(Moment)

    integration: Mapped[IntegrationRecord] = relationship(back_populates="key_pairs")

    @property
    def state(self) -> KeyState:
        """Current use of the key pair."""
        return KeyState(self.stored_state)


class ClientCredentials(Base):
    """Credentials that Bitbucket made for an integration's logins by OAuth 2: client id and sealed client secret."""

    __tablename__ = "client_credentials"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    integration_id: Mapped[str] = mapped_column(ForeignKey("integrations.id", ondelete="CASCADE"), unique=True)
    client_id: Mapped[str] = mapped_column(String(255))
    sealed_client_secret: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)

    integration: Mapped[IntegrationRecord] = relationship(back_populates="client_credentials")


class SetupLink(Base):
    """Link that opens one integration's set-up page without a login until *expires_at*. The link holds a random token,
    and this table its SHA-256. *opened_at* and *opened_from* (an address) describe the last visit.
    """

    __tablename__ = "setup_links"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    integration_id: Mapped[str] = mapped_column(ForeignKey("integrations.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    opened_at: Mapped[datetime | None] = mapped_column(Moment)
    opened_from: Mapped[str] = mapped_column(String(64), default="")

    integration: Mapped[IntegrationRecord] = relationship()


class EndedSetupLink(Base):
    """Why the set-up link with this token opens nothing, after its integration was deleted or got another server."""

    __tablename__ = "ended_setup_links"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    why: Mapped[str] = mapped_column(String(16))
    ended_at: Mapped[datetime] = mapped_column(Moment)


Index(
    "one_setup_link",
    SetupLink.integration_id,
    unique=True,
    sqlite_where=SetupLink.revoked_at.is_(None),
    postgresql_where=SetupLink.revoked_at.is_(None),
)


for _state in (KeyState.ACTIVE, KeyState.PENDING, KeyState.REPLACED):
    Index(
        f"one_{_state.value}_key_pair",
        KeyPair.integration_id,
        unique=True,
        sqlite_where=KeyPair.stored_state == _state.value,
        postgresql_where=KeyPair.stored_state == _state.value,
    )


def new_session_key() -> str:
    """Return a key that no session knows yet."""
    return secrets.token_urlsafe(32)


class User(Base, UserMixin):  # type: ignore[misc]  # untyped
    """A person in one organization: an owner with a password, or somebody with *identities* to log in with.

    Sessions know the person by *session_key*, so a new key ends all of them. *sessions_ended_at* is when that was.
    """

    __tablename__ = "users"
    # The audit log goes on naming people by their ids after they were deleted.
    __table_args__ = (UniqueConstraint("organization_id", "username"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    username: Mapped[str] = mapped_column(String(255))
    display_name: Mapped[str] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(255))
    is_owner: Mapped[bool] = mapped_column(default=False)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    session_key: Mapped[str] = mapped_column(String(43), unique=True, default=new_session_key)
    sessions_ended_at: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)
    last_login_at: Mapped[datetime | None] = mapped_column(Moment)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)

    organization: Mapped[Organization] = relationship(back_populates="people")
    identities: Mapped[list[Any]] = relationship("SocialIdentity", viewonly=True, order_by="SocialIdentity.id")

    @property
    def is_active(self) -> bool:
        """Whether the person may be logged in: neither they nor their organization is disabled."""
        return not (self.disabled_at or self.organization.disabled_at)

    def get_id(self) -> str:
        """Return what Flask-Login keeps in the session."""
        return self.session_key


class IdentityColumns:
    """Columns of an identity besides social-core's: the integration that it logs in through, the username that
    Bitbucket gave last, when it was used last, and when Bitbucket was last asked for it without a login."""

    integration_id: Mapped[str] = mapped_column(ForeignKey("integrations.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(255))
    last_login_at: Mapped[datetime | None] = mapped_column(Moment)
    rechecked_at: Mapped[datetime | None] = mapped_column(Moment)

    @declared_attr
    def integration(self) -> Mapped[IntegrationRecord]:
        """The integration that the identity logs in through."""
        return relationship(IntegrationRecord)


DAYS_KEPT = 90
"""Days for which each audit entry is kept at least."""


class AuditEntry(Base):
    """One event of the audit log. There are no foreign keys: an entry outlives what it is about."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("audit_entries_of_organization", "organization_id", "id"),
        Index("audit_entries_of_integration", "integration_id", "event", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    event: Mapped[str] = mapped_column(String(40))
    outcome: Mapped[str] = mapped_column(String(16))
    organization_id: Mapped[int | None]
    integration_id: Mapped[str | None] = mapped_column(String(64))
    user_id: Mapped[int | None]
    problem: Mapped[str | None] = mapped_column(String(64))
    transaction: Mapped[str | None] = mapped_column(String(12), index=True)
    reference: Mapped[str | None] = mapped_column(String(16), index=True)
    address: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)


_Storage: Any = make_storage(Base, User, session, IdentityColumns, new_user=User)


class SocialStorage(_Storage):  # type: ignore[misc]  # its base is made by a function
    """social-core's tables, the identities of people among them."""

    @classmethod
    def all_or_nothing(cls) -> AbstractContextManager[None]:
        """Leave the commit to what follows a login's pipeline."""
        return database.holding_commits()

    @classmethod
    def read_anew(cls) -> None:
        """Send what is not sent yet. The look-up of an integration reads it anew by itself."""
        session.flush()


Index("one_identity_by_either_oauth", SocialStorage.user.uid, unique=True)
