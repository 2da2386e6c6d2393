"""Fixtures for every room. Keys are made once: making one takes longer than most tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from social_bitbucket_server import clock, transport
from social_bitbucket_server.integration import Integration
from social_bitbucket_server.keys import PrivateKey
from social_bitbucket_server.server_url import ServerURL
from tests.scripted_server import ScriptedServer


@pytest.fixture(scope="session")
def private_key() -> PrivateKey:
    return PrivateKey.generate(2048)


@pytest.fixture(scope="session")
def other_private_key() -> PrivateKey:
    return PrivateKey.generate(2048)


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
        server_url=ServerURL.parse(f"{server.url}/bitbucket"),
        consumer_key="the-consumer",
        private_key=private_key,
        namespace="ns",
        timeout=5,
    )


@pytest.fixture(autouse=True)
def fresh_connections() -> None:
    """A port may serve another test again: nothing that was learnt about it is kept."""
    transport._way.cache_clear()
    transport._breaker.cache_clear()
    clock.forget()
