"""Fixtures that the tests of this folder share: a PostgreSQL, Bitbucket Servers, and a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bench.load import bitbucket
from bench.load.place import SERVERS, Place
from social_bitbucket_server.crypto import PrivateKey
from tests.postgresql import PostgreSQL, programs


@pytest.fixture(scope="package")
def shared_place(
    postgresql: PostgreSQL, private_key: PrivateKey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with bitbucket.running(folder, SERVERS) as servers:
        yield Place(folder, postgresql, servers, [private_key])


@pytest.fixture
def place(request: pytest.FixtureRequest, must_be_there: Callable[[bool, str], None]) -> Place:
    must_be_there(programs() is not None, "PostgreSQL")
    place: Place = request.getfixturevalue("shared_place")
    return place
