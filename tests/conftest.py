"""Fixtures for every room. Keys are made once: making one takes longer than most tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from flask import Flask
from hypothesis import HealthCheck, settings
from sqlalchemy import make_url
from werkzeug.routing import Rule

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.integration import Integration, Server, ServerURL
from social_bitbucket_server.onboarding import checkup
from social_bitbucket_server.transport import Limits, Transport, reaching, use_transport
from tests import mariadb as maria
from tests import postgresql as postgres
from tests import prepared
from tests.flask_app import database, people
from tests.mariadb import MariaDB
from tests.postgresql import PostgreSQL
from tests.scripted_server import ScriptedServer

pytest_plugins = ["tests.fast", "tests.facts.plugin"]

# How long an example takes says how busy the machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# What a shell runs in its background ignores Ctrl-C, and so would all programs that tests begin.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--row", type=int, action="append", help="try this row of docs/security.md, and nothing else")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = set(config.getoption("--row") or ())
    if chosen:
        left_out = [item for item in items if chosen.isdisjoint(rows_of(item))]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def rows_of(item: pytest.Item) -> set[int]:
    """Return the rows of the security matrix that a test tries."""
    return {row for mark in item.iter_markers("row") for row in mark.args}


@pytest.fixture(scope="session")
def private_key() -> PrivateKey:
    return PrivateKey.generate(2048)


@pytest.fixture(scope="session")
def other_private_key() -> PrivateKey:
    return PrivateKey.generate(2048)


@pytest.fixture(autouse=True)
def spare_keys(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> prepared.KeyPool:
    """Keys, password hashes, and what the tests' application is made of come ready-made, unless a test is
    ``as_shipped``."""
    pool = prepared.KeyPool()
    if "as_shipped" not in request.keywords:
        monkeypatch.setattr(PrivateKey, "generate", pool.generate)
        monkeypatch.setattr(serialization, "load_der_private_key", prepared.load_private_key)
        monkeypatch.setattr(people, "generate_password_hash", prepared.cheap_password_hash)
        monkeypatch.setattr(database, "upgrade", prepared.copy_tables)
        monkeypatch.setattr(Rule, "_compile_builder", prepared.compile_builder)
        monkeypatch.setitem(Flask.jinja_options, "bytecode_cache", prepared.templates)
    return pool


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A server for all tests of this process."""
    folder = postgres.programs()
    assert folder is not None
    with PostgreSQL(folder) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A server for all tests of this process."""
    programs = maria.programs()
    assert programs is not None
    with MariaDB(*programs) as server:
        yield server


@pytest.fixture(scope="session")
def new_postgresql_database(postgresql: PostgreSQL) -> Callable[[], str]:
    """Makes databases with the tables of the tests' application; returns the address of each."""
    template = postgresql.new_database()
    prepared.make_tables(template)
    return lambda: postgresql.new_database(template=str(make_url(template).database))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def must_be_there() -> Callable[[bool, str], None]:
    """Skip a test whose tool this machine lacks, and say so; in CI its absence is a failure."""

    def check(present: bool, what: str) -> None:
        if present:
            return
        if os.environ.get("CI"):
            pytest.fail(f"{what} is not installed.")
        pytest.skip(f"{what} is not installed.")

    return check


@pytest.fixture
def integration(server: ScriptedServer, private_key: PrivateKey) -> Integration:
    """An integration with the scripted server, below a context path."""
    return Integration(
        id="acme-1",
        server=Server(ServerURL.parse(f"{server.url}/bitbucket"), timeout=60),
        consumer_key="the-consumer",
        private_key=private_key,
        namespace="ns",
    )


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes longer for what does answer. Tests of what does not shorten the time for themselves."""
    monkeypatch.setattr(checkup, "SECONDS", checkup.SECONDS * 8)
    monkeypatch.setattr(checkup, "_STAGE_SECONDS", checkup._STAGE_SECONDS * 8)
    monkeypatch.setattr(reaching, "RESOLVER_SECONDS", reaching.RESOLVER_SECONDS * 8)


@pytest.fixture(autouse=True)
def transport() -> Transport:
    """The transport of this test alone: a port may serve another test again. It is as patient as :func:`patience`."""
    transport = Transport(limits=Limits(login_seconds=240, patience=14))
    use_transport(transport)
    return transport
