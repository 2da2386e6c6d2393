"""social-core's tables, mapped by the application itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server.account import Move, Outcome, Place, counts
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


def carry_over(namespace: str) -> tuple[int, list[Any]]:
    source, target = Place("bitbucket-datacenter-oauth2"), Place("bitbucket-server", namespace)
    moves: list[Move[Any]] = Storage.carry_over(source, target, ["https://bitbucket.example.com"], apply=True)
    left = [move.identity for move in moves if move.outcome is not Outcome.CARRIED_OVER]
    return counts(moves)[Outcome.CARRIED_OVER], left
