"""Fast tests: those that stay within this process. ``make test-fast`` runs them alone.

A test is fast unless it uses one of :data:`FIXTURES` or carries one of :data:`MARKERS`. A fast test fails if it uses a
socket or starts a program, in ``make test`` too. So no test is fast by mistake.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

FIXTURES = frozenset(
    {
        "bitbucket_sandbox",
        "chromium",
        "listeners",
        "mariadb",
        "new_sandbox",
        "other_sandbox",
        "postgresql",
        "sandbox",
        "sandboxes",
        "serve",
        "server",
        "servers",
    }
)
"""The fixtures that serve or connect."""

MARKERS = frozenset({"browser", "mariadb", "postgresql", "program", "socket"})
"""The markers of tests that do so themselves, or that ask for one of the fixtures while they run."""

_REFUSED: tuple[tuple[object, str], ...] = (
    *((os, name) for name in ("execv", "execve", "fork", "posix_spawn", "posix_spawnp", "system")),
    *((socket, name) for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex")),
    *((socket.socket, name) for name in ("bind", "connect", "connect_ex", "sendto")),
    (subprocess.Popen, "__init__"),
)
"""Owners and names of the functions through which Python opens sockets, looks names up and starts programs.

They are replaced, because an audit hook disturbs the measurement of coverage: another thread may begin while the hook
runs, and Python can begin to measure only one thread at a time.
"""


class LeftTheProcessError(Exception):
    """A fast test opened a socket or started a program."""


def is_fast(fixtures: Iterable[str], markers: Iterable[str]) -> bool:
    """Return whether a test with these names of *fixtures* and *markers* stays within its process."""
    return FIXTURES.isdisjoint(fixtures) and MARKERS.isdisjoint(markers)


@contextmanager
def within_the_process() -> Iterator[None]:
    """Refuse sockets and programs. Raises LeftTheProcessError at the end, even if the code made another error of it."""
    refusals: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in _REFUSED:
            patch.setattr(owner, name, _refusal(owner, name, refusals))
        try:
            yield
        finally:
            if refusals:
                raise LeftTheProcessError(refusals[0])


def _refusal(owner: object, name: str, refusals: list[str]) -> Callable[..., NoReturn]:
    marker = "socket" if owner in {socket, socket.socket} else "program"
    advice = (
        f"{getattr(owner, '__name__', owner)}.{name} in a test that is taken for fast. Mark it with "
        f"@pytest.mark.{marker}, or add the fixture that does it to FIXTURES in tests/fast.py."
    )

    def refuse(*_arguments: object, **_options: object) -> NoReturn:
        refusals.append(advice)
        raise LeftTheProcessError(advice)

    return refuse


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_fast(getattr(item, "fixturenames", ()), (marker.name for marker in item.iter_markers())):
            item.add_marker("fast")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    return (yield from _guarded(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    return (yield from _guarded(item))


# The end of a test is left alone: after the last one, the servers of the whole session are stopped.
def _guarded(item: pytest.Item) -> Generator[None]:
    if not item.get_closest_marker("fast"):
        return (yield)
    with within_the_process():
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out. The reasons of skipped tests follow, by pytest's option ``-ra``."""
    if config.getoption("markexpr") == "fast":
        terminalreporter.write_line("Left out: tests with sockets, programs, browsers or database servers (make test).")
    if "skipped" not in terminalreporter.stats:
        terminalreporter.write_line("Skipped: none.")
