import secrets
import threading
import time
from contextlib import closing
from typing import ClassVar

import pytest
from openid.association import Association
from social_core.exceptions import AuthAssociationError, AuthConfigurationError, SocialAuthBaseException
from sqlalchemy import Index, String, UniqueConstraint, create_engine, null, update
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from sqlalchemy.schema import CreateTable

from social_bitbucket_server.sqlalchemy import (
    IdentityMixin,
    NonceMixin,
    PartialMixin,
    SQLAlchemyStorage,
    make_storage,
    models,
)


class Database:
    """A database file with its session."""

    def __init__(self, path):
        self.engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})
        self.session = scoped_session(sessionmaker(self.engine))

    def close(self):
        self.session.remove()
        self.engine.dispose()


class Application(Database):
    """An application's database with its own users."""

    def __init__(self, path, *identity_columns, collation=None, **tables):
        super().__init__(path)

        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "users"
            id: Mapped[int] = mapped_column(primary_key=True)
            username: Mapped[str] = mapped_column(unique=True)
            email: Mapped[str | None]

        self.User = User
        self.storage = make_storage(Base, User, self.session, *identity_columns, **tables)
        if collation is not None:
            self.storage.user.__table__.c.uid.type = String(255, collation=collation)
        self.tables = Base.metadata.tables
        Base.metadata.create_all(self.engine)


@pytest.fixture
def app(tmp_path):
    with closing(Application(tmp_path / "app.db")) as app:
        yield app


@pytest.fixture
def storage(app):
    return app.storage


@pytest.fixture
def jane(app, storage):
    return storage.user.create_user(username="jane", email="jane@example.com", fullname="not a column")


def test_a_user_and_their_first_identity_are_committed_together(app, storage, jane):
    app.session.rollback()
    assert not storage.user.user_exists(username="jane")
    jane = storage.user.create_user(username="jane")
    storage.user.create_social_auth(jane, "ns:42", "bitbucket-server", id_key="id")
    app.session.rollback()
    assert storage.user.user_exists(username="jane")


def test_what_a_login_writes_is_kept_together_or_not_at_all(app, storage):
    def write_and_fail():
        with storage.all_or_nothing():
            jane = storage.user.create_user(username="jane")
            identity = storage.user.create_social_auth(jane, "ns:42", "bitbucket-server", id_key="id")
            identity.set_extra_data({"name": "jane"})
            raise LookupError

    with pytest.raises(LookupError):
        write_and_fail()
    assert not storage.user.user_exists(username="jane")
    assert storage.user.get_social_auth("bitbucket-server", "ns:42") is None
    with storage.all_or_nothing():
        jane = storage.user.create_user(username="jane")
        storage.user.create_social_auth(jane, "ns:42", "bitbucket-server", id_key="id")
    app.session.rollback()
    assert storage.user.get_social_auth("bitbucket-server", "ns:42").user.username == "jane"


def test_after_a_login_each_change_is_committed_at_once_again(app, storage):
    with storage.all_or_nothing():
        jane = storage.user.create_user(username="jane")
    storage.user.create_social_auth(jane, "ns:42", "bitbucket-server", id_key="id")
    app.session.rollback()
    assert storage.user.get_social_auth("bitbucket-server", "ns:42") is not None


def test_rows_that_were_read_before_can_be_read_anew(app, storage, jane):
    app.session.commit()
    assert app.session.get(app.User, jane.id).email == "jane@example.com"
    with app.engine.begin() as other:
        other.execute(update(app.User).values(email="new@example.com"))
    with storage.all_or_nothing():
        storage.read_anew()
        assert app.session.get(app.User, jane.id).email == "new@example.com"


def test_an_application_keeps_columns_of_its_own_with_an_identity(tmp_path):
    class Columns:
        seen: Mapped[str | None]

    with closing(Application(tmp_path / "own.db", Columns)) as app:
        jane = app.storage.user.create_user(username="jane")
        identity = app.storage.user.create_social_auth(jane, "ns:42", "bitbucket-server", id_key="id")
        identity.seen = "today"
        app.session.commit()
        assert app.storage.user.get_social_auth("bitbucket-server", "ns:42").seen == "today"


