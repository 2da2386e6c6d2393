"""Each row of the matrix has a test, and the tables in the documentation are made of the tests' markers."""

from __future__ import annotations

import re

import pytest

from tests.security import rows


@pytest.fixture(scope="module")
def attempts():
    return rows.attempts()


def test_each_row_has_a_test(attempts):
    assert sorted(rows.FIRST_ROWS - rows.rows_tried(attempts)) == []


def test_each_row_is_tried_with_every_application_or_has_an_excuse(attempts):
    excused = [number for excuse in rows.EXCUSES for number in excuse.rows]
    assert sorted(excused) == sorted(rows.rows_not_tried_everywhere(attempts))


def test_each_row_belongs_to_an_invariant(attempts):
    known = {number for invariant in rows.INVARIANTS for number in invariant.rows}
    assert sorted(rows.rows_tried(attempts) - known) == []


def test_the_committed_tables_are_those_of_the_markers():
    """``make docs/security.md`` writes them anew."""
    page = rows.PAGE.read_text()
    assert page == rows.written(page)


def test_every_test_that_the_page_names_is_there():
    page = rows.PAGE.read_text()
    for name in re.findall(r"`(tests/[\w/.]+|test_\w+\.py)`", page):
        assert (rows.HERE / name).exists() or (rows.TESTS.parent / name).exists(), name
    functions = "".join(file.read_text() for file in rows.HERE.glob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", page):
        assert f"def {name}(" in functions, name
