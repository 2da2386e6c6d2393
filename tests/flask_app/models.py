"""The application's own tables, organizations and their people, and the library's beside them."""

from __future__ import annotations

import secrets
from datetime import datetime

from flask_login import UserMixin
from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from social_bitbucket_server.sqlalchemy.organizations import clock, organization_models
from social_bitbucket_server.sqlalchemy.organizations.models import Moment

from .database import Base, session


class Organization(Base):
    """A customer. *slug* is its part of every address."""

    __tablename__ = "organizations"
    __table_args__ = ({"sqlite_autoincrement": True},)  # an id is never given again

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(Moment, default=lambda: clock.now())
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)


def new_session_key() -> str:
    """Return a key that no session knows yet."""
    return secrets.token_urlsafe(32)


class User(Base, UserMixin):  # type: ignore[misc]  # untyped
    """A person in one organization: an owner with a password, or somebody who logs in with Bitbucket.

    Sessions know the person by *session_key*, so a new key ends all of them.
    """

    __tablename__ = "users"
    # Events go on naming people by their ids after they were deleted.
    __table_args__ = (UniqueConstraint("organization_id", "username"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    username: Mapped[str] = mapped_column(String(255))
    display_name: Mapped[str] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(255))
    is_owner: Mapped[bool] = mapped_column(default=False)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    session_key: Mapped[str] = mapped_column(String(43), unique=True, default=new_session_key)

    organization: Mapped[Organization] = relationship()

    def get_id(self) -> str:
        """Return what Flask-Login keeps in the session."""
        return self.session_key


models = organization_models(Base, Organization, User, session)
