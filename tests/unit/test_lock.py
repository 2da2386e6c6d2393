"""Tests that ``requirements-dev.lock`` has what ``pyproject.toml`` asks for. ``make lock`` writes it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text())
LOCKED = [
    Requirement(line.removesuffix("\\").strip())
    for line in (PROJECT / "requirements-dev.lock").read_text().splitlines()
    if line[:1].isalnum()
]


def asked_for() -> list[str]:
    """Return the requirements of the package, its extras and its groups, without references among them."""
    metadata = METADATA["project"]
    extras = metadata["optional-dependencies"].values()
    lists = [
        METADATA["build-system"]["requires"],
        metadata["dependencies"],
        *extras,
        *METADATA["dependency-groups"].values(),
    ]
    return sorted(
        {
            entry
            for requirements in lists
            for entry in requirements
            if isinstance(entry, str) and not entry.startswith(f"{metadata['name']}[")
        }
    )


def versions_of(name: str) -> Iterator[str]:
    """Yield the locked versions of *name*: one, or one for some versions of Python and another for the rest."""
    for requirement in LOCKED:
        if canonicalize_name(requirement.name) == canonicalize_name(name):
            yield from (specifier.version for specifier in requirement.specifier)


@pytest.mark.parametrize("text", asked_for())
def test_what_is_asked_for_is_locked(text: str) -> None:
    requirement = Requirement(text)
    versions = list(versions_of(requirement.name))
    assert versions, f"{text} is not in requirements-dev.lock. Run: make lock"
    unsuitable = [version for version in versions if version not in requirement.specifier]
    assert not unsuitable, f"{unsuitable} in requirements-dev.lock do not meet {text}. Run: make lock"


def test_the_lock_file_names_no_place_of_packages() -> None:
    assert "://" not in (PROJECT / "requirements-dev.lock").read_text()
