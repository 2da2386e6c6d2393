"""The demo's own tables, and the library's beside them."""

from __future__ import annotations

import secrets

from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from social_bitbucket_server.sqlalchemy.organizations import organization_models


class Base(DeclarativeBase):
    """The base of all tables."""


db = SQLAlchemy(model_class=Base)


class Organization(db.Model):  # type: ignore[name-defined,misc]  # made by Flask-SQLAlchemy
    """A customer. *slug* is a part of every address."""

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(80))


class User(db.Model, UserMixin):  # type: ignore[name-defined,misc]  # as above
    """A person of one organization. Only owners have a password.

    Sessions know the person by *session_key*. A new one ends them in every browser.
    """

    __table_args__ = (UniqueConstraint("organization_id", "username"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organization.id", ondelete="CASCADE"))
    username: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(255))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    session_key: Mapped[str] = mapped_column(String(43), unique=True, default=secrets.token_urlsafe)

    organization: Mapped[Organization] = relationship()

    def get_id(self) -> str:
        """Return what Flask-Login keeps in the session."""
        return self.session_key


models = organization_models(db.Model, Organization, User, db.session)
