"""Applications on the package's own storage: their integrations are in a dictionary, with private keys sealed as
docs/many-organizations.md says, their people in a database."""

from __future__ import annotations

import secrets
import sqlite3
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar, cast

import flask_login
from social_core.storage import BaseStorage
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from social_bitbucket_server.crypto import KeyRing, PrivateKey, new_consumer_key
from social_bitbucket_server.integration import (
    ORGANIZATION_RULES,
    BaseURLRules,
    ConnectTo,
    Integration,
    Server,
    ServerURL,
    UnsafeConfigurationError,
)
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.sqlalchemy import make_storage
from social_bitbucket_server.transport import AddressPolicy, read_ca_certificates
from tests.prepared import hurry
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
    """Return the people of the SQLite database at *database_url*, which is empty."""
    people, tables = _mapped()
    engine = create_engine(database_url)
    hurry(engine)
    with engine.connect() as connection:
        tables.backup(cast("sqlite3.Connection", connection.connection.dbapi_connection))
    people.session.remove()
    people.session.configure(bind=engine)
    return people


@cache
def _mapped() -> tuple[People, sqlite3.Connection]:
    """Map the tables, which takes long, and make them: all worlds of the process have the same, one after the other."""

    class Base(DeclarativeBase): ...

    class User(Base, flask_login.UserMixin):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(unique=True)
        email: Mapped[str | None]

    session = scoped_session(sessionmaker())
    storage = make_storage(Base, User, session)
    tables = sqlite3.connect(":memory:", check_same_thread=False)
    Base.metadata.create_all(create_engine("sqlite://", creator=lambda: tables, poolclass=StaticPool))
    return People(Base, User, storage, session), tables


@dataclass
class Row:
    """One of the application's integrations: all that is no secret, and the sealed private key."""

    fields: dict[str, Any]
    key_id: str
    sealed_private_key: str = ""

    @property
    def sealed_for(self) -> dict[str, str]:
        return {"purpose": "private-key", "integration_id": self.fields["id"], "key_id": self.key_id}


