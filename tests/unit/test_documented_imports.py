"""Tests that what documents, examples and files for operators import from the library is there."""

from __future__ import annotations

import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
IMPORT = re.compile(r"from (social_bitbucket_server[\w.]*) import ([\w ]+(?:, *[\w ]+)*)")


def documented() -> list[tuple[str, str, str]]:
    """Return file, module and name of each import."""
    folders = (PROJECT / name for name in ("docs", "examples"))
    files = [PROJECT / "README.md", *(file for folder in folders for file in folder.rglob("*"))]
    return sorted(
        {
            (str(file.relative_to(PROJECT)), module, imported.split()[0])
            for file in files
            if file.suffix in {".md", ".py", ".example"}
            for module, names in IMPORT.findall(file.read_text())
            for imported in names.split(",")
        }
    )


@pytest.mark.parametrize(("file", "module", "name"), documented())
def test_what_is_imported_is_there(file: str, module: str, name: str) -> None:
    assert find_spec(module) is not None, file
    if ".django." in module:  # which needs a configured project
        return
    if not hasattr(importlib.import_module(module), name):
        assert find_spec(f"{module}.{name}") is not None, file