def test_an_identity_is_found_by_provider_and_uid(storage, jane):
    identity = storage.user.create_social_auth(jane, "ns:42", "bitbucket-server", id_key="id")
    assert storage.user.get_social_auth("bitbucket-server", "ns:42") == identity
    assert storage.user.get_social_auth("bitbucket-server", "ns:42", id_key="id") == identity
    assert storage.user.get_social_auth("bitbucket-server", "ns:42", id_key="name") is None
    assert storage.user.get_social_auth("bitbucket-server", "ns:43") is None
    assert list(storage.user.get_social_auth_for_user(jane)) == [identity]
    assert list(storage.user.get_social_auth_for_user(jane, "other", identity.id)) == []


@pytest.fixture
def caseless(tmp_path):
    """An application whose database takes jane for JANE, with an identity of jane's."""
    with closing(Application(tmp_path / "caseless.db", collation="NOCASE")) as app:
        jane = app.storage.user.create_user(username="jane")
        app.storage.user.create_social_auth(jane, "acme:42", "bitbucket-server", id_key="id")
        yield app


def test_an_identity_is_found_by_exactly_its_uid_where_the_database_compares_without_case(caseless):
    find = caseless.storage.user.get_social_auth
    assert find("bitbucket-server", "acme:42", id_key="id").user.username == "jane"
    assert find("bitbucket-server", "Acme:42") is None
    assert find("bitbucket-server", "ACME:42", id_key="id") is None


def test_an_identity_that_the_database_cannot_tell_from_another_is_refused(caseless):
    kim = caseless.storage.user.create_user(username="kim")
    with pytest.raises(AuthConfigurationError) as caught:
        caseless.storage.user.create_social_auth(kim, "Acme:42", "bitbucket-server", id_key="id")
    assert caught.value.context["problem"] == "identity_similar"
    assert not caseless.storage.user.user_exists(username="kim")
    assert caseless.storage.user.get_social_auth("bitbucket-server", "acme:42").user.username == "jane"


@pytest.mark.parametrize("dialect", [mysql.dialect(), mysql.dialect(is_mariadb=True)], ids=["MySQL", "MariaDB"])
def test_the_column_compares_exactly_where_the_database_can(storage, dialect):
    table = str(CreateTable(storage.user.__table__).compile(dialect=dialect))
    assert "uid VARCHAR(255) COLLATE utf8mb4_bin" in table


def test_the_same_identity_cannot_exist_twice_and_the_session_stays_usable(app, storage, jane):
    storage.user.create_social_auth(jane, "ns:42", "bitbucket-server")
    other = storage.user.create_user(username="other")
    with pytest.raises(IntegrityError) as caught:
        storage.user.create_social_auth(other, "ns:42", "bitbucket-server")
    assert storage.is_integrity_error(caught.value)
    assert storage.user.get_social_auth("bitbucket-server", "ns:42").user == jane
    assert not storage.user.user_exists(username="other")


def test_a_user_name_that_is_taken_leaves_the_session_usable(storage, jane):
    storage.user.changed(jane)
    with pytest.raises(AuthAssociationError) as caught:
        storage.user.create_user(username="jane")
    assert caught.value.code == "username_in_use"
    assert storage.user.user_exists(username="jane")


class OtherApplication(Database):
    """An application whose users have a text as primary key, of another name, and a column that must not be empty."""

    def __init__(self, path):
        super().__init__(path)

        class Base(DeclarativeBase): ...

        class Person(Base):
            __tablename__ = "people"
            number: Mapped[str] = mapped_column(primary_key=True, default=lambda: secrets.token_hex(8))
            username: Mapped[str]
            email: Mapped[str | None] = mapped_column(unique=True)
            company: Mapped[str]

        self.storage = make_storage(Base, Person, self.session, new_user=Person)
        Base.metadata.create_all(self.engine)


@pytest.fixture
def other_app(tmp_path):
    with closing(OtherApplication(tmp_path / "other.db")) as app:
        yield app


