"""The storage of organizations on PostgreSQL: its migrations, and the locks that SQLite does not have."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from alembic import command
from social_core.exceptions import SocialAuthBaseException
from sqlalchemy import make_url, text

from social_bitbucket_server.login.digests import configuration_of
from social_bitbucket_server.login.identity import write_identity
from social_bitbucket_server.sqlalchemy.organizations import organization_models
from tests.unit.sqlalchemy.organizations.applications import SHAPES, Backend, make_engine
from tests.unit.sqlalchemy.organizations.test_models import as_alembic_begins, live

pytestmark = pytest.mark.postgresql


@pytest.fixture
def url(postgresql):
    return make_url(postgresql.new_database()).set(drivername="postgresql+psycopg")


@pytest.mark.parametrize("shape", SHAPES)
def test_alembic_writes_a_migration_that_makes_the_tables(tmp_path, url, shape):
    base, organization, user = shape()
    organization_models(base, organization, user, lambda: None)
    engine = make_engine(url)
    with engine.connect() as connection:
        settings = as_alembic_begins(tmp_path / "migrations", connection, base.metadata)
        command.revision(settings, autogenerate=True)
        command.upgrade(settings, "head")
        command.check(settings)
    engine.dispose()


@pytest.mark.parametrize("shape", SHAPES)
def test_an_organization_has_everything_in_its_life(make_app, url, shape):
    app = make_app(shape, url)
    app.store.refuse_unsafe_database()
    live(app)


@contextmanager
def a_login_under_way(app, record_id):
    """Hold a login open that has looked its integration up within its pipeline."""
    looked_up, go_on = threading.Event(), threading.Event()

    def log_in():
        try:
            with app.models.storage.all_or_nothing():
                record = app.store.integrations.find_enabled(record_id)
                app.store.logins.find_or_create_person(
                    Backend, f"{record.namespace}:42", {"username": "jane"}, record_id
                )
                app.store.integrations.for_login(record_id)
                looked_up.set()
                go_on.wait(60)
            app.session.commit()
        finally:
            looked_up.set()
            app.session.remove()

    with ThreadPoolExecutor(1) as threads:
        login = threads.submit(log_in)
        looked_up.wait(60)
        try:
            yield
        finally:
            go_on.set()
            login.result(60)


def disable(app, record):
    app.store.integrations.set_enabled(record, enabled=False)


def close(app, record):
    app.store.ways_in.close_link(record.organization)


def delete(app, record):
    app.store.integrations.delete(record)


@pytest.mark.parametrize("change", [disable, close, delete])
def test_a_change_waits_for_a_login_that_is_being_written(make_app, url, change):
    app = make_app(url=url)
    record = app.integration(app.organization())
    record_id = record.id
    app.session.remove()

    def change_it():
        try:
            app.session.execute(text("SET LOCAL application_name = 'changing'"))
            change(app, app.session.get(app.models.integration, record_id))
        finally:
            app.session.remove()

    with ThreadPoolExecutor(1) as threads:
        with a_login_under_way(app, record_id):
            changing = threads.submit(change_it)
            wait_for_lock(app, changing)
            assert not changing.done()
        changing.result(60)
    assert app.store.integrations.find_enabled(record_id) is None or change is close


def test_a_login_that_waited_for_a_change_ends_by_all_of_it(make_app, url, monkeypatch):
    """PostgreSQL reads what is locked again after it has waited, and what is joined to it as it was before."""
    app = make_app(url=url)
    record = app.integration(app.organization())
    app.store.upgrade.keep_credentials(record, "first", "secret")
    record_id, uid = record.id, f"{record.namespace}:42"
    backend = SimpleNamespace(
        name="bitbucket-server-oauth2",
        strategy=SimpleNamespace(storage=app.models.storage),
        has_single_server=False,
        get_integration=app.store.integrations.for_oauth2_login,
        get_admission=lambda integration: integration.admission,
        may_have_begun_with=lambda integration: (integration,),
    )
    begun = backend.get_integration(record_id)
    app.session.remove()
    is_locked, go_on = threading.Event(), threading.Event()
    note = app.store.upgrade._note

    def note_later(*arguments, **details):
        app.session.flush()
        is_locked.set()
        assert go_on.wait(60)
        note(*arguments, **details)

    def change():
        app.store.upgrade.keep_credentials(app.session.get(app.models.integration, record_id), "second", "secret")
        app.session.remove()

    def write():
        return app.store.logins.find_or_create_person(backend, uid, {"username": "jane"}, record_id)["user"]

    def log_in():
        try:
            write_identity(backend, write, uid, record_id, configuration_of(begun, begun.admission))
        finally:
            app.session.remove()

    monkeypatch.setattr(app.store.upgrade, "_note", note_later)
    with ThreadPoolExecutor(2) as threads:
        changing = threads.submit(change)
        assert is_locked.wait(60)
        login = threads.submit(log_in)
        wait_for_lock(app, login)
        go_on.set()
        changing.result(60)
        with pytest.raises(SocialAuthBaseException) as refused:
            login.result(60)
    assert refused.value.context["problem"] == "integration_changed"
    assert app.count(app.User) == 0


def wait_for_lock(app, changing):
    """Return as soon as a statement waits for another transaction."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with app.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.scalar(waiting):
            assert not changing.done(), "the change did not wait"


def test_logins_do_not_wait_for_each_other(make_app, url):
    app = make_app(url=url)
    record_id = app.integration(app.organization()).id
    app.session.remove()
    with a_login_under_way(app, record_id), app.models.storage.all_or_nothing():
        app.session.execute(text("SET LOCAL lock_timeout = '20s'"))
        assert app.store.integrations.for_login(record_id) is not None
    app.session.commit()


def test_two_first_logins_make_one_person(make_app, url):
    app = make_app(url=url)
    record = app.integration(app.organization())
    record_id, uid = record.id, f"{record.namespace}:42"
    app.session.remove()

    def log_in():
        with app.models.storage.all_or_nothing():
            user = app.store.logins.find_or_create_person(Backend, uid, {"username": "jane"}, record_id)["user"].id
        app.session.commit()
        app.session.remove()
        return user

    with ThreadPoolExecutor(1) as threads:
        with a_login_under_way(app, record_id):
            second = threads.submit(log_in)
            wait_for_lock(app, second)
        assert second.result(60) == 1
    assert app.count(app.User) == 1


def test_the_statement_of_each_login_is_one_that_psycopg_keeps(make_app, url):
    app = make_app(url=url)
    compiled = app.store.events._last_signs.compile(app.engine)
    assert len(str(compiled)) < 4096
    assert len(compiled.params) <= 50
