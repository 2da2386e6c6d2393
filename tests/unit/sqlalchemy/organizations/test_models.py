"""The tables of organizations' integrations in applications of different shapes."""

import io
import secrets
from datetime import timedelta
from types import MappingProxyType

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Index, UniqueConstraint, delete, inspect, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import CreateIndex

from social_bitbucket_server.account import Recheck, Standing
from social_bitbucket_server.integration import UnsafeConfigurationError
from social_bitbucket_server.organizations import KeyState, OAuth
from social_bitbucket_server.sqlalchemy import organizations as storage
from social_bitbucket_server.sqlalchemy.organizations import OrganizationModels, clock, organization_models, server_url
from social_bitbucket_server.sqlalchemy.storage import make_storage
from tests.unit.sqlalchemy.organizations.applications import (
    SHAPES,
    Backend,
    make_engine,
    with_numbers,
    with_uuids,
)

PARTIAL = MappingProxyType(
    {
        "enforced": "enforced_at IS NOT NULL",
        "active": "state = 'active'",
        "pending": "state = 'pending'",
        "replaced": "state = 'replaced'",
        "live": "revoked_at IS NULL",
    }
)


def mixed_by_the_application(base, organization, user, session):
    """Return models whose classes the application mixed itself, each with what it wants besides."""
    of_organization = {"organization_class": organization}

    class Ways(storage.WaysMixin, base):
        locals().update(of_organization)
        note: Mapped[str] = mapped_column(default="")

    class Integration(storage.IntegrationMixin, base):
        locals().update(of_organization)
        __tablename__ = "logins_through"
        ways_class = Ways
        contact: Mapped[str] = mapped_column(default="the admin")

    class Link(storage.ApplicationLinkMixin, base):
        integration_class = Integration
        note: Mapped[str] = mapped_column(default="")

    class Pair(storage.KeyPairMixin, base):
        integration_class = Integration
        application_link_class = Link
        note: Mapped[str] = mapped_column(default="")

    class Credentials(storage.ClientCredentialsMixin, base):
        integration_class = Integration
        note: Mapped[str] = mapped_column(default="")

    class SetupLink(storage.SetupLinkMixin, base):
        integration_class = Integration
        note: Mapped[str] = mapped_column(default="")

    class EndedSetupLink(storage.EndedSetupLinkMixin, base):
        note: Mapped[str] = mapped_column(default="")

    class Event(storage.EventMixin, base):
        locals().update(of_organization)
        user_class = user
        note: Mapped[str] = mapped_column(server_default="none")

    class IdentityColumns(storage.OrganizationIdentityMixin):
        integration_class = Integration
        note: Mapped[str] = mapped_column(default="")

    return OrganizationModels(
        organization=organization,
        user=user,
        ways=Ways,
        integration=Integration,
        application_link=Link,
        key_pair=Pair,
        client_credentials=Credentials,
        setup_link=SetupLink,
        ended_setup_link=EndedSetupLink,
        event=Event,
        storage=make_storage(base, user, session, IdentityColumns, new_user=user),
        session=session,
    )


MODELS = [organization_models, mixed_by_the_application]


@pytest.fixture(params=SHAPES)
def any_app(request, make_app):
    return make_app(request.param)


def everything_of(app, organization):
    """Let *organization* have a row in each table."""
    record = app.integration(organization)
    app.store.upgrade.keep_credentials(record, "id", "secret")
    app.store.setup_links.make(record)
    return record, app.log_in(record)


ENV = """
from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
"""


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_alembic_writes_a_migration_that_makes_the_tables(tmp_path, shape, models):
    base, organization, user = shape()
    models(base, organization, user, lambda: None)
    engine = make_engine()
    with engine.connect() as connection:
        settings = as_alembic_begins(tmp_path / "migrations", connection, base.metadata)
        written = command.revision(settings, autogenerate=True)
        assert "social_bitbucket_server" not in written.module.__loader__.get_source(written.module.__name__)
        command.upgrade(settings, "head")
        command.check(settings)
        found = indexes(connection)
        command.downgrade(settings, "base")
        base.metadata.create_all(connection)
        assert found == indexes(connection)
    engine.dispose()