def test_the_primary_key_may_have_any_name(other_app):
    user = other_app.storage.user
    jane, joe = (user.create_user(username=name, company="Acme") for name in ("jane", "joe"))
    first = user.create_social_auth(jane, "ns:1", "bitbucket-server")
    user.create_social_auth(joe, "ns:2", "bitbucket-server")
    assert list(user.get_social_auth_for_user(jane)) == [first]
    assert not user.allowed_to_disconnect(jane, "bitbucket-server", first.id)


def test_a_column_that_must_not_be_empty_is_no_user_name_in_use(other_app):
    other_app.storage.user.changed(other_app.storage.user.create_user(username="joe", company="Acme"))
    with pytest.raises(IntegrityError, match="company"):
        other_app.storage.user.create_user(username="jane", email=None)
    assert not other_app.storage.user.user_exists(username="jane")


def test_what_else_may_be_there_once_is_refused_as_a_user_name_is(other_app):
    user = other_app.storage.user
    user.changed(user.create_user(username="jane", email="jane@example.com", company="Acme"))
    with pytest.raises(AuthAssociationError) as caught:
        user.create_user(username="joe", email="jane@example.com", company="Acme")
    assert caught.value.code == "email_in_use"


class Tenants(Database):
    """An application whose user names and badges are unique within a tenant, which one of two defaults gives."""

    def __init__(self, path):
        super().__init__(path)

        class Base(DeclarativeBase): ...

        class Member(Base):
            __tablename__ = "members"
            __table_args__ = (UniqueConstraint("tenant", "username"), Index(None, "floor", "desk", unique=True))
            id: Mapped[int] = mapped_column(primary_key=True)
            tenant: Mapped[str] = mapped_column(default="acme")
            username: Mapped[str]
            floor: Mapped[int | None]
            desk_number: Mapped[int] = mapped_column("desk", server_default="1")

        self.storage = make_storage(Base, Member, self.session)
        Base.metadata.create_all(self.engine)


@pytest.fixture
def tenants(tmp_path):
    with closing(Tenants(tmp_path / "tenants.db")) as tenants:
        yield tenants


@pytest.mark.parametrize(
    ("first", "second", "is_refused"),
    [
        ({"username": "jane"}, {"username": "jane"}, True),
        ({"username": "jane"}, {"username": "jane", "tenant": "acme"}, True),
        ({"username": "jane"}, {"username": "jane", "tenant": "globex"}, False),
        ({"username": "jane", "floor": 1}, {"username": "joe", "floor": 1}, True),
        ({"username": "jane", "floor": 1}, {"username": "joe", "floor": 1, "desk_number": 1}, True),
        ({"username": "jane", "floor": 1}, {"username": "joe", "floor": 1, "desk_number": 2}, False),
        ({"username": "jane"}, {"username": "joe"}, False),
    ],
)
def test_what_may_be_there_once_together_is_refused_as_a_user_name_is(tenants, first, second, is_refused):
    user = tenants.storage.user
    user.changed(user.create_user(**first))
    if is_refused:
        with pytest.raises(SocialAuthBaseException) as caught:
            user.create_user(**second)
        assert (caught.value.code == "username_in_use") == ("floor" not in first)
    else:
        user.changed(user.create_user(**second))
    assert user.user_exists(**first)


def test_the_same_user_name_elsewhere_does_not_hide_what_is_wrong(tenants):
    user = tenants.storage.user
    user.changed(user.create_user(username="jane", tenant="globex", floor=1))
    with pytest.raises(IntegrityError, match="desk"):
        user.create_user(username="jane", tenant="initech", desk_number=null())


def test_columns_say_how_long_a_name_may_be_and_whether_an_address_is_needed(app, other_app):
    class Base(DeclarativeBase): ...

    class Customer(Base):
        __tablename__ = "customers"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str]
        email: Mapped[str] = mapped_column(String(80))

    user = make_storage(Base, Customer, app.session).user
    assert (user.column_length("email"), user.column_length("username"), user.column_length("other")) == (
        80,
        None,
        None,
    )
    assert user.needs_email()
    assert not app.storage.user.needs_email()


