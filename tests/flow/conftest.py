"""The tests' application, with sandboxes as the organizations' Bitbucket Servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from social_bitbucket_server.sandbox import Sandbox
from tests.flask_app import create_app
from tests.flow.site import Site, connect
from tests.postgresql import programs
from tests.visitor import Visitor

ORIGIN = "http://127.0.0.1:5000"
"""Origin that the application takes for its own. Nothing listens there."""


@pytest.fixture
def database_url(request: pytest.FixtureRequest, must_be_there: Callable[[bool, str], None]) -> str:
    """SQLite's default, or an empty database of what the test is parametrized with."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return ""
    must_be_there(programs() is not None, "PostgreSQL")
    make: Callable[[], str] = request.getfixturevalue("new_postgresql_database")
    return make()


@pytest.fixture
def site_settings() -> dict[str, object]:
    """Settings of the application that a module's tests want besides."""
    return {}


@pytest.fixture
def site(tmp_path: Path, database_url: str, site_settings: dict[str, object]) -> Iterator[Site]:
    app = create_app(
        {
            "INSTANCE_PATH": tmp_path / "instance",
            "PUBLIC_BASE_URL": ORIGIN,
            "OUTBOUND_MODE": "test",
            "DATABASE_URL": database_url,
            **site_settings,
        }
    )
    yield Site(app, ORIGIN)
    app.extensions["engine"].dispose()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(context="/bitbucket", version="7.6.0") as sandbox:
        yield sandbox


@pytest.fixture
def other_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def acme(site: Site, sandbox: Sandbox) -> str:
    """An organization that is connected to the sandbox; the path of its integration's page."""
    owner = site.visitor()
    owner.create_organization("acme")
    return connect(owner, "acme", sandbox)


@pytest.fixture
def owner(site: Site, acme: str) -> Visitor:
    """The owner of acme, logged in."""
    owner = site.visitor()
    owner.log_owner_in("acme")
    return owner
