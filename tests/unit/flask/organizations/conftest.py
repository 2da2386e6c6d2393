"""An application with organizations and a database file of its own, and somebody to visit it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.flask_app import create_app
from tests.visitor import InProcess, Visitor

AppMaker = Callable[..., Flask]


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[AppMaker]:
    """Makes applications that share an instance folder, as restarts do."""
    made: list[Flask] = []

    def make(**config: object) -> Flask:
        app = create_app({"INSTANCE_PATH": tmp_path / "instance", "PUBLIC_BASE_URL": "http://127.0.0.1:5000", **config})
        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["engine"].dispose()


@pytest.fixture
def app(make_app: AppMaker) -> Flask:
    return make_app()


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(InProcess(app))


@pytest.fixture
def owner(app: Flask) -> Visitor:
    """The owner of the organization acme, logged in."""
    owner = Visitor(InProcess(app))
    owner.create_organization("acme")
    return owner


class Clock:
    """A clock that stands still until it is set ahead."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **duration: float) -> None:
        self.time += timedelta(**duration)


@pytest.fixture
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    standing = Clock()
    monkeypatch.setattr(clock, "now", standing)
    return standing