def test_users_are_found_and_changed(app, storage, jane):
    storage.user.changed(jane)
    assert storage.user.get_user(jane.id) == jane
    assert storage.user.get_username(jane) == "jane"
    assert list(storage.user.get_users_by_email("JANE@example.com")) == [jane]
    assert storage.user.user_model() is app.User
    assert storage.user.username_max_length() == 255


def test_extra_data_is_stored(app, storage, jane):
    identity = storage.user.create_social_auth(jane, "ns:42", "bitbucket-server")
    assert identity.set_extra_data({"slug": "jane"})
    assert not identity.set_extra_data({"slug": "jane"})
    app.session.remove()
    assert storage.user.get_social_auth("bitbucket-server", "ns:42").extra_data == {"slug": "jane"}
    assert storage.user.get_social_auth_by_extra_data("bitbucket-server", "slug", "jane").uid == "ns:42"
    assert storage.user.get_social_auth_by_extra_data("bitbucket-server", "slug", "other") is None


def test_extra_data_that_two_share_identifies_nobody(storage, jane):
    for uid in ("1", "2"):
        storage.user.create_social_auth(jane, uid, "bitbucket-server").set_extra_data({"slug": "jane"})
    with pytest.raises(ValueError, match="Several"):
        storage.user.get_social_auth_by_extra_data("bitbucket-server", "slug", "jane")


def test_the_last_identity_cannot_be_disconnected(storage, jane):
    first = storage.user.create_social_auth(jane, "ns:1", "bitbucket-server")
    assert not storage.user.allowed_to_disconnect(jane, "bitbucket-server", first.id)
    storage.user.create_social_auth(jane, "ns:2", "bitbucket-server")
    assert storage.user.allowed_to_disconnect(jane, "bitbucket-server", first.id)
    assert not storage.user.allowed_to_disconnect(jane, "bitbucket-server")
    storage.user.disconnect(first)
    assert storage.user.get_social_auth("bitbucket-server", "ns:1") is None


def test_an_identifier_migrates_with_its_evidence(storage, jane):
    identity = storage.user.create_social_auth(jane, "old", "bitbucket-server")
    identity.set_extra_data({"id": 42})
    with pytest.raises(ValueError, match="not the one"):
        storage.user.migrate_social_auth(identity, "43", "id", evidence_key="id")
    assert storage.user.migrate_social_auth(identity, "42", "id", evidence_key="id").uid == "42"


@pytest.fixture(params=["unless_there", "savepoint"])
def insert(request, monkeypatch):
    """How a nonce is inserted: by one statement, or on databases that do not know it within a savepoint."""
    if request.param == "savepoint":
        monkeypatch.setattr(models, "_INSERTS", {})


@pytest.mark.usefixtures("insert")
def test_a_nonce_is_used_once_and_consumed_once(app, storage):
    assert storage.nonce.use("scope", 600, "value")
    assert not storage.nonce.use("scope", 600, "value")
    app.session.rollback()
    assert storage.nonce.get("scope", "value").timestamp == 600
    assert not storage.nonce.consume("scope", 600, "other")
    assert storage.nonce.consume("scope", 600, "value")
    app.session.rollback()
    assert not storage.nonce.consume("scope", 600, "value")
    assert storage.nonce.get("scope", "value") is None


@pytest.mark.usefixtures("insert")
def test_a_nonce_that_is_used_once_is_known_at_whatever_time(app, storage):
    assert storage.nonce.use_once("scope", 600, "value")
    app.session.rollback()
    assert not storage.nonce.use_once("scope", 600, "value")
    assert not storage.nonce.use_once("scope", 1200, "value")
    assert storage.nonce.use_once("scope", 1200, "other")
    assert storage.nonce.use_once("another", 1200, "value")
    assert storage.nonce.get("scope", "value").timestamp == 600


