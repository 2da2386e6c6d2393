"""What a login costs does not depend on how many organizations there are: counted here, timed by ``make load``."""

from __future__ import annotations

import pytest

from . import many
from .place import Place

pytestmark = pytest.mark.postgresql

MOST = {"page": 5, "begin": 16, "complete": 16, "complete for the first time": 26}
"""Statements of a login's requests; commits count, and SQLite's BEGIN."""


def test_a_login_sends_the_same_few_statements_among_many_organizations(here: Place) -> None:
    found = many.measure(here, amounts=(10, 500), logins=2)
    for name, amounts in found.items():
        few, lots = ({stage: cost["statements"] for stage, cost in costs.items()} for costs in amounts.values())
        assert few == lots, name
        assert all(few[stage] <= most for stage, most in MOST.items()), (name, few)
