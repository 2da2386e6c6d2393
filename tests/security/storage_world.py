"""Applications on the package's own storage: their integrations are in a dictionary, their people in a database."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, ClassVar

import flask_login
from social_core.storage import BaseStorage
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from social_bitbucket_server.addresses import AddressPolicy
from social_bitbucket_server.integration import Integration
from social_bitbucket_server.keys import new_consumer_key
from social_bitbucket_server.server_url import ORGANIZATION_RULES, ServerURL
from social_bitbucket_server.sqlalchemy_storage import make_storage
from tests.security.world import ORIGIN, FakeBitbucket, Ingredients, Place, World

LOGIN_PAGE = "/"
ACCOUNT = "/account"


class SharedPagePlace(Place):
    """One of the application's integrations; they all share a login page."""

    @property
    def login_path(self) -> str:
        return LOGIN_PAGE

    @property
    def begin_path(self) -> str:
        return f"/login/bitbucket-server/{self.integration_id}/"

    @property
    def account_path(self) -> str:
        return ACCOUNT

    @property
    def declined_path(self) -> str:
        return LOGIN_PAGE


@dataclass(frozen=True)
class People:
    """The tables of a database, and what reads them."""

    base: type[DeclarativeBase]
    user_class: type[Any]
    storage: type[BaseStorage]
    session: scoped_session[Session]


def make_people(database_url: str) -> People:
    class Base(DeclarativeBase): ...

    class User(Base, flask_login.UserMixin):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(unique=True)
        email: Mapped[str | None]

    engine = create_engine(database_url)
    session = scoped_session(sessionmaker(engine))
    storage = make_storage(Base, User, session)
    Base.metadata.create_all(engine)
    return People(Base, User, storage, session)


def settings(find: Callable[[str], Integration | None]) -> dict[str, Any]:
    return {
        "SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS": find,
        "SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN": ORIGIN,
        "SOCIAL_AUTH_LOGIN_ERROR_URL": LOGIN_PAGE,
    }


@dataclass(kw_only=True)
class StorageWorld(World):
    """The application's people and its integrations."""

    people: People
    made_of: Ingredients
    integrations: dict[str, Integration]

    # A page's other headers are the application's own.
    security_headers: ClassVar[dict[str, str]] = {}
    tells_apart: ClassVar[frozenset[str]] = frozenset({"login.mixup"})

    def stop(self) -> None:
        self.serving.close()
        self.people.session.remove()
        self.people.session.get_bind().engine.dispose()

    def make_place(self, slug: str, server: FakeBitbucket) -> SharedPagePlace:
        integration = Integration(
            id=secrets.token_hex(8),
            server_url=ServerURL.parse(server.url, ORGANIZATION_RULES),
            consumer_key=new_consumer_key(),
            private_key=self.made_of.make_private_key(),
            namespace=secrets.token_hex(16),
            verify=self.made_of.bundle,
            address_policy=AddressPolicy(test_addresses=frozenset(map(ip_address, self.made_of.allowed))),
        )
        self.integrations[integration.id] = integration
        return SharedPagePlace(slug, integration.id, integration.namespace, server)

    def change_integration(self, place: Place, **fields: Any) -> None:
        if "base_url" in fields:
            fields["server_url"] = ServerURL.parse(fields.pop("base_url"), ORGANIZATION_RULES)
        changed = replace(self.integrations[place.integration_id], **fields)
        self.integrations[place.integration_id] = changed

    def take_away(self, place: Place, *, delete: bool) -> None:
        del self.integrations[place.integration_id]

    def users(self) -> list[Any]:
        with self.people.session() as session:
            return list(session.scalars(select(self.people.user_class).order_by(self.people.user_class.id)))

    def identities(self) -> dict[str, int]:
        with self.people.session() as session:
            return {row.uid: row.user_id for row in session.scalars(select(self.people.storage.user))}

    def counts(self) -> tuple[int, int, int]:
        """Sessions are cookies."""
        return self._count(self.people.user_class), self._count(self.people.storage.user), 0

    def transactions(self) -> int:
        return self._count(self.people.storage.nonce)

    def everything_stored(self) -> str:
        with self.people.session() as session:
            tables = self.people.base.metadata.sorted_tables
            return "\n".join(str(tuple(row)) for table in tables for row in session.execute(select(table)))

    def _count(self, mapped: Any) -> int:
        with self.people.session() as session:
            return session.scalar(select(func.count()).select_from(mapped)) or 0