@pytest.mark.usefixtures("insert")
def test_one_of_many_parallel_callers_consumes_a_nonce(app, storage):
    storage.nonce.use("scope", 600, "value")
    barrier = threading.Barrier(8)
    outcomes = []

    def consume():
        barrier.wait()
        outcomes.append(storage.nonce.consume("scope", 600, "value"))
        app.session.remove()

    threads = [threading.Thread(target=consume) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 7 + [True]


def test_old_nonces_are_pruned(storage):
    storage.nonce.use("scope", int(time.time()) - 5000, "old")
    storage.nonce.use("scope", int(time.time()), "new")
    assert storage.nonce.prune(older_than=1200) == 1
    assert storage.nonce.get("scope", "new") is not None
    storage.nonce.delete(storage.nonce.get("scope", "new"))
    assert storage.nonce.get("scope", "new") is None


@pytest.fixture
def complete(tmp_path):
    """An application with the tables that only other backends and steps of social-core's need."""
    with closing(Application(tmp_path / "complete.db", openid_associations=True, mail_codes=True)) as app:
        yield app


def test_only_the_tables_that_are_asked_for_are_made(app, complete):
    tables = {"users", "social_auth_identities", "social_auth_nonces", "social_auth_partials"}
    assert set(app.tables) == tables
    assert set(complete.tables) == tables | {"social_auth_associations", "social_auth_codes"}


def test_without_a_table_of_associations_its_calls_say_how_to_have_one(storage):
    association = Association("handle", b"secret", 1, 2, "HMAC-SHA1")
    for call in (
        lambda: storage.association.store("https://p.example", association),
        lambda: storage.association.oids("https://p.example", "handle"),
        lambda: storage.association.remove([1]),
    ):
        with pytest.raises(NotImplementedError, match="openid_associations=True"):
            call()


def test_without_a_table_of_codes_its_calls_say_how_to_have_one(storage):
    for call in (lambda: storage.code.make_code("jane@example.com"), lambda: storage.code.get_code("code")):
        with pytest.raises(NotImplementedError, match="mail_codes=True"):
            call()


def test_openid_associations_are_stored(complete):
    storage = complete.storage
    for secret in (b"first", b"second"):
        storage.association.store("https://p.example", Association("handle", secret, 1, 2, "HMAC-SHA1"))
    (identifier, association), *others = storage.association.oids("https://p.example", "handle")
    assert association.secret == b"second"
    assert others == []
    storage.association.remove([identifier])
    assert storage.association.oids("https://p.example") == []


def test_email_codes_are_stored(complete):
    storage = complete.storage
    code = storage.code.make_code("jane@example.com")
    found = storage.code.get_code(code.code)
    assert not found.is_expired(60)
    found.verify()
    assert storage.code.get_code(code.code).verified
    assert storage.code.get_code("other") is None


def test_halted_pipelines_are_stored(storage):
    partial = storage.partial.store(storage.partial.prepare("bitbucket-server", 3, {"args": [], "kwargs": {}}))
    assert storage.partial.load(partial.token).next_step == 3
    storage.partial.destroy(partial.token)
    assert storage.partial.load(partial.token) is None


class ActiveRecord:
    """A base's own methods, with the names of social-core's."""

    def save(self):
        pytest.fail("The base's method was called.")

    get = use = delete = load = destroy = store = save


class OwnClasses(Database):
    """An application that maps the mixins itself, before or after its base."""

    def __init__(self, path, bases_of):
        super().__init__(path)

        class Base(DeclarativeBase): ...

        class Member(Base):
            __tablename__ = "members"
            number: Mapped[int] = mapped_column(primary_key=True)
            username: Mapped[str] = mapped_column(unique=True)

        session = self.session

        class Identity(*bases_of(IdentityMixin, Base)):
            __tablename__ = "logins"
            current_session = session
            user_class = Member
            seen: Mapped[str | None]

        class Nonce(*bases_of(NonceMixin, Base)):
            current_session = session

        class Partial(*bases_of(PartialMixin, Base)):
            current_session = session

        class Storage(SQLAlchemyStorage):
            user = Identity
            nonce = Nonce
            partial = Partial

        self.storage = Storage
        Base.metadata.create_all(self.engine)


@pytest.fixture(
    params=[
        lambda mixin, base: (mixin, base),
        lambda mixin, base: (base, mixin),
        lambda mixin, base: (mixin, ActiveRecord, base),
    ],
    ids=["mixin first", "base first", "a base with methods of its own"],
)
def own_classes(tmp_path, request):
    with closing(OwnClasses(tmp_path / "own.db", request.param)) as app:
        yield app


def test_an_application_maps_the_mixins_itself(own_classes):
    storage, session = own_classes.storage, own_classes.session
    with storage.all_or_nothing():
        jane = storage.user.create_user(username="jane")
        identity = storage.user.create_social_auth(jane, "ns:42", "bitbucket-server", id_key="id")
        identity.seen = "today"
        identity.set_extra_data({"slug": "jane"})
    session.rollback()
    found = storage.user.get_social_auth("bitbucket-server", "ns:42")
    assert (found.user, found.seen, found.extra_data) == (jane, "today", {"slug": "jane"})
    assert storage.user.__table__.name == "logins"


def test_saving_stores_a_row_whichever_base_comes_first(own_classes):
    storage, session = own_classes.storage, own_classes.session
    assert storage.nonce.use("scope", 600, "value")
    partial = storage.partial.store(storage.partial.prepare("bitbucket-server", 3, {"args": [], "kwargs": {}}))
    session.rollback()
    assert storage.partial.load(partial.token).next_step == 3
    storage.nonce.delete(storage.nonce.get("scope", "value"))
    assert not storage.nonce.consume("scope", 600, "value")


def test_identities_of_an_applications_own_class_are_unique(own_classes):
    user = own_classes.storage.user
    user.create_social_auth(user.create_user(username="jane"), "ns:42", "bitbucket-server")
    joe = user.create_user(username="joe")
    with pytest.raises(IntegrityError):
        user.create_social_auth(joe, "ns:42", "bitbucket-server")


def test_a_base_with_methods_of_its_own_does_not_replace_the_storages(tmp_path):
    class Base(ActiveRecord, DeclarativeBase): ...

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str]

    with closing(Database(tmp_path / "app.db")) as database:
        storage = make_storage(Base, User, database.session)
        Base.metadata.create_all(database.engine)
        assert storage.nonce.use("scope", 600, "value")
        assert storage.nonce.get("scope", "value").timestamp == 600
        storage.partial.store(storage.partial.prepare("bitbucket-server", 3, {"args": [], "kwargs": {}}))


