"""An application with organizations, and a clock that stands still."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.unit.sqlalchemy.organizations.applications import Application


@pytest.fixture
def app():
    with closing(Application()) as app:
        yield app


@pytest.fixture
def make_app():
    """Makes applications that are closed after the test."""
    made = []

    def make(*arguments, **options):
        made.append(Application(*arguments, **options))
        return made[-1]

    yield make
    for app in made:
        app.close()


@pytest.fixture
def store(app):
    return app.store


@pytest.fixture
def acme(app):
    return app.organization("acme")


@pytest.fixture
def record(app, acme):
    made = app.integration(acme)
    app.recorded.take()
    return made


class Clock:
    """A clock that stands still until it is set ahead."""

    def __init__(self):
        self.time = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self):
        return self.time

    def advance(self, **duration):
        self.time += timedelta(**duration)


@pytest.fixture(autouse=True)
def standing_clock(monkeypatch):
    standing = Clock()
    monkeypatch.setattr(clock, "now", standing)
    return standing
