"""Logins on their way through the pipeline: whose identity is it, and what becomes of somebody new?"""

import threading

import pytest
from social_core.exceptions import AuthAssociationError, AuthConfigurationError, AuthPolicyError, AuthSessionError
from sqlalchemy import ForeignKey, String, UniqueConstraint, event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, relationship, synonym

from social_bitbucket_server.account import roles_of
from social_bitbucket_server.integration import UnsafeConfigurationError
from social_bitbucket_server.organizations import OAuth
from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.unit.sqlalchemy.organizations.applications import Backend, with_numbers


class ByOAuth2:
    name = OAuth.TWO.backend


@pytest.fixture
def logins(store):
    return store.logins


def details(username="jane", **other):
    return {"username": username, "fullname": "Jane Doe", "email": "jane@acme.example", **other}


def find_or_create(app, record, number=42, username="jane", **known):
    return app.store.logins.find_or_create_person(
        Backend, f"{record.namespace}:{number}", details(username), record.id, id_key="id", **known
    )


def test_somebody_new_becomes_one_of_the_organizations_people(app, acme, record):
    made = find_or_create(app, record)
    user, social = made["user"], made["social"]
    assert (made["is_new"], made["new_association"]) == (True, True)
    assert (user.username, user.display_name, user.email) == ("jane", "Jane Doe", "jane@acme.example")
    assert user.organization is acme
    assert (social.user, social.integration, social.name) == (user, record, "jane")
    assert social.last_login_at == clock.now()
    assert app.recorded.told == [
        ("user.created", "success", {"organization_id": acme.id, "integration_id": record.id, "user_id": user.id})
    ]


def test_somebody_known_stays_who_they_are_by_whichever_oauth(app, logins, record):
    made = app.log_in(record)
    found = logins.find_identity(ByOAuth2, made.uid)
    assert found == {"social": made, "user": made.user, "is_new": False, "new_association": False}
    assert logins.find_identity(Backend, made.uid, social=made)["user"] is made.user
    assert logins.find_identity(Backend, f"{record.namespace}:43") == {}


def test_what_the_uid_is_made_of_is_noted_where_it_is_missing(app, logins, record):
    made = app.log_in(record)
    made.id_key = ""
    logins.find_identity(Backend, made.uid)
    assert made.id_key == ""
    logins.find_identity(Backend, made.uid, id_key="id")
    assert made.id_key == "id"


def test_nobody_is_recognized_by_name_or_address(app, record):
    assert app.log_in(record).user_id != app.log_in(record, number=43).user_id


def test_of_two_first_logins_one_finds_the_others_person(app, record):
    first, second = find_or_create(app, record), find_or_create(app, record)
    assert second["user"] is first["user"]
    assert (second["is_new"], second["new_association"]) == (False, False)
    app.session.commit()
    assert app.count(app.User) == 1
    assert app.recorded.codes == ["user.created"]