def as_alembic_begins(folder, connection, metadata):
    """Return the settings of an application that has just run ``alembic init``."""
    settings = Config(folder.with_name("alembic.ini"), stdout=io.StringIO())
    command.init(settings, str(folder))
    settings.set_main_option("script_location", str(folder))
    (folder / "env.py").write_text(ENV)
    settings.attributes.update(connection=connection, metadata=metadata)
    return settings


def indexes(connection):
    return set(connection.scalars(text("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")))


@pytest.mark.parametrize("models", MODELS)
def test_partial_indexes_have_their_conditions_on_both_databases(make_app, models):
    app = make_app(models=models)
    found = {}
    for table in app.base.metadata.tables.values():
        for index in table.indexes:
            statement = str(CreateIndex(index).compile(dialect=postgresql.dialect()))
            if " WHERE " in statement:
                assert index.unique
                assert index.dialect_options["sqlite"]["where"] is index.dialect_options["postgresql"]["where"]
                found[index.name.split("_")[1]] = statement.partition(" WHERE ")[2]
    assert found == PARTIAL


@pytest.mark.parametrize("models", MODELS)
def test_each_table_has_its_constraints_once(make_app, models):
    app = make_app(models=models)
    for table in app.base.metadata.tables.values():
        unique = [tuple(each.columns.keys()) for each in table.constraints if isinstance(each, UniqueConstraint)]
        names = [index.name for index in table.indexes]
        assert len(set(unique)) == len(unique), table.name
        assert len(set(names)) == len(names), table.name
        assert all(isinstance(index, Index) for index in table.indexes)


def test_two_applications_in_one_process_keep_their_tables_apart(make_app):
    one, other = make_app(with_numbers), make_app(with_uuids)
    assert one.models.integration is not other.models.integration
    one.integration(one.organization())
    assert other.count(other.models.integration) == 0


def test_columns_of_organizations_and_users_are_of_the_applications_types(any_app):
    models = any_app.models
    organization, user = (inspect(each).primary_key[0] for each in (models.organization, models.user))
    for table in (models.ways, models.integration, models.event):
        assert isinstance(table.__table__.c.organization_id.type, type(organization.type))
    for table in (models.identity, models.event):
        assert isinstance(table.__table__.c.user_id.type, type(user.type))


