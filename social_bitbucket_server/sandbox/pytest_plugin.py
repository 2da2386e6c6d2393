"""The pytest fixture for applications that want to test their logins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from . import Sandbox


@pytest.fixture
def bitbucket_sandbox() -> Iterator[Sandbox]:
    """A Bitbucket Server stand-in below the context path ``/bitbucket``, started for one test."""
    # Not at the top: pytest loads this file in every project, and Flask takes a quarter of a second to load.
    from . import Sandbox

    with Sandbox(context="/bitbucket") as sandbox:
        yield sandbox
