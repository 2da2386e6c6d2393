"""Runs tests in a copy of the tree, and reads from pytest's output which one failed first."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from .suites import Group

_OPTIONS = ("-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider")
_PASSED, _FAILED = 0, 1
_FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (?P<node>.+?)(?: - .*)?$", re.MULTILINE)
_LAST_LINES = 15


class Outcome(StrEnum):
    """Result of running a subject's tests."""

    NOTICED = "noticed"
    """A test failed."""
    SURVIVED = "survived"
    """Every test passed."""
    TIMED_OUT = "timed out"
    """The tests did not end in time, which counts as noticed."""
    FAULT = "fault"
    """Pytest did not get as far as a test's result: the mutant or the list of tests is wrong."""

    @property
    def is_noticed(self) -> bool:
        """Return whether the suite noticed the fault."""
        return self in {Outcome.NOTICED, Outcome.TIMED_OUT}


@dataclass(frozen=True, slots=True)
class Result:
    """The *outcome*, the first failing test's node id in *by*, and the *seconds* that it took.

    For a fault, *detail* holds the last lines of pytest's output.
    """

    outcome: Outcome
    by: str
    seconds: float
    detail: str = ""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Result:
        """Return the result with these *values*, by the names of the fields."""
        return cls(Outcome(values["outcome"]), values["by"], values["seconds"], values["detail"])


class StoppedError(Exception):
    """The measurement was interrupted while tests were running."""


class Asker:
    """Runs pytest with the interpreter *python*. A group of tests may take *limit* seconds."""

    def __init__(self, python: str, limit: float) -> None:
        self._python = python
        self._limit = limit
        self._running: set[subprocess.Popen[str]] = set()
        self._is_stopped = False
        self._changing = threading.Lock()

    def stop(self) -> None:
        """End all tests that are running, in whichever thread. They have no result."""
        with self._changing:
            self._is_stopped = True
            for process in self._running:
                _kill(process)

    def check(self, tree: Path) -> None:
        """Check that tests in *tree* import the code in *tree*. Raises RuntimeError when they import another one."""
        program = "import social_bitbucket_server as code; print(code.__file__)"
        command = [self._python, "-c", program]
        answer = subprocess.run(command, cwd=tree, env=_environment(tree), check=True, capture_output=True, text=True)
        if not Path(answer.stdout.strip()).resolve().is_relative_to(tree.resolve()):
            raise RuntimeError(f"Tests would import {answer.stdout.strip()}, which is outside the copy.")

    def ask(self, tree: Path, groups: Iterable[Group]) -> Result:
        """Run *groups* in *tree* one after the other, until a test fails. Return the result."""
        began = time.monotonic()
        for group in groups:
            result = self._run(tree, group, began)
            if result.outcome is not Outcome.SURVIVED:
                return result
        return Result(Outcome.SURVIVED, "", _since(began))

    def _run(self, tree: Path, group: Group, began: float) -> Result:
        with self._started(tree, group) as process:
            try:
                output, _ = process.communicate(timeout=self._limit)
            except subprocess.TimeoutExpired:
                _kill(process)
                return Result(Outcome.TIMED_OUT, str(group), _since(began))
        if self._is_stopped:
            raise StoppedError
        return _read(output, process.returncode, group, _since(began))

    @contextmanager
    def _started(self, tree: Path, group: Group) -> Iterator[subprocess.Popen[str]]:
        """Yield pytest, which runs *group*. Raises StoppedError after :meth:`stop`."""
        with self._changing:
            if self._is_stopped:
                raise StoppedError
            process = subprocess.Popen(
                [self._python, "-m", "pytest", *_OPTIONS, *group.arguments],
                cwd=tree,
                env=_environment(tree),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._running.add(process)
        with process:
            try:
                yield process
            finally:
                with self._changing:
                    self._running.remove(process)


def _read(output: str, status: int, group: Group, seconds: float) -> Result:
    if status == _PASSED:
        return Result(Outcome.SURVIVED, "", seconds)
    failure = _FIRST_FAILURE.search(output)
    if status == _FAILED and failure is not None:
        return Result(Outcome.NOTICED, failure["node"], seconds)
    last_lines = "\n".join(output.splitlines()[-_LAST_LINES:])
    return Result(Outcome.FAULT, str(group), seconds, f"Exit status {status}.\n{last_lines}")


def _environment(tree: Path) -> dict[str, str]:
    """Return an environment in which programs that tests start use the copy, too, and leave their files below it."""
    temporary = tree.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    return {**os.environ, "PYTHONPATH": str(tree), "PYTEST_DEBUG_TEMPROOT": str(temporary)}


def _kill(process: subprocess.Popen[str]) -> None:
    """End pytest with all programs that its tests started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)
