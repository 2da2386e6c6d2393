"""Applications with tables of their own shape, each with the storage of its organizations' integrations."""

from dataclasses import dataclass, field
from functools import cache
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, MetaData, String, create_engine, make_url
from sqlalchemy import event as listening
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, scoped_session, sessionmaker

from social_bitbucket_server.crypto import KeyRing
from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.organizations import Outbound, SealedKeys
from social_bitbucket_server.sqlalchemy.organizations import Store, clock, organization_models
from tests import prepared

NAMED = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Backend:
    """Stands in for the backend of a login, of which steps read the name."""

    name = "bitbucket-server"


def with_numbers():
    """Return a base, organizations and users with ordinary primary keys. Users belong to one organization."""

    class Base(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMED)

    class Organization(Base):
        __tablename__ = "organizations"
        id: Mapped[int] = mapped_column(primary_key=True)
        slug: Mapped[str] = mapped_column(String(40), unique=True)
        name: Mapped[str] = mapped_column(String(80))

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(String(40))
        email: Mapped[str | None]
        display_name: Mapped[str] = mapped_column(default="")
        organization_id: Mapped[int | None] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"))
        organization: Mapped[Organization | None] = relationship()

        def __str__(self):
            return self.display_name or self.username

    return Base, Organization, User


def with_uuids():
    """Return classes with UUIDs as primary keys, and no names for constraints."""

    class Base(DeclarativeBase): ...

    class Organization(Base):
        __tablename__ = "tenants"
        id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
        slug: Mapped[str] = mapped_column(unique=True)
        name: Mapped[str]

    class User(Base):
        __tablename__ = "accounts"
        id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
        username: Mapped[str | None]

    return Base, Organization, User


def with_texts():
    """Return classes whose primary keys are texts and have other names, in Python and in the database."""

    class Base(DeclarativeBase): ...

    class Organization(Base):
        __tablename__ = "companies"
        slug: Mapped[str] = mapped_column("code", String(20), primary_key=True)
        name: Mapped[str]

    class User(Base):
        __tablename__ = "members"
        login: Mapped[str] = mapped_column("number", String(36), primary_key=True, default=lambda: str(uuid4()))
        email: Mapped[str | None]

    return Base, Organization, User


def with_joins():
    """Return users and organizations that are always read together with other rows, which there need not be."""

    class Base(DeclarativeBase): ...

    class Organization(Base):
        __tablename__ = "organizations"
        id: Mapped[int] = mapped_column(primary_key=True)
        slug: Mapped[str]
        name: Mapped[str]

    class Domain(Base):
        __tablename__ = "domains"
        name: Mapped[str] = mapped_column(primary_key=True)
        organization_id: Mapped[int] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"))

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str]
        organization_id: Mapped[int | None] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"))
        organization: Mapped[Organization | None] = relationship(lazy="joined")

    class Role(Base):
        __tablename__ = "roles"
        name: Mapped[str] = mapped_column(primary_key=True)
        user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))

    Organization.domains = relationship(Domain, lazy="joined")
    User.roles = relationship(Role, lazy="joined")
    return Base, Organization, User


SHAPES = [with_numbers, with_uuids, with_texts, with_joins]


def make_engine(url="sqlite://"):
    """Return an engine as careful applications have it: foreign keys hold, and a write begins with SQLite's lock."""
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url)
    engine = create_engine(url, connect_args={"timeout": 60, "isolation_level": "IMMEDIATE"})
    prepared.hurry(engine)
    listening.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON").close())

    @listening.listens_for(engine, "savepoint")
    def begin_before(connection, _name):
        if not connection.connection.dbapi_connection.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@dataclass
class Recorded:
    """Events as they were told to the storage's recorder."""

    told: list = field(default_factory=list)

    def __call__(self, event, *, outcome="success", **details):
        self.told.append((event, outcome, details))

    @property
    def codes(self):
        return [code.value for code, _outcome, _details in self.told]

    def take(self):
        """Return the codes of the events so far, and forget them."""
        codes, self.told = self.codes, []
        return codes

    def details_of(self, code):
        """Return the details of the last event with this *code*."""
        return next(details for told, _outcome, details in reversed(self.told) if told == code)


class Classes:
    """The mapped classes of one shape. Mapping takes longer than most tests, so applications share them: the one that
    was made last has the session."""

    def __init__(self, shape, models):
        self.session = None
        self.base, self.Organization, self.User = shape()
        self.models = models(self.base, self.Organization, self.User, lambda: self.session())


classes_of = cache(Classes)


class Application:
    """An application's database and storage. *rules* are the store's own parameters."""

    def __init__(self, shape=with_numbers, url="sqlite://", *, ring=None, models=organization_models, **rules):
        self.engine = make_engine(url)
        self.session = scoped_session(sessionmaker(self.engine))
        classes = classes_of(shape, models)
        classes.session = self.session
        self.base, self.Organization, self.User, self.models = (
            classes.base,
            classes.Organization,
            classes.User,
            classes.models,
        )
        self.base.metadata.create_all(self.engine)
        self.recorded = Recorded()
        self.ring = ring or KeyRing.generate()
        try:
            self.store = self.new_store(**rules)
        except BaseException:
            self.engine.dispose()
            raise

    def new_store(self, ring=None, **rules):
        """Return another store of the application's, as after a restart with other settings."""
        rules = {"outbound": Outbound(), "record": self.recorded, "role_names": ["editor"], **rules}
        return Store(self.models, keys=SealedKeys(KeyRing.parse(ring or self.ring)), **rules)

    def organization(self, slug="acme"):
        made = self.Organization(slug=slug, name=slug.capitalize())
        self.session.add(made)
        self.session.commit()
        return made

    def integration(self, organization, name="Bitbucket", **options):
        url = f"https://{name.lower()}.{organization.slug}.example"
        return self.store.integrations.make(organization, name, ServerURL.parse(url), **options)

    def log_in(self, record, number=42, username="jane", **known):
        """Let somebody log in through *record*, as the steps of the pipeline do. Return their identity."""
        uid = f"{record.namespace}:{number}"
        details = {"username": username, "fullname": f"{username} of {number}", "email": f"{username}@acme.example"}
        steps = self.store.logins
        found = steps.find_identity(Backend, uid, **known) or steps.find_or_create_person(
            Backend, uid, details, record.id, id_key="id", **known
        )
        social = found.pop("social")
        steps.refuse_disabled_person(Backend, social, record.id)
        found.pop("user")
        steps.update_person(social, details, **found)
        self.session.commit()
        return social

    def tell(self, code, record, *, at=None, outcome="success", **columns):
        """Write an event about *record* down."""
        row = {
            "at": at or clock.now(),
            "event": code.value,
            "outcome": outcome,
            "organization_id": record.organization_id,
            "integration_id": record.id,
            "details": {},
            **columns,
        }
        self.session.commit()
        with self.engine.begin() as connection:
            self.store.events.write(connection, [row])

    def count(self, table):
        return self.session.query(table).count()

    def close(self):
        self.session.remove()
        self.engine.dispose()
