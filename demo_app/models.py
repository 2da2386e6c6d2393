"""The tables: organizations, their people, their integrations, and who is logged in where."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from flask_login import UserMixin
from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from social_bitbucket_server.sqlalchemy_storage import make_storage

from . import clock
from .database import Base, Moment, session


class Organization(Base):
    """A customer: people, and the integrations through which they log in. *slug* is its part of every address."""

    __tablename__ = "organizations"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    integrations_made: Mapped[int] = mapped_column(default=0)
    """How many integrations there ever were, so that none gets the number of a deleted one."""
    created_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)

    integrations: Mapped[list[IntegrationRecord]] = relationship(
        back_populates="organization", order_by="IntegrationRecord.number", passive_deletes=True
    )
    people: Mapped[list[User]] = relationship(
        back_populates="organization", order_by="User.display_name", passive_deletes=True
    )


class IntegrationRecord(Base):
    """What an organization configured to let its people log in through one Bitbucket Server.

    *id* is opaque and in addresses. *namespace* is a part of the identity of everybody who logs in here; it is random,
    so that no other integration ever has it. *number* counts within the organization. *ca_certificates* (PEM) are
    trusted for this server instead of the machine's.
    """

    __tablename__ = "integrations"
    __table_args__ = (UniqueConstraint("organization_id", "number"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    number: Mapped[int]
    name: Mapped[str] = mapped_column(String(80))
    base_url: Mapped[str] = mapped_column(String(255))
    consumer_key: Mapped[str] = mapped_column(String(64), unique=True)
    namespace: Mapped[str] = mapped_column(String(32), unique=True)
    ca_certificates: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)
    last_login_at: Mapped[datetime | None] = mapped_column(Moment)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)

    organization: Mapped[Organization] = relationship(back_populates="integrations")
    key_pairs: Mapped[list[KeyPair]] = relationship(
        back_populates="integration", order_by="KeyPair.created_at", cascade="all, delete-orphan", passive_deletes=True
    )
    people: Mapped[list[User]] = relationship(back_populates="integration", passive_deletes=True)

    @property
    def active_key_pair(self) -> KeyPair:
        """The key pair that logins are signed with; there is always exactly one."""
        return next(pair for pair in self.key_pairs if pair.state is KeyState.ACTIVE)


class KeyState(StrEnum):
    """What a key pair is used for."""

    ACTIVE = "active"
    RETIRED = "retired"


class KeyPair(Base):
    """An integration's keys: the public one as text, the private one sealed; retired ones have no private key."""

    __tablename__ = "key_pairs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    integration_id: Mapped[str] = mapped_column(ForeignKey("integrations.id", ondelete="CASCADE"), index=True)
    stored_state: Mapped[str] = mapped_column("state", String(16))
    public_key: Mapped[str] = mapped_column(Text)
    sealed_private_key: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)

    integration: Mapped[IntegrationRecord] = relationship(back_populates="key_pairs")

    @property
    def state(self) -> KeyState:
        """What the key pair is used for now."""
        return KeyState(self.stored_state)


Index(
    "one_active_key_pair",
    KeyPair.integration_id,
    unique=True,
    sqlite_where=KeyPair.stored_state == KeyState.ACTIVE.value,
    postgresql_where=KeyPair.stored_state == KeyState.ACTIVE.value,
)


class User(Base, UserMixin):  # type: ignore[misc]  # untyped
    """A person in one organization: an owner with a password, or somebody who logs in through *integration*."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("organization_id", "username"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    integration_id: Mapped[str | None] = mapped_column(ForeignKey("integrations.id", ondelete="CASCADE"), index=True)
    username: Mapped[str] = mapped_column(String(255))
    display_name: Mapped[str] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(255))
    is_owner: Mapped[bool] = mapped_column(default=False)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(Moment, default=clock.now)
    last_login_at: Mapped[datetime | None] = mapped_column(Moment)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)

    organization: Mapped[Organization] = relationship(back_populates="people")
    integration: Mapped[IntegrationRecord | None] = relationship(back_populates="people")

    @property
    def is_active(self) -> bool:
        """Whether the person may be logged in: neither they, nor what they log in through, is disabled."""
        return not (
            self.disabled_at
            or self.organization.disabled_at
            or (self.integration is not None and self.integration.disabled_at)
        )


class LoginSession(Base):
    """One browser's session. The cookie holds a random identifier, this table its SHA-256."""

    __tablename__ = "login_sessions"

    id_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    data: Mapped[str] = mapped_column(Text)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    organization_id: Mapped[int | None] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"), index=True)
    integration_id: Mapped[str | None] = mapped_column(ForeignKey("integrations.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
    last_seen_at: Mapped[datetime] = mapped_column(Moment, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)


SocialStorage = make_storage(Base, User, session)
"""social-core's tables, the identities of people among them."""
