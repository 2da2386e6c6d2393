"""One subject: the places where its code is broken, and its tests."""

from __future__ import annotations

from dataclasses import dataclass

from .mutant import Mutant
from .suites import Group


@dataclass(frozen=True, slots=True)
class Subject:
    """*tests* are groups, the cheapest first."""

    name: str
    mutants: tuple[Mutant, ...]
    tests: tuple[Group, ...]