class MoreColumns:
    seen: Mapped[str | None]
    __table_args__ = (Index("ix_seen", "seen"),)


def unique_columns_of(table):
    constraints = (each for each in table.constraints if isinstance(each, UniqueConstraint))
    return [{column.name for column in each.columns} for each in constraints]


def test_columns_with_table_arguments_of_their_own_leave_identities_unique(tmp_path):
    with closing(Application(tmp_path / "app.db", MoreColumns)) as app:
        table = app.storage.user.__table__
    assert unique_columns_of(table) == [{"provider", "uid"}]
    assert "ix_seen" in {index.name for index in table.indexes}


def test_columns_replace_none_of_the_identitys(tmp_path):
    class Wrong:
        uid: Mapped[int] = mapped_column(unique=True)
        __tablename__ = "wrong"

    with closing(Application(tmp_path / "app.db", Wrong)) as app:
        table = app.storage.user.__table__
    assert (table.name, table.c.uid.type.python_type) == ("social_auth_identities", str)


@pytest.mark.parametrize("is_base_first", [True, False])
def test_a_base_with_table_arguments_leaves_identities_and_nonces_unique(is_base_first):
    class Base(DeclarativeBase):
        __table_args__: ClassVar = {"sqlite_autoincrement": True}

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str]

    def mapped(name, mixin, **attributes):
        bases = (Base, mixin) if is_base_first else (mixin, Base)
        return type(name, bases, {"current_session": None, **attributes}).__table__

    tables = [
        mapped("Identity", IdentityMixin, user_class=User, __tablename__="logins"),
        mapped("Nonce", NonceMixin),
    ]
    assert [unique_columns_of(table) for table in tables] == [
        [{"provider", "uid"}],
        [{"server_url", "timestamp", "salt"}],
    ]
    assert {table.dialect_options["sqlite"]["autoincrement"] for table in tables} == {True}


def test_constraints_are_named_after_their_tables(own_classes):
    (name,) = (
        each.name for each in own_classes.storage.user.__table__.constraints if isinstance(each, UniqueConstraint)
    )
    assert name == "uq_logins_provider_uid"