class Integrations:
    """The application's integrations."""

    def __init__(self, ring: str) -> None:
        self.ring = ring
        self.rows: dict[str, Row] = {}

    def add(self, private_key: PrivateKey, **fields: Any) -> None:
        row = Row(fields, secrets.token_hex(8))
        row.sealed_private_key = self._ring.seal(private_key.pem().encode(), **row.sealed_for)
        self.rows[fields["id"]] = row

    def find(self, integration_id: str) -> Integration | None:
        """Return the integration with this id, or ``None``. The library calls this."""
        row = self.rows.get(integration_id)
        return None if row is None else Integration(private_key=self._open_private_key(row), **row.fields)

    def rewrap(self) -> bool:
        """Seal what can be opened with the newest key; returns whether that was all."""
        opened = True
        for row in self.rows.values():
            try:
                row.sealed_private_key = self._ring.reseal(row.sealed_private_key, **row.sealed_for)
            except BitbucketServerError:
                opened = False
        return opened

    def _open_private_key(self, row: Row) -> PrivateKey:
        return PrivateKey.read(self._ring.open(row.sealed_private_key, **row.sealed_for))

    @property
    def _ring(self) -> KeyRing:
        return KeyRing.parse(self.ring)


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
    integrations: Integrations
    rules: BaseURLRules = ORGANIZATION_RULES

    # A page's other headers are the application's own.
    security_headers: ClassVar[dict[str, str]] = {}
    tells_apart: ClassVar[frozenset[str]] = frozenset({"login.mixup"})
    opens_keys: ClassVar[tuple[Any, str]] = (Integrations, "_open_private_key")

    def stop(self) -> None:
        self.serving.close()
        self.people.session.remove()
        self.people.session.get_bind().engine.dispose()

    def make_place(self, slug: str, server: FakeBitbucket) -> SharedPagePlace:
        integration_id, namespace = secrets.token_hex(8), secrets.token_hex(16)
        self.integrations.add(
            self.made_of.make_private_key(),
            id=integration_id,
            server=Server(
                ServerURL.parse(server.url, ORGANIZATION_RULES),
                verify=self.made_of.bundle,
                address_policy=AddressPolicy(test_addresses=frozenset(map(ip_address, self.made_of.allowed))),
            ),
            consumer_key=new_consumer_key(),
            namespace=namespace,
        )
        return SharedPagePlace(slug, integration_id, namespace, server)

    def change_integration(self, place: Place, **fields: Any) -> None:
        if "base_url" in fields:
            fields["url"] = ServerURL.parse(fields.pop("base_url"), ORGANIZATION_RULES)
        if "connect_to" in fields:
            fields["connect_to"] = ConnectTo.parse(fields["connect_to"], ORGANIZATION_RULES)
        row = self._row(place)
        of_server = {name: fields.pop(name) for name in Server.__dataclass_fields__.keys() & fields.keys()}
        row.fields |= fields | {"server": replace(row.fields["server"], **of_server)}

    def take_away(self, place: Place, *, delete: bool) -> None:
        del self.integrations.rows[place.integration_id]

    def enter(self, base_url: str, ca_certificates: str = "") -> bool:
        try:
            url = ServerURL.parse(base_url, self.rules)
            trusted = read_ca_certificates(ca_certificates) if ca_certificates else ""
        except BitbucketServerError:
            return False
        place = self.make_place("new", self.fa)
        self.change_integration(place, url=url, ca_certificates=trusted)
        return True

    def allow_plain_http(self, host: str) -> None:
        ports = frozenset(ORGANIZATION_RULES.ports or ()) | {80}
        self.rules = replace(ORGANIZATION_RULES, ports=ports, plain_http_hosts=frozenset({host}))

    def base_urls(self) -> list[str]:
        return [str(row.fields["server"].url) for row in self.integrations.rows.values()]

    @abstractmethod
    def start_with(self, settings: dict[str, Any]) -> None:
        """Start one more application with these *settings*. Raises UnsafeConfigurationError."""

    def refusal(self, **changed: Any) -> str:
        try:
            self.start_with(settings(self.integrations.find) | changed)
        except UnsafeConfigurationError as error:
            return str(error)
        return ""

    def refusal_of_private_network(self, network: str) -> str:
        try:
            AddressPolicy(tuple(map(ip_network, ("10.0.0.0/8", network))))
        except ValueError as error:
            return str(error)
        return ""

    def wait_for_servers(self, seconds: float) -> None:
        for place in (self.a, self.b):
            self.change_integration(place, timeout=seconds)

    @property
    def identity_class(self) -> Any:
        return self.people.storage.user

    def allow_private_networks(self, **networks: str) -> None:
        for place in (self.a, self.b):
            allowed = tuple(map(ip_network, networks.get(place.slug, "").split()))
            policy = self._row(place).fields["server"].address_policy
            self.change_integration(place, address_policy=replace(policy, private_networks=allowed))

    def find(self, place: Place) -> Integration:
        found = self.integrations.find(place.integration_id)
        assert found is not None
        return found

    def holders(self, place: Place) -> tuple[Any, ...]:
        return self._row(place), self.integrations.rows

    @property
    def ring(self) -> str:
        return self.integrations.ring

    def use_ring(self, ring: str) -> None:
        self.integrations.ring = ring

    def rewrap(self) -> bool:
        return self.integrations.rewrap()

    def sealed_keys(self) -> dict[str, str]:
        return {integration_id: row.sealed_private_key for integration_id, row in self.integrations.rows.items()}

    def sealed_for(self, place: Place) -> dict[str, str]:
        return self._row(place).sealed_for

    def seal_differently(self, place: Place, record: str) -> None:
        self._row(place).sealed_private_key = record

    def forget_opened_keys(self) -> None:
        """None is kept."""

    def _row(self, place: Place) -> Row:
        return self.integrations.rows[place.integration_id]

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