def test_two_first_logins_in_two_threads_make_one_person(make_app, tmp_path):
    app = make_app(url=f"sqlite:///{tmp_path / 'app.db'}")
    record_id = app.integration(app.organization()).id
    app.session.commit()
    people, begin = [], threading.Barrier(2)

    def log_in():
        record = app.session.get(app.models.integration, record_id)
        uid = f"{record.namespace}:42"
        begin.wait(60)
        with app.models.storage.all_or_nothing():
            app.store.integrations.for_login(record_id)
            people.append(app.store.logins.find_or_create_person(Backend, uid, details(), record_id)["user"].id)
        app.session.commit()
        app.session.remove()

    threads = [threading.Thread(target=log_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert people == [1, 1]
    assert app.count(app.User) == app.count(app.models.identity) == 1


def test_a_login_that_never_gets_through_is_refused(app, logins, record, monkeypatch):
    def refused(*_arguments, **_options):
        raise IntegrityError("", {}, Exception())

    monkeypatch.setattr(logins, "_add", refused)
    with pytest.raises(AuthConfigurationError) as caught:
        find_or_create(app, record)
    assert caught.value.context["problem"] == "account_refused"
    assert isinstance(caught.value.__cause__, IntegrityError), "the log says which constraint it was"


def disable(app, record):
    record.disabled_at = clock.now()


def close(app, record):
    app.store.may_log_in = lambda _organization: False


def another_namespace(app, record):
    record.namespace = "another"


def delete(app, record):
    app.session.delete(record)


@pytest.mark.parametrize("change", [disable, close, another_namespace, delete])
def test_nobody_comes_in_through_an_integration_that_changed_meanwhile(app, logins, record, change):
    uid, record_id = f"{record.namespace}:42", record.id
    change(app, record)
    app.session.commit()
    with pytest.raises(AuthSessionError) as caught:
        logins.find_or_create_person(Backend, uid, details(), record_id)
    assert caught.value.context["problem"] == "integration_changed"
    assert app.count(app.User) == 0


def test_a_disabled_person_and_another_integrations_identity_are_refused(app, acme, logins, record):
    social = app.log_in(record)
    logins.refuse_disabled_person(Backend, social, record.id)
    with pytest.raises(AuthAssociationError):
        logins.refuse_disabled_person(Backend, social, app.integration(acme, "Other").id)
    social.disabled_at = clock.now()
    with pytest.raises(AuthPolicyError) as caught:
        logins.refuse_disabled_person(Backend, social, record.id)
    assert caught.value.context["problem"] == "person_disabled"


def test_a_login_takes_over_names_and_address_alone(app, logins, record, standing_clock):
    social = app.log_in(record)
    before = dict(vars(social.user))
    standing_clock.advance(hours=1)
    app.recorded.take()
    logins.update_person(social, details("renamed", email=None, id=99, organization_id=99, is_admin=True))
    after = vars(social.user)
    assert {name for name in before if before[name] != after[name]} == {"username", "email", "display_name"}
    assert (social.user.username, social.user.email, social.name) == ("renamed", None, "renamed")
    assert social.last_login_at == standing_clock()
    assert app.recorded.codes == ["user.renamed"]


@pytest.mark.parametrize(
    ("username", "becomes"),
    [("jane", "doe"), ("jane-2", "doe"), ("jane-x", "jane-x"), ("somebody", "somebody"), ("jan", "jan")],
)
def test_a_username_follows_the_account_that_it_came_from(app, logins, record, username, becomes):
    social = app.log_in(record)
    social.user.username = username
    logins.update_person(social, details("doe"))
    assert social.user.username == becomes


def test_a_login_always_writes_so_that_the_database_holds_its_lock(app, logins, record, standing_clock):
    social = app.log_in(record)
    standing_clock.advance(seconds=1)
    app.session.commit()
    written = []
    event.listen(app.engine, "before_cursor_execute", lambda *arguments: written.append(arguments[2].split()[0]))
    logins.update_person(social, details())
    assert "UPDATE" in written


def test_connecting_takes_over_nothing(app, acme, logins, record):
    user = app.log_in(record).user
    other = app.integration(acme, "Other")
    app.recorded.take()
    made = find_or_create(app, other, number=7, username="other", user=user)
    assert (made["user"], made["is_new"], made["new_association"]) == (user, False, True)
    logins.update_person(made["social"], details("other", email=None), new_association=True)
    assert (user.username, user.email, made["social"].name) == ("jane", "jane@acme.example", "other")
    assert made["social"].last_login_at is None
    assert app.recorded.codes == ["identity.connected"]


def test_an_identity_of_somebody_else_is_not_connected(app, acme, logins, record):
    user = app.log_in(record).user
    other = app.integration(acme, "Other")
    theirs = app.log_in(other, number=7, username="somebody")
    for attempt in (
        lambda: find_or_create(app, other, number=7, user=user),
        lambda: logins.find_identity(ByOAuth2, theirs.uid, user=user),
    ):
        with pytest.raises(AuthAssociationError) as caught:
            attempt()
        assert caught.value.context["problem"] == "identity_in_use"
    assert theirs.user is not user


def test_everybody_connects_one_account_for_each_integration(app, record):
    user = app.log_in(record).user
    with pytest.raises(AuthAssociationError) as caught:
        find_or_create(app, record, number=43, user=user)
    assert caught.value.context["problem"] == "already_connected"


def test_nobody_connects_an_account_of_an_organization_where_they_do_not_log_in(app, record):
    user = app.log_in(record).user
    foreign = app.integration(app.organization("globex"))
    with pytest.raises(AuthSessionError) as caught:
        find_or_create(app, foreign, user=user)
    assert caught.value.context["problem"] == "person_changed"
    app.store.may_connect = lambda person, organization: (person, organization.slug) == (user, "globex")
    assert find_or_create(app, foreign, user=user)["user"] is user


def test_the_application_lets_nobody_connect(app, acme, record):
    user = app.log_in(record).user
    app.store.may_connect = lambda _user, _organization: False
    with pytest.raises(AuthSessionError):
        find_or_create(app, app.integration(acme, "Other"), user=user)


def test_of_a_login_the_sealed_token_and_the_roles_alone_are_kept(app, logins, record):
    social = app.log_in(record)
    kept = {"sealed_access_token": "sealed", "integration": record.id}
    logins.keep_token_and_roles(social, {**kept, "email": "jane@acme.example", "id": 42})
    app.session.commit()
    assert social.extra_data == kept
    logins.keep_token_and_roles(social, {"bitbucket_roles": ["editor"]})
    assert roles_of(social) == {"editor"}
    logins.keep_token_and_roles(social, {"id": 42, "bitbucket_roles": []})
    assert social.extra_data == {}


def test_a_login_is_committed_by_what_follows_its_pipeline(app, record):
    with app.models.storage.all_or_nothing():
        find_or_create(app, record)
        app.models.storage.read_anew()
    app.session.rollback()
    assert app.count(app.User) == 0


def test_a_login_that_fails_leaves_nothing_behind(app, record):
    def fail():
        with app.models.storage.all_or_nothing():
            find_or_create(app, record)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    app.session.commit()
    assert app.count(app.User) == app.count(app.models.identity) == 0


def usernames(app, record, *wanted):
    return [app.log_in(record, number=n, username=name).user.username for n, name in enumerate(wanted)]


def test_a_username_that_is_taken_gets_a_number(app, record):
    assert usernames(app, record, "jane", "jane", "jane") == ["jane", "jane-2", "jane-3"]
    assert usernames(app, app.integration(app.organization("globex")), "jane") == ["jane"]


def test_the_longest_usernames_fit(app, record):
    names = usernames(app, record, "x" * 255, "x" * 255)
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 40


def test_a_username_with_wildcards_is_taken_literally(app, record):
    assert usernames(app, record, "a_b", "a%") == ["a_b", "a%"]


def in_a_constructor():
    """Return users whose constructor wants more than a login gives, and fills it itself."""
    base, organization, _user = with_numbers()

    class Member(base):
        __tablename__ = "members"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        plan: Mapped[str]

        def __init__(self, **fields):
            super().__init__(plan="free", **fields)

    return base, organization, Member


def with_unique_names():
    """Return users with one name for all organizations, behind a synonym."""
    base, organization, _user = with_numbers()

    class Member(base):
        __tablename__ = "members"
        id: Mapped[int] = mapped_column(primary_key=True)
        login: Mapped[str] = mapped_column(String(255), unique=True)
        username: Mapped[str] = synonym("login")
        first_name: Mapped[str] = mapped_column(default="")
        last_name: Mapped[str] = mapped_column(default="")

    return base, organization, Member


def in_a_child_table():
    """Return users that inherit their primary key."""
    base, organization, user = with_numbers()

    class Member(user):
        __tablename__ = "members"
        user_id: Mapped[int] = mapped_column(ForeignKey(user.id, ondelete="CASCADE"), primary_key=True)
        theme: Mapped[str] = mapped_column(default="light")

    return base, organization, Member


def as_dataclasses():
    class Base(MappedAsDataclass, DeclarativeBase): ...

    class Organization(Base):
        __tablename__ = "organizations"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        slug: Mapped[str]
        name: Mapped[str]

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        fullname: Mapped[str]
        organization_id: Mapped[int] = mapped_column(ForeignKey(Organization.id, ondelete="CASCADE"), init=False)
        organization: Mapped[Organization] = relationship()
        email: Mapped[str | None] = mapped_column(default=None)

    return Base, Organization, User


def of_many_organizations():
    """Return users without an attribute for an organization, whose names must differ within a tenant."""
    base, organization, _user = with_numbers()

    class Member(base):
        __tablename__ = "members"
        __table_args__ = (UniqueConstraint("tenant", "username"),)
        id: Mapped[int] = mapped_column(primary_key=True)
        tenant: Mapped[str] = mapped_column(default="one")
        username: Mapped[str] = mapped_column(String(40))

    return base, organization, Member


SHAPES = {
    in_a_constructor: {"name": "jane of 42", "plan": "free"},
    with_unique_names: {"login": "jane", "first_name": "", "last_name": ""},
    in_a_child_table: {"username": "jane", "theme": "light", "display_name": "jane of 42"},
    as_dataclasses: {"fullname": "jane of 42", "email": "jane@acme.example"},
    of_many_organizations: {"username": "jane", "tenant": "one"},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_somebody_new_gets_what_the_class_of_users_has(make_app, shape):
    app = make_app(shape)
    acme = app.organization()
    record = app.integration(acme)
    user = app.log_in(record).user
    assert type(user) is app.User
    assert {name: getattr(user, name) for name in SHAPES[shape]} == SHAPES[shape]
    assert getattr(user, "organization", acme) is acme
    assert app.store.people.count_only_through(record) == 1
    assert [person.user for person in app.store.people.of(acme)] == [user]
    app.log_in(record, username="renamed")
    assert app.count(app.User) == 1


@pytest.mark.parametrize("shape", [with_unique_names, of_many_organizations])
def test_names_that_must_differ_everywhere_do(make_app, shape):
    app = make_app(shape)
    names = [
        app.log_in(app.integration(app.organization(slug))).user.username for slug in ("acme", "globex", "initech")
    ]
    assert names == ["jane", "jane-2", "jane-3"]


def with_more_columns():
    """Return users that need what no login gives."""
    base, organization, user = with_numbers()

    class Member(user):
        __tablename__ = "members"
        user_id: Mapped[int] = mapped_column(ForeignKey(user.id, ondelete="CASCADE"), primary_key=True)
        company_name: Mapped[str]
        phone: Mapped[str]

    return base, organization, Member


def of_one_organization():
    """Return users that cannot be without an organization."""
    base, tenant, _user = with_numbers()

    class Member(base):
        __tablename__ = "members"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str]
        tenant_id: Mapped[int] = mapped_column(ForeignKey(tenant.id, ondelete="CASCADE"))
        organization = relationship(tenant)

    return base, tenant, Member


def test_users_that_need_more_are_refused_at_start_in_one_sentence(make_app):
    missing = r"^Give new_person, [^.]* a Member [^.]* no company_name and no phone\.$"
    with pytest.raises(UnsafeConfigurationError, match=missing):
        make_app(with_more_columns)
    app = make_app(with_more_columns, new_person=lambda _organization, found: app.User(**found))
    assert app.store.new_person is not None


def test_users_that_need_an_organization_get_it(make_app):
    app = make_app(of_one_organization)
    acme = app.organization()
    assert app.log_in(app.integration(acme)).user.tenant_id == acme.id


def test_the_application_makes_and_updates_people_itself(make_app):
    def new_person(organization, found):
        return app.User(username=f"{organization.slug}/{found['username']}")

    def update_person(user, found, before):
        user.username += f" {before}>{found['username']}"

    app = make_app(new_person=new_person, update_person=update_person)
    record = app.integration(app.organization())
    assert app.log_in(record).user.username == "acme/jane"
    assert app.log_in(record, username="doe").user.username == "acme/jane jane>doe"


def test_a_name_that_another_login_takes_meanwhile_gets_a_number(make_app, monkeypatch):
    app = make_app(with_unique_names)
    record = app.integration(app.organization())
    app.log_in(record)
    make, attempts = app.store.new_person, []

    def make_too_early(organization, found):
        attempts.append(found)
        return app.User(username="jane") if len(attempts) == 1 else make(organization, found)

    app.store.new_person = make_too_early
    assert app.log_in(record, number=43).user.username == "jane-2"
    assert len(attempts) == 2
    assert app.session.scalars(select(app.User.login).order_by(app.User.id)).all() == ["jane", "jane-2"]
