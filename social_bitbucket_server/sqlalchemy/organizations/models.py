"""The tables of organizations' integrations as mixins, for an application's own declarative base.

A class that mixes one in says which classes it belongs to: ``organization_class``, ``ways_class``,
``integration_class`` and ``application_link_class``. :func:`~.ready_made.organization_models` does all of it in one
line. Each mixin names its table, which a ``__tablename__`` of the class replaces.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from sqlalchemy import JSON, Column, DateTime, Dialect, ForeignKey, String, Text, inspect
from sqlalchemy.orm import Mapped, backref, declared_attr, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from ...integration import Admission, Roles
from ...organizations import KeyPairs, KeyState, OAuth, OAuthVersions
from . import clock


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, with its time zone on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    # With this and __repr__, Alembic writes a type of SQLAlchemy's into migrations: they need no import of this module.
    __module__ = DateTime.__module__

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Return what is stored."""
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # as above
        """Return what was stored. SQLite forgets the time zone."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    def __repr__(self) -> str:
        return repr(self.impl_instance)


def primary_key_of(mapped: type[Any]) -> Column[Any]:
    """Return the one column of *mapped*'s primary key, whatever its name and type."""
    return cast("Column[Any]", cast("Any", inspect(mapped)).local_table.primary_key.columns[0])


class _Row:
    """A mapped row, whose class takes its columns by name."""

    if TYPE_CHECKING:

        def __init__(self, **columns: Any) -> None: ...


class WaysMixin(_Row):
    """The ways into one organization. There is a row as soon as it has an integration.

    *key* is a part of the login link, and empty until that was replaced for the first time. Since *closed_at* the link
    lets nobody in. *integrations_made* counts all that there ever were, so that none gets the number of a deleted one.
    *revision* counts how often the ways in were changed. Logins that began before that end.
    """

    __tablename__ = "bitbucket_ways"

    organization_class: ClassVar[type[Any]]
    """The application's mapped class of organizations, with one column as primary key."""

    key: Mapped[str] = mapped_column(String(32), default="")
    closed_at: Mapped[datetime | None] = mapped_column(Moment)
    integrations_made: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=0)

    @declared_attr
    @classmethod
    def organization_id(cls) -> Mapped[Any]:
        """Return the column with the primary key of the organization."""
        key = primary_key_of(cls.organization_class)
        return mapped_column(key.type, ForeignKey(key, ondelete="CASCADE"), primary_key=True, autoincrement=False)


