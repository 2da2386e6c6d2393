"""Which tests are fast: those that stay within this process. ``make test-fast`` runs them alone.

A test is fast unless it uses one of :data:`FIXTURES` or carries one of :data:`MARKERS`. A fast test fails if it uses a
socket or starts a program, in ``make test`` too. So no test is fast by mistake.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import pytest

FIXTURES = frozenset(
    {
        "bitbucket_sandbox",
        "chromium",
        "listeners",
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

MARKERS = frozenset({"browser", "postgresql", "program", "socket"})
"""The markers of tests that do so themselves, or that ask for one of the fixtures while they run."""

_REFUSED_EVENTS = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.posix_spawn",
        "os.system",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.sendto",
        "subprocess.Popen",
    }
)
"""What https://docs.python.org/3/library/audit_events.html calls sockets, look-ups of names, and programs."""

_refusals: list[str] | None = None
"""What the running fast test was refused; None while no fast test runs."""


class LeftTheProcessError(Exception):
    """A fast test opened a socket or started a program."""


def is_fast(fixtures: Iterable[str], markers: Iterable[str]) -> bool:
    """Return whether a test with these names of *fixtures* and *markers* stays within its process."""
    return FIXTURES.isdisjoint(fixtures) and MARKERS.isdisjoint(markers)


@contextmanager
def within_the_process() -> Iterator[None]:
    """Refuse sockets and programs. Raises LeftTheProcessError at the end if the refusals were caught in between."""
    global _refusals
    before, _refusals = _refusals, []
    try:
        yield
    finally:
        refusals, _refusals = _refusals, before
        if refusals:
            raise LeftTheProcessError(_advice(refusals[0]))


def _refuse(event: str, _arguments: tuple[object, ...]) -> None:
    if _refusals is not None and event in _REFUSED_EVENTS:
        _refusals.append(event)
        raise LeftTheProcessError(_advice(event))


def _advice(event: str) -> str:
    marker = "socket" if event.startswith("socket.") else "program"
    return (
        f"{event} in a test that is taken for fast. Mark it with @pytest.mark.{marker}, "
        "or add the fixture that does it to FIXTURES in tests/fast.py."
    )


sys.addaudithook(_refuse)


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
