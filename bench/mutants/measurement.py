"""The measurement itself: each subject's tests without a fault, and then with each of its mutants."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from .asking import Asker, Outcome, Result
from .mutant import DoesNotFitError, Mutant
from .subject import Subject
from .suites import Group, NoTestsError, choose, missing, resolve
from .table import Answer, Table
from .tree import Source, broken

_Task = TypeVar("_Task")


class Measurement:
    """Asks one suite about all mutants of *subjects*, in as many copies of *source* as there are *jobs*.

    *folder* is an empty folder for the copies. *table* gets the answers, and is kept in the file *out* after each of
    them. *say* shows one line of progress.
    """

    def __init__(
        self,
        source: Source,
        subjects: Sequence[Subject],
        *,
        asker: Asker,
        folder: Path,
        jobs: int,
        table: Table,
        out: Path,
        say: Callable[[str], None],
    ) -> None:
        self._subjects = subjects
        self._asker = asker
        self._table = table
        self._out = out
        self._say = say
        self._writing = threading.Lock()
        self._jobs = jobs
        self._copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(jobs):
            copy = folder / str(number) / "tree"
            source.copy_to(copy)
            self._copies.put(copy)

    def prepare(self) -> list[str]:
        """Check the copies, the mutants, and the lists of tests. Return what is wrong, one line for each mistake."""
        mistakes = []
        with self._copy() as tree:
            self._asker.check(tree)
            for subject in self._subjects:
                for mutant in subject.mutants:
                    try:
                        with broken(tree, mutant):
                            pass
                    except DoesNotFitError as error:
                        mistakes.append(str(error))
                try:
                    self._groups(subject, tree)
                except NoTestsError as error:
                    mistakes.append(str(error))
                for path in missing(subject.tests, tree):
                    self._say(f"{subject.name}: there is no {path}, which is left out.")
        return mistakes

    def run_unbroken(self) -> list[str]:
        """Run the tests of each subject without a fault. Return the names of the subjects whose tests fail."""
        failing = []

        def run(subject: Subject) -> None:
            with self._copy() as tree:
                result = self._asker.ask(tree, self._groups(subject, tree))
            self._say(f"{subject.name}, unbroken: {_in_words(result, 'passes')}")
            with self._writing:
                if result.outcome is Outcome.SURVIVED:
                    self._table.unbroken[subject.name] = result.seconds
                    self._table.save(self._out)
                else:
                    failing.append(subject.name)

        self._side_by_side(run, (each for each in self._subjects if each.name not in self._table.unbroken))
        return failing

    def run_mutants(self, left_out: Sequence[str]) -> None:
        """Run the tests with each mutant, without the subjects called as in *left_out*, and keep the answers.

        A mutant that was answered for before is not asked about again.
        """

        def run(task: tuple[Subject, Mutant]) -> None:
            subject, mutant = task
            with self._copy() as tree:
                groups = choose(self._groups(subject, tree), mutant.file)
                tests = tuple(map(str, groups))
                known = self._table.answers.get(mutant.name)
                if known is not None and not known.is_about(mutant):
                    known = None
                if known is not None and known.is_final(tests):
                    return
                asked = known.tests if known is not None else ()
                with broken(tree, mutant):
                    result = self._asker.ask(tree, (group for group in groups if str(group) not in asked))
            self._say(f"{subject.name}: {mutant.name}: {_in_words(result, 'SURVIVED')}")
            with self._writing:
                self._table.answers[mutant.name] = Answer(
                    subject.name, mutant.name, mutant.file, mutant.digest, tests, result
                )
                self._sort()
                self._table.save(self._out)

        subjects = (subject for subject in self._subjects if subject.name not in left_out)
        self._side_by_side(run, ((subject, mutant) for subject in subjects for mutant in subject.mutants))

    def _groups(self, subject: Subject, tree: Path) -> tuple[Group, ...]:
        return resolve(subject.name, subject.tests, tree)

    def _sort(self) -> None:
        """Keep the answers of each subject together, in the order in which the subjects were first asked about."""
        order = list(dict.fromkeys(answer.subject for answer in self._table.answers.values()))
        answers = sorted(self._table.answers.values(), key=lambda answer: order.index(answer.subject))
        self._table.answers = {answer.mutant: answer for answer in answers}

    def _side_by_side(self, run: Callable[[_Task], None], tasks: Iterable[_Task]) -> None:
        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                for _ in pool.map(run, tasks):
                    pass
            except BaseException:
                self._asker.stop()
                raise

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        """Yield a copy of the tree that nothing else uses."""
        tree = self._copies.get()
        try:
            yield tree
        finally:
            self._copies.put(tree)


def _in_words(result: Result, passed: str) -> str:
    if result.outcome is Outcome.SURVIVED:
        return f"{passed} ({result.seconds:g} s)"
    detail = f"\n{result.detail}" if result.detail else ""
    return f"{result.outcome.value} by {result.by} ({result.seconds:g} s){detail}"