class IntegrationMixin(_Row):
    """An organization's configuration for logins through one Bitbucket Server.

    *id* is opaque and a part of addresses. *namespace* is a part of the identity of everybody who logs in here. It is
    random, so that no other integration ever has it. *number* counts within the organization. *ca_certificates* (PEM)
    are trusted for this server instead of the machine's. *connect_to* says where connections go, as ``host:port``. It
    is empty for the base URL's host. *client_certificate* (PEM) and its sealed key are empty if no gateway wants one.

    *moving_to* is a new base URL that waits for a trial login to show that it is the same server's. *server_version* is
    the version that the last test found. *oauth1_ended_at* says since when nobody begins a login by OAuth 1, and
    *enforced_at* since when it is the only way into the organization. The lists say who of the server's people may log
    in; everybody if all three are empty. *role_conditions* says which roles they have: see :meth:`.Roles.read`.
    *revision* counts the changes: logins that began before one end. *sessions_ended* counts how often the sessions of
    everybody who logged in through it were ended.
    """

    __tablename__ = "bitbucket_integrations"

    organization_class: ClassVar[type[Any]]
    """The application's mapped class of organizations, with one column as primary key."""
    ways_class: ClassVar[type[WaysMixin]]
    """The mapped class with :class:`WaysMixin`."""

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int]
    name: Mapped[str] = mapped_column(String(80))
    base_url: Mapped[str] = mapped_column(String(255))
    moving_to: Mapped[str | None] = mapped_column(String(255))
    namespace: Mapped[str] = mapped_column(String(32), unique=True)
    ca_certificates: Mapped[str] = mapped_column(Text, default="")
    client_certificate: Mapped[str] = mapped_column(Text, default="")
    sealed_client_key: Mapped[str] = mapped_column(Text, default="")
    connect_to: Mapped[str] = mapped_column(String(255), default="")
    created_at: Mapped[datetime] = mapped_column(Moment, default=lambda: clock.now())
    last_login_at: Mapped[datetime | None] = mapped_column(Moment)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)
    server_version: Mapped[str] = mapped_column(String(41), default="")
    oauth1_ended_at: Mapped[datetime | None] = mapped_column(Moment)
    enforced_at: Mapped[datetime | None] = mapped_column(Moment)
    allow_groups: Mapped[list[str]] = mapped_column(JSON, default=list)
    allow_projects: Mapped[list[str]] = mapped_column(JSON, default=list)
    allow_repositories: Mapped[list[str]] = mapped_column(JSON, default=list)
    role_conditions: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    revision: Mapped[int] = mapped_column(default=0)
    sessions_ended: Mapped[int] = mapped_column(default=0)

    if TYPE_CHECKING:
        application_links: Mapped[list[ApplicationLinkMixin]]
        client_credentials: Mapped[ClientCredentialsMixin | None]
        key_pairs: Mapped[list[KeyPairMixin]]

    @declared_attr
    @classmethod
    def organization_id(cls) -> Mapped[Any]:
        """Return the column with the primary key of the organization."""
        ways = primary_key_of(cls.ways_class)
        return mapped_column(
            ways.type,
            ForeignKey(primary_key_of(cls.organization_class), ondelete="CASCADE"),
            # Naming conventions call both of them alike: most tell foreign keys apart by table and column alone.
            ForeignKey(ways, ondelete="CASCADE", name=f"fk_{cls.__tablename__}_ways"),
        )

    @declared_attr
    @classmethod
    def organization(cls) -> Mapped[Any]:
        """Return the relationship to the application's own organization."""
        return relationship(cls.organization_class, foreign_keys=[cast("Any", cls.organization_id)], viewonly=True)

    @declared_attr
    @classmethod
    def ways_into_organization(cls) -> Mapped[WaysMixin]:
        """Return the relationship to the ways into the organization."""
        return relationship(cls.ways_class, foreign_keys=[cast("Any", cls.organization_id)], viewonly=True)

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
        """Whether OAuth 2 is the only way to log in, also if its client credentials are not there yet."""
        return self.oauth1_ended_at is not None

    @property
    def login_revision(self) -> str:
        """Revision that a login under way is bound to."""
        return f"{self.revision}.{self.ways_into_organization.revision}"

    @property
    def session_revision(self) -> str:
        """Revision that a session is bound to. A session ends when it changes."""
        return f"{self.namespace}.{self.sessions_ended}"

    def end_sessions(self) -> None:
        """End the sessions of everybody who logged in through it. The caller commits."""
        self.sessions_ended = type(self).sessions_ended + 1

    @property
    def admission(self) -> Admission:
        """The people of the server who may log in."""
        return Admission.read(self.allow_groups, self.allow_projects, self.allow_repositories)

    @property
    def roles(self) -> Roles:
        """The roles that its people have. Raises ``setting_invalid``."""
        return Roles.read(self.role_conditions)

    def shares_limits_of(self) -> str:
        """Return the organization whose integrations share the limits on waiting threads."""
        return str(self.organization_id)

    @property
    def pairs_in_use(self) -> KeyPairs[KeyPairMixin]:
        """All key pairs but the retired ones."""
        return KeyPairs.of(self.key_pairs)

    @property
    def active_key_pair(self) -> KeyPairMixin | None:
        """The key pair that logins are signed with. There is always exactly one, except if OAuth 2 was chosen from the
        beginning."""
        return self.pairs_in_use.active

    @property
    def pending_key_pair(self) -> KeyPairMixin | None:
        """The key pair that waits for Bitbucket to have its public key, if there is one."""
        return self.pairs_in_use.pending

    @property
    def replaced_key_pair(self) -> KeyPairMixin | None:
        """The key pair whose application link can be removed, if there is one."""
        return self.pairs_in_use.replaced

    @property
    def has_new_link(self) -> bool:
        """Whether the key pair that waits is for an application link of its own, with a new consumer key."""
        return self.pairs_in_use.pending_for_new_link is not None

    @property
    def key_pair_to_set_up(self) -> KeyPairMixin | None:
        """The key pair that Bitbucket has to know now: the one that waits, else the active one. There is none if people
        log in by OAuth 2 alone."""
        return None if self.is_for_oauth2 else self.pairs_in_use.to_set_up


class _OfAnIntegration(_Row):
    """A row that belongs to one integration, and goes with it."""

    integration_class: ClassVar[type[IntegrationMixin]]
    """The mapped class with :class:`IntegrationMixin`."""

    @declared_attr
    @classmethod
    def integration_id(cls) -> Mapped[str]:
        """Return the column with the integration's id."""
        key = primary_key_of(cls.integration_class)
        return mapped_column(String(32), ForeignKey(key, ondelete="CASCADE"), index=True)


class ApplicationLinkMixin(_OfAnIntegration):
    """An application link in Bitbucket, which knows an integration by this *consumer_key*. *number* counts within the
    integration: a new link stands beside the old one, so it has another Application URL and another name."""

    __tablename__ = "bitbucket_application_links"

    consumer_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int]

    @declared_attr
    @classmethod
    def integration(cls) -> Mapped[IntegrationMixin]:
        """Return the relationship to the integration, which has its *application_links* by it."""
        return _owned(cls.integration_class, "application_links", order_by=lambda: cast("Any", cls.number))


