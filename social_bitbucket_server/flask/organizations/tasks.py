"""The worksheet's steps as tasks of a page: what to open, a dialog with its choices, and rows of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from ...onboarding import Action, Entry, Step


@dataclass(frozen=True)
class Run:
    """Entries of a worksheet that follow one another and ask for the same *action*; *position* counts runs."""

    position: int
    action: Action
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Task:
    """One step: the pages to open, what to press *before* a dialog asks for a *choice*, and the *rows* after it.

    *choice* is ``None`` if no dialog with known choices is shown.
    """

    title: str
    note: str
    opened: tuple[Entry, ...]
    before: tuple[Entry, ...]
    choice: Entry | None
    rows: tuple[Run, ...]


def tasks(steps: Iterable[Step]) -> Iterator[Task]:
    """Yield the task of each of *steps*."""
    for step in steps:
        opened = tuple(entry for entry in step.entries if entry.action is Action.OPEN)
        others = [entry for entry in step.entries if entry.action is not Action.OPEN]
        place = next((place for place, entry in enumerate(others) if entry.choices), None)
        before, choice = ((), None) if place is None else (tuple(others[:place]), others[place])
        rows = others if place is None else others[place + 1 :]
        yield Task(step.title, step.note, opened, before, choice, tuple(runs(rows)))


def runs(entries: Iterable[Entry]) -> Iterator[Run]:
    """Yield *entries* in runs of the same action."""
    for position, (action, run) in enumerate(groupby(entries, key=lambda entry: entry.action)):
        yield Run(position, action, tuple(run))
