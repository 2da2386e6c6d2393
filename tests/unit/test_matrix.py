"""Tests that the matrix, the workflow and the package name the same versions of Python and Django."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
CLASSIFIERS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["classifiers"]
WORKFLOW = (PROJECT / ".github/workflows/tests.yml").read_text()


def classified(prefix: str) -> list[str]:
    """Return the versions, such as 3.11, in the classifiers that begin with *prefix*."""
    return re.findall(rf"^{prefix} :: (\d+\.\d+)$", "\n".join(CLASSIFIERS), re.MULTILINE)


def of_nox(name: str) -> list[str]:
    """Return the tuple of texts that the noxfile calls *name*."""
    module = ast.parse((PROJECT / "noxfile.py").read_text())
    (value,) = (
        statement.value
        for statement in module.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name
    )
    return list(ast.literal_eval(value))


def of_workflow(name: str) -> list[str]:
    """Return the list *name* of the workflow's matrix."""
    (line,) = re.findall(rf"^        {name}: \[(.*)\]$", WORKFLOW, re.MULTILINE)
    return [version.strip('"') for version in line.split(", ")]


def test_every_python_is_tried() -> None:
    assert classified("Programming Language :: Python") == of_nox("PYTHONS") == of_workflow("python")


def test_every_django_is_tried() -> None:
    assert classified("Framework :: Django") == of_nox("DJANGOS") == of_workflow("django")


def test_the_parts_of_the_makefile_are_in_the_matrix() -> None:
    parts = re.findall(r"newest\((\d+\.\d+)-django(\d+\.\d+)\)", (PROJECT / "Makefile").read_text())
    assert parts
    assert all(python in of_nox("PYTHONS") and django in of_nox("DJANGOS") for python, django in parts)
