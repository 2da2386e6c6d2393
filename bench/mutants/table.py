"""Table of a suite's results. It is kept as JSON, so that a measurement can be interrupted, and shown as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .asking import Outcome, Result
from .mutant import Mutant


class OtherTableError(Exception):
    """The file holds the answers of another commit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The *result* for one mutant, known by its name and *digest*. *tests* says which groups of tests were asked."""

    subject: str
    mutant: str
    file: str
    digest: str
    tests: tuple[str, ...]
    result: Result

    def is_about(self, mutant: Mutant) -> bool:
        """Return whether this is an answer, and *mutant* has not changed since."""
        return self.digest == mutant.digest and self.result.outcome is not Outcome.FAULT

    def is_final(self, tests: Sequence[str]) -> bool:
        """Return whether asking *tests* cannot change the answer: one of them noticed, or all of them were asked."""
        return self.result.outcome.is_noticed or set(self.tests) >= set(tests)


@dataclass(slots=True)
class Table:
    """The answers about the code of *commit*.

    *unbroken* holds, by subject, the seconds that its tests take when nothing is broken.
    """

    commit: str
    unbroken: dict[str, float] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, commit: str) -> Table:
        """Return the table in the file *path*, or an empty one when there is no file.

        Raises OtherTableError when the file is about another commit.
        """
        if not path.exists():
            return cls(commit)
        table = cls.read(path)
        if table.commit != commit:
            raise OtherTableError(f"{path} is about the commit {table.commit[:12]}. Choose another file.")
        return table

    @classmethod
    def read(cls, path: Path) -> Table:
        """Return the table in the file *path*, whatever it is about."""
        values = json.loads(path.read_text())
        answers = {entry["mutant"]: _answer(entry) for entry in values["answers"]}
        return cls(values["commit"], values["unbroken"], answers)

    def forget_all_but(self, names: Iterable[str]) -> None:
        """Remove the answers about mutants that are not among *names* any more."""
        known = set(names)
        self.answers = {name: answer for name, answer in self.answers.items() if name in known}

    def save(self, path: Path) -> None:
        """Write the table to *path*, and as Markdown to the same name with ``.md``."""
        values = {
            "commit": self.commit,
            "unbroken": self.unbroken,
            "answers": [asdict(answer) for answer in self.answers.values()],
        }
        written = path.with_suffix(".part")
        written.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")
        written.replace(path)
        path.with_suffix(".md").write_text(self.markdown())

    def markdown(self) -> str:
        """Return the totals by subject, the survivors, and all answers."""
        answers = list(self.answers.values())
        lines = [
            f"# What the tests notice at {self.commit[:12]}",
            "",
            *_rows(("subject", "mutants", "noticed", "survived", "faults", "seconds"), _totals(answers)),
            "",
        ]
        survivors = [answer for answer in answers if answer.result.outcome is Outcome.SURVIVED]
        if survivors:
            lines += [
                "## Survivors",
                "",
                *(f"- {each.subject}: {each.mutant} (`{each.file}`)" for each in survivors),
                "",
            ]
        lines += ["## All", "", *_rows(("mutant", "subject", "outcome", "noticed by", "seconds"), map(_row, answers))]
        return "\n".join(lines) + "\n"

    def lost_since(self, earlier: Table) -> list[Answer]:
        """Return the answers of *earlier* that noticed a mutant which this suite was asked about and did not notice."""
        return [
            answer
            for name, answer in earlier.answers.items()
            if answer.result.outcome.is_noticed
            and name in self.answers
            and not self.answers[name].result.outcome.is_noticed
        ]


def _answer(entry: dict[str, Any]) -> Answer:
    return Answer(
        entry["subject"],
        entry["mutant"],
        entry["file"],
        entry["digest"],
        tuple(entry["tests"]),
        Result.from_json(entry["result"]),
    )


def _totals(answers: Sequence[Answer]) -> Iterable[tuple[str, ...]]:
    subjects = list(dict.fromkeys(answer.subject for answer in answers))
    for subject in subjects:
        yield _total(subject, [answer for answer in answers if answer.subject == subject])
    if len(subjects) > 1:
        yield _total("**all**", answers)


def _total(title: str, answers: Sequence[Answer]) -> tuple[str, ...]:
    outcomes = [answer.result.outcome for answer in answers]
    seconds = sum(answer.result.seconds for answer in answers)
    numbers = (
        len(outcomes),
        sum(outcome.is_noticed for outcome in outcomes),
        outcomes.count(Outcome.SURVIVED),
        outcomes.count(Outcome.FAULT),
        round(seconds),
    )
    return (title, *map(str, numbers))


def _row(answer: Answer) -> tuple[str, ...]:
    result = answer.result
    return (
        answer.mutant,
        answer.subject,
        result.outcome.value,
        f"`{result.by}`" if result.by else "",
        f"{result.seconds:g}",
    )


def _rows(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield _line(heading)
    yield "|" + "---|" * len(heading)
    yield from map(_line, rows)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
