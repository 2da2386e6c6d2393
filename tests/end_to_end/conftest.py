"""Everything that runs for the tests of this folder, made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bench.load.place import Place, place
from tests.postgresql import programs


@pytest.fixture(scope="package")
def everything() -> Iterator[Place]:
    with place(keys=1) as everything:
        yield everything


@pytest.fixture
def here(request: pytest.FixtureRequest, must_be_there: Callable[[bool, str], None]) -> Place:
    must_be_there(programs() is not None, "PostgreSQL")
    found: Place = request.getfixturevalue("everything")
    return found