class KeyPairMixin(_OfAnIntegration):
    """An integration's keys: the public one as text, which no other has, and the private one sealed. *consumer_key* is
    that of its application link. *replaced_at*: since when another link is in use."""

    __tablename__ = "bitbucket_key_pairs"

    application_link_class: ClassVar[type[ApplicationLinkMixin]]
    """The mapped class with :class:`ApplicationLinkMixin`."""

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    stored_state: Mapped[str] = mapped_column("state", String(16))
    public_key: Mapped[str] = mapped_column(Text, unique=True)
    sealed_private_key: Mapped[str | None] = mapped_column(Text)
    consumer_key: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment, default=lambda: clock.now())
    replaced_at: Mapped[datetime | None] = mapped_column(Moment)

    @declared_attr
    @classmethod
    def integration(cls) -> Mapped[IntegrationMixin]:
        """Return the relationship to the integration, which has its *key_pairs* by it."""
        return _owned(cls.integration_class, "key_pairs", order_by=lambda: cast("Any", cls.created_at))

    @property
    def state(self) -> KeyState:
        """Current use of the key pair."""
        return KeyState(self.stored_state)


class ClientCredentialsMixin(_OfAnIntegration):
    """Credentials that Bitbucket made for an integration's logins by OAuth 2: client ID and sealed client secret."""

    __tablename__ = "bitbucket_client_credentials"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(255))
    sealed_client_secret: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, default=lambda: clock.now())

    @declared_attr
    @classmethod
    def integration(cls) -> Mapped[IntegrationMixin]:
        """Return the relationship to the integration, which has its *client_credentials* by it."""
        return _owned(cls.integration_class, "client_credentials", uselist=False)


class SetupLinkMixin(_OfAnIntegration):
    """Link that opens one integration's set-up page without a login until *expires_at*. The link holds a random token,
    and this table its SHA-256. *opened_at* and *opened_from* (an address) describe the last visit."""

    __tablename__ = "bitbucket_setup_links"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    opened_at: Mapped[datetime | None] = mapped_column(Moment)
    opened_from: Mapped[str] = mapped_column(String(64), default="")

    @declared_attr
    @classmethod
    def integration(cls) -> Mapped[IntegrationMixin]:
        """Return the relationship to the integration."""
        return relationship(cls.integration_class, passive_deletes=True)


class EndedSetupLinkMixin(_Row):
    """Why the set-up link with this token opens nothing, after its integration was deleted or got another server."""

    __tablename__ = "bitbucket_ended_setup_links"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    why: Mapped[str] = mapped_column(String(16))
    ended_at: Mapped[datetime] = mapped_column(Moment)


class EventMixin(_Row):
    """One event. There are no foreign keys: an event outlives what it is about."""

    __tablename__ = "bitbucket_events"

    organization_class: ClassVar[type[Any]]
    """The application's mapped class of organizations."""
    user_class: ClassVar[type[Any]]
    """The application's mapped class of users."""

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    event: Mapped[str] = mapped_column(String(40))
    outcome: Mapped[str] = mapped_column(String(16))
    integration_id: Mapped[str | None] = mapped_column(String(64))
    problem: Mapped[str | None] = mapped_column(String(64))
    transaction: Mapped[str | None] = mapped_column(String(12), index=True)
    reference: Mapped[str | None] = mapped_column(String(16), index=True)
    address: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)

    @declared_attr
    @classmethod
    def organization_id(cls) -> Mapped[Any]:
        """Return the column with the primary key of the organization; ``None`` if the event is of none."""
        return mapped_column(primary_key_of(cls.organization_class).type, nullable=True)

    @declared_attr
    @classmethod
    def user_id(cls) -> Mapped[Any]:
        """Return the column with the primary key of the user; ``None`` if the event is about none."""
        return mapped_column(primary_key_of(cls.user_class).type, nullable=True)


class OrganizationIdentityMixin(_OfAnIntegration):
    """Columns of an identity besides social-core's.

    They say through which integration it logs in, the user name that Bitbucket gave last, when it was used last, when
    Bitbucket was last asked for it without a login, and since when its person is disabled. *sessions_ended* counts how
    often the sessions that began with it were ended, the last time at *sessions_ended_at*.
    """

    name: Mapped[str] = mapped_column(String(255))
    last_login_at: Mapped[datetime | None] = mapped_column(Moment)
    rechecked_at: Mapped[datetime | None] = mapped_column(Moment)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)
    sessions_ended: Mapped[int] = mapped_column(default=0)
    sessions_ended_at: Mapped[datetime | None] = mapped_column(Moment)

    @declared_attr
    @classmethod
    def integration(cls) -> Mapped[IntegrationMixin]:
        """Return the relationship to the integration."""
        return relationship(cls.integration_class)

    @property
    def session_revision(self) -> str:
        """Revision that a session with this identity is bound to. A session ends when it changes."""
        return f"{self.integration.session_revision}.{self.sessions_ended}"


def _owned(integration: type[IntegrationMixin], name: str, **options: Any) -> Mapped[IntegrationMixin]:
    """Return a relationship to *integration*, which deletes the row as a part of its own *name*."""
    back = backref(name, cascade="all, delete-orphan", passive_deletes=True, **options)
    return relationship(integration, backref=back)
