"""Each row has a test that carries its number, and its place in the table of invariants. Where it is not tried with
every application, the documentation says why."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "security.md"
GROUPS = {1: range(1, 19), 2: range(19, 31), 3: range(31, 48), 4: range(48, 64), 5: range(64, 81), 6: range(81, 93)}
GROUPS[7] = range(93, 109)


def rows_tried(group: int) -> set[int]:
    names = re.findall(rf"^def (test_m{group}_\w+)", "\n".join(path.read_text() for path in HERE.glob("*.py")), re.M)
    return {int(row) for name in names for row in re.findall(r"_row_(\d+)_", name)}


@pytest.mark.parametrize("group", GROUPS)
def test_every_row_of_the_group_is_tried(group):
    assert rows_tried(group) == set(GROUPS[group])


def rows_tried_everywhere() -> set[int]:
    rows = set()
    for path in HERE.glob("test_*.py"):
        tree = ast.parse(path.read_text())
        whole_module = any(ast.unparse(line) == "pytestmark = everywhere" for line in tree.body)
        for test in tree.body:
            if isinstance(test, ast.FunctionDef):
                marks = {ast.unparse(mark) for mark in test.decorator_list}
                if whole_module or marks & {"everywhere", "everywhere_and_on_every_database"}:
                    rows |= {int(row) for row in re.findall(r"_row_(\d+)_", test.name)}
    return rows


def test_every_row_is_tried_with_every_application_or_it_is_said_why_not():
    cells = re.findall(r"^\| ([\d, ]+) \| the demo[^|]* \| [^|]+ \|$", TABLE.read_text(), re.M)
    excused = [int(row) for cell in cells for row in cell.split(", ")]
    everything = {row for rows in GROUPS.values() for row in rows}
    assert sorted(excused) == sorted(everything - rows_tried_everywhere())


def test_every_row_belongs_to_an_invariant():
    cells = re.findall(r"^\| [^|]+ \| ([^|]+) \| [^|]+ \|$", TABLE.read_text(), re.M)
    listed = {int(row) for cell in cells for row in re.findall(r"(?<![\w.])(\d+)(?![\w.])", cell)}
    assert {row for rows in GROUPS.values() for row in rows} <= listed


def test_every_test_that_the_table_names_is_there():
    for name in re.findall(r"`(tests/[\w/.]+|test_\w+\.py)`", TABLE.read_text()):
        assert (HERE / name).exists() or (HERE.parents[1] / name).exists(), name
