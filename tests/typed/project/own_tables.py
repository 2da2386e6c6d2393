"""social-core's tables, mapped by the application itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server.sqlalchemy import (
    AssociationMixin,
    CodeMixin,
    IdentityMixin,
    NonceMixin,
    PartialMixin,
    SQLAlchemyStorage,
)


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    company: Mapped[str]


session = scoped_session(sessionmaker(create_engine("sqlite://")))


class Identity(IdentityMixin, Base):
    current_session = session
    user_class = User
    last_seen: Mapped[str | None] = mapped_column(String(40))

    @classmethod
    def new_user(cls, **fields: Any) -> User:
        return User(company="Acme", **fields)


class Nonce(NonceMixin, Base):
    current_session = session


class Partial(PartialMixin, Base):
    current_session = session


class Association(AssociationMixin, Base):
    current_session = session


class Code(CodeMixin, Base):
    __tablename__ = "codes"
    current_session = staticmethod(lambda: session())


class Storage(SQLAlchemyStorage):
    user = Identity
    nonce = Nonce
    partial = Partial
    association = Association
    code = Code


def last_seen(uid: str) -> str | None:
    identity = Identity.get_social_auth("bitbucket-server", uid)
    return None if identity is None else identity.last_seen


def prune() -> int:
    return Storage.nonce.prune(older_than=1200)
