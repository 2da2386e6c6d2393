"""The mutants of ``make mutants`` and the tests that they are asked of fit the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.mutants.subject import Subject
from bench.mutants.subjects import SUBJECTS
from bench.mutants.suites import missing

TREE = Path(__file__).parents[2]

pytestmark = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)


def test_every_mutant_replaces_a_text_that_its_file_has_once(subject: Subject) -> None:
    counts = {mutant.name: (TREE / mutant.file).read_text().count(mutant.old) for mutant in subject.mutants}
    assert {name: count for name, count in counts.items() if count != 1} == {}


def test_every_mutant_is_python_and_differs_from_the_code(subject: Subject) -> None:
    for mutant in subject.mutants:
        text = (TREE / mutant.file).read_text()
        broken = mutant.break_text(text)
        compile(broken, mutant.file, "exec")
        assert broken != text, mutant.name


def test_every_file_of_tests_is_there(subject: Subject) -> None:
    assert missing(subject.tests, TREE) == []


def test_groups_are_asked_about_files_with_mutants(subject: Subject) -> None:
    broken = {mutant.file for mutant in subject.mutants}
    assert [file for group in subject.tests for file in group.about if file not in broken] == []
