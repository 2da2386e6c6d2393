"""Classes of users as applications have them: each works, or is refused before anybody logs in."""

import dataclasses

import pytest
from sqlalchemy import ForeignKey, String, create_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    mapped_column,
    scoped_session,
    sessionmaker,
    synonym,
)

from social_bitbucket_server.integration import UnsafeConfigurationError
from social_bitbucket_server.sqlalchemy import make_storage


class Database:
    def __init__(self):
        self.engine = create_engine("sqlite://")
        self.session = scoped_session(sessionmaker(self.engine))

    def storage(self, base, user_class, session=None, **options):
        storage = make_storage(base, user_class, session or self.session, **options)
        base.metadata.create_all(self.engine)
        return storage


@pytest.fixture
def database():
    database = Database()
    yield database
    database.session.remove()
    database.engine.dispose()


class WithNumber:
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)


def make_base():
    class Base(DeclarativeBase): ...

    return Base


def without_username():
    base = make_base()

    class User(WithNumber, base):
        email: Mapped[str | None]

    return base, User


def in_another_column():
    base = make_base()

    class User(WithNumber, base):
        username: Mapped[str] = mapped_column("login", String(40), unique=True)

    return base, User


def as_a_synonym():
    base = make_base()

    class User(WithNumber, base):
        login: Mapped[str] = mapped_column(String(40), unique=True)
        username: Mapped[str] = synonym("login")

    return base, User


def in_a_parent_table():
    base = make_base()

    class Person(WithNumber, base):
        kind: Mapped[str]
        username: Mapped[str] = mapped_column(String(40), unique=True)
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012  # SQLAlchemy's

    class Member(Person):
        __tablename__ = "members"
        id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)
        __mapper_args__ = {"polymorphic_identity": "member"}  # noqa: RUF012

    return base, Member


def as_a_dataclass():
    class Base(MappedAsDataclass, DeclarativeBase): ...

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        username: Mapped[str] = mapped_column(String(40), unique=True)
        theme: Mapped[str] = mapped_column(default="light")

    assert dataclasses.is_dataclass(User)
    return Base, User


def with_a_constructor():
    base = make_base()

    class User(WithNumber, base):
        username: Mapped[str] = mapped_column(unique=True)
        company: Mapped[str]

        def __init__(self, **fields):
            super().__init__(company="Acme", **fields)

    return base, User


CLASSES = [without_username, in_another_column, as_a_synonym, in_a_parent_table, as_a_dataclass, with_a_constructor]


@pytest.mark.parametrize("make", CLASSES)
def test_people_get_accounts(database, make):
    base, user_class = make()
    users = database.storage(base, user_class).user
    has_name = hasattr(user_class, "username")
    assert not users.user_exists(username="jane")
    jane = users.create_user(username="jane", email="jane@example.com")
    users.create_social_auth(jane, "ns:42", "bitbucket-server", id_key="id")
    database.session.remove()
    found = users.get_social_auth("bitbucket-server", "ns:42").user
    assert type(found) is user_class
    assert users.get_username(found) == ("jane" if has_name else "1")
    assert users.user_exists(username="jane") == has_name


@pytest.mark.parametrize("make", [in_another_column, as_a_synonym, in_a_parent_table, as_a_dataclass])
def test_user_names_are_as_long_as_their_column(database, make):
    assert database.storage(*make()).user.username_max_length() == 40


def test_the_session_may_be_whatever_is_the_current_one(database):
    base, user_class = in_another_column()
    users = database.storage(base, user_class, lambda: database.session()).user
    users.changed(users.create_user(username="jane"))
    assert users.user_exists(username="jane")


def test_tables_are_in_the_database_of_users():
    base, user_class = in_another_column()
    user_class.__bind_key__ = "people"
    assert make_storage(base, user_class, Database().session).user.__bind_key__ == "people"


def with_more_columns(base=None):
    base = base or make_base()

    class User(WithNumber, base):
        username: Mapped[str] = mapped_column(unique=True)
        email: Mapped[str]
        nickname: Mapped[str | None]
        theme: Mapped[str] = mapped_column(default="light")
        plan: Mapped[str] = mapped_column(server_default="free")
        fs_uniquifier: Mapped[str]
        company: Mapped[str]

    return base, User


def dataclass_with_more():
    class Base(MappedAsDataclass, DeclarativeBase): ...

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        username: Mapped[str]
        company: Mapped[str]

    return Base, User


def with_a_text_as_key():
    base = make_base()

    class User(base):
        __tablename__ = "users"
        number: Mapped[str] = mapped_column(primary_key=True)
        username: Mapped[str]

    return base, User


@pytest.mark.parametrize(
    ("make", "missing"),
    [
        (with_more_columns, "no company and no fs_uniquifier"),
        (dataclass_with_more, "no company"),
        (with_a_text_as_key, "no number"),
    ],
)
def test_users_that_need_more_are_refused_at_start_in_one_sentence(make, missing):
    with pytest.raises(UnsafeConfigurationError, match=rf"^Call make_storage with new_user, [^.]* {missing}\.$"):
        make_storage(*make(), Database().session)


def test_the_application_says_how_a_user_is_made(database):
    base, user_class = with_more_columns()
    given = []

    def new_user(**fields):
        given.append(fields)
        return user_class(company="Acme", fs_uniquifier="x", **fields)

    users = database.storage(base, user_class, new_user=new_user).user
    users.changed(users.create_user(username="jane", email="jane@example.com", fullname="no attribute"))
    assert given == [{"username": "jane", "email": "jane@example.com"}]
    assert users.user_exists(company="Acme")