@pytest.mark.parametrize("models", MODELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_application_of_any_shape_lets_people_log_in(make_app, shape, models):
    app = make_app(shape, models=models)
    acme = app.organization()
    record, identity = everything_of(app, acme)
    app.session.expire_all()
    assert app.store.integrations.for_login(record.id).namespace == record.namespace
    assert app.store.integrations.for_oauth2_login(record.id) is not None
    assert app.store.identities.of_session(identity.id, identity.session_revision) is identity
    (person,) = app.store.people.of(acme)
    assert app.store.people.find(acme, person.key) == person
    assert app.store.people.names(acme, [app.store.key_of(identity.user), None]) == {
        app.store.key_of(identity.user): app.store.name_of(identity.user)
    }
    app.store.people.disable(acme, person)
    assert app.store.identities.of_session(identity.id, identity.session_revision) is None
    assert app.store.integrations.organization_of(record.id) == app.store.key_of(acme)


def live(app):
    """Do everything with an organization that touches its users and its own row."""
    acme, store = app.organization(), app.store
    record, identity = everything_of(app, acme)
    other = app.integration(acme, "Other")
    user, identity_id = identity.user, identity.id
    second = app.log_in(other, number=7, username="jane.doe", user=user)
    app.log_in(record, username="renamed")
    store.key_rotation.begin(record, with_new_link=True)
    store.key_rotation.promote_after_a_login(store.integrations.signing_with(record, record.pending_key_pair))
    store.ways_in.enforce(record)
    store.ways_in.lift(acme)
    with app.models.storage.all_or_nothing():
        assert store.integrations.for_login(record.id).predecessor is not None
        assert app.models.identity.get_social_auth(Backend.name, identity.uid) is identity
    app.session.commit()
    assert list(app.models.identity.get_social_auth_for_user(user)) == [identity, second]
    assert app.models.identity.get_social_auth_by_extra_data(Backend.name, "none", "") is None
    app.models.identity.migrate_social_auth(second, second.uid, "id")
    assert store.identities.last_persons([record.id]) == {record.id: store.name_of(user)}
    assert store.rechecks.due(timedelta(days=1), acme) == [identity_id]
    (found,) = store.rechecks.recheck([identity_id], lambda _identity: Recheck(Standing.REFUSED))
    assert found.asked
    (person,) = store.people.of(acme)
    store.people.disable(acme, person)
    store.people.enable(acme, person)
    assert store.people.names(acme, [store.key_of(user)]) == {store.key_of(user): store.name_of(user)}
    assert store.identities.of(acme, user) == [identity, second]
    assert store.identities.disconnect(user, identity)
    assert store.identities.of_session(second.id, second.session_revision) is second
    assert store.identities.to_connect(acme, user) == [record]
    assert store.events.condition_of(record).is_upgrade_begun
    store.logins.keep_token_and_roles(second, {"sealed_access_token": "x", "integration": other.id})
    app.session.commit()
    assert store.resealing.reseal_tokens(lambda _identity: None) == (1, 0)
    assert store.resealing.forget_tokens() == 1
    assert store.pruning.forget() == 0
    store.moves.begin_anew(record, server_url(other))
    store.integrations.delete(other)
    assert store.integrations.of(acme) == [record]


def test_an_organization_has_everything_in_its_life(any_app):
    live(any_app)


def test_columns_of_the_applications_own_are_filled(make_app):
    app = make_app(models=mixed_by_the_application)
    record, identity = everything_of(app, app.organization())
    assert (record.contact, record.ways_into_organization.note, record.key_pairs[0].note) == ("the admin", "", "")
    assert identity.note == ""
    assert record.__table__.name == "logins_through"


def test_a_row_counts_as_changed_by_a_column_of_the_applications_own(make_app):
    app = make_app(models=mixed_by_the_application)
    record = app.integration(app.organization())
    before = record.login_revision
    record.contact = "another one"
    app.session.commit()
    assert record.login_revision != before


def test_an_organizations_rows_go_with_it(any_app):
    acme = any_app.organization()
    everything_of(any_app, acme)
    other = any_app.integration(any_app.organization("globex"))
    any_app.session.execute(delete(any_app.Organization).where(any_app.Organization.slug == "acme"))
    any_app.session.commit()
    models = any_app.models
    assert any_app.session.scalars(select(models.integration.id)).all() == [other.id]
    assert any_app.session.scalars(select(models.key_pair.integration_id)).all() == [other.id]
    for table in (models.client_credentials, models.setup_link, models.identity):
        assert any_app.count(table) == 0
    assert any_app.count(models.ways) == any_app.count(models.application_link) == 1


def test_an_organization_that_the_session_deletes_takes_its_rows_along(any_app):
    acme = any_app.organization()
    everything_of(any_app, acme)
    any_app.session.delete(acme)
    any_app.session.commit()
    assert any_app.count(any_app.models.integration) == any_app.count(any_app.models.identity) == 0


def test_a_users_identities_go_with_them(any_app):
    record, identity = everything_of(any_app, any_app.organization())
    user = identity.user
    any_app.session.delete(user)
    any_app.session.commit()
    assert any_app.count(any_app.models.identity) == 0
    assert any_app.store.identities.count(record) == 0


def test_a_database_that_ignores_foreign_keys_is_refused(app):
    app.store.refuse_unsafe_database()
    app.session.remove()
    with app.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    with pytest.raises(UnsafeConfigurationError, match=r"^Call set_up_sqlite"):
        app.store.refuse_unsafe_database()


def test_moments_come_back_with_their_time_zone(app, record):
    app.session.expire_all()
    assert record.created_at == clock.now()
    assert record.created_at.tzinfo is not None


@pytest.mark.parametrize("state", [KeyState.ACTIVE, KeyState.PENDING, KeyState.REPLACED])
def test_an_integration_has_one_key_pair_of_each_state(app, record, state):
    def add():
        app.session.add(pair(app, record, state))
        app.session.flush()

    if state is not KeyState.ACTIVE:
        add()
    with pytest.raises(IntegrityError):
        add()


def test_an_integration_has_many_retired_key_pairs(app, record):
    app.session.add_all([pair(app, record, KeyState.RETIRED), pair(app, record, KeyState.RETIRED)])
    app.session.commit()
    assert len(record.key_pairs) == 3
    assert record.active_key_pair.state is KeyState.ACTIVE


def pair(app, record, state):
    number, link = secrets.token_hex(8), record.application_links[0]
    return app.models.key_pair(
        id=number,
        integration_id=record.id,
        stored_state=state.value,
        public_key=number,
        consumer_key=link.consumer_key,
    )


def same_number(app, record, other):
    other.number = record.number


def both_enforced(app, record, other):
    record.enforced_at = other.enforced_at = clock.now()


def same_namespace(app, record, other):
    other.namespace = record.namespace


def same_public_key(app, record, other):
    other.active_key_pair.public_key = record.active_key_pair.public_key


def same_link_number(app, record, other):
    app.session.add(app.models.application_link(consumer_key="another", integration_id=record.id, number=1))


def two_credentials(app, record, other):
    for number in "12":
        app.session.add(
            app.models.client_credentials(
                id=number, integration_id=record.id, client_id=number, sealed_client_secret=number
            )
        )


def two_setup_links(app, record, other):
    for number in "12":
        app.session.add(
            app.models.setup_link(
                token_sha256=number, integration_id=record.id, created_at=clock.now(), expires_at=clock.now()
            )
        )


def same_uid_by_the_other_oauth(app, record, other):
    identity = app.log_in(record)
    app.session.add(
        app.models.identity(
            user=identity.user,
            integration_id=record.id,
            name="jane",
            uid=identity.uid,
            provider=OAuth.TWO.backend,
            extra_data={},
        )
    )


@pytest.mark.parametrize(
    "break_it",
    [
        same_number,
        both_enforced,
        same_namespace,
        same_public_key,
        same_link_number,
        two_credentials,
        two_setup_links,
        same_uid_by_the_other_oauth,
    ],
)
def test_the_database_refuses_what_must_not_be(app, acme, record, break_it):
    other = app.integration(acme, "Other")
    break_it(app, record, other)
    with pytest.raises(IntegrityError):
        app.session.commit()


def test_another_organization_counts_and_enforces_for_itself(app, record):
    other = app.integration(app.organization("globex"))
    assert other.number == record.number == 1
    both_enforced(app, record, other)
    app.session.commit()


CHANGES = {
    "name": ("Another name", True),
    "base_url": ("https://another.example", True),
    "allow_groups": (["staff"], True),
    "disabled_at": (clock.now(), True),
    "enforced_at": (clock.now(), True),
    "last_login_at": (clock.now(), False),
    "moving_to": ("https://new.example", False),
    "oauth1_ended_at": (clock.now(), False),
    "server_version": ("9.4.0", False),
}


@pytest.mark.parametrize("column", CHANGES)
def test_logins_under_way_end_with_changes_that_concern_them(app, record, column):
    value, ends_logins = CHANGES[column]
    before = record.login_revision
    setattr(record, column, value)
    app.session.commit()
    assert (record.login_revision != before) == ends_logins


def test_each_change_of_the_ways_in_ends_logins_but_not_the_next_number(app, acme, record):
    before = record.login_revision
    app.integration(acme, "Other")
    app.session.expire_all()
    assert record.login_revision == before
    record.ways_into_organization.closed_at = clock.now()
    app.session.commit()
    assert record.login_revision != before
