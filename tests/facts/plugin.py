"""The option ``--bitbucket``, the marker of a fact, and what was confirmed and contradicted."""

from __future__ import annotations

import pytest

from social_bitbucket_server.sandbox.state.versions import KNOWN_VERSIONS, version_numbers

fact = pytest.mark.fact
"""The paragraph of docs/facts.md that a test tries: ``@fact("2.4")``. *since* and *until*: the first version of
Bitbucket that it is about, and the first one that it is not."""

_OUTCOMES = {"passed": "Confirmed", "failed": "Contradicted", "skipped": "Not tried"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bitbucket", metavar="URL", help="try the facts of docs/facts.md on the server with this base URL"
    )


def concerns(mark: pytest.Mark, version: tuple[int, int, int]) -> bool:
    """Return whether the fact is about this version."""
    since, until = mark.kwargs.get("since"), mark.kwargs.get("until")
    return (since is None or version >= since) and (until is None or version < until)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker("fact")
    if mark is None or "bitbucket" not in metafunc.fixturenames:
        return
    url = metafunc.config.getoption("bitbucket")
    versions = [version for version in KNOWN_VERSIONS if concerns(mark, version_numbers(version))]
    metafunc.parametrize("bitbucket", [url] if url else versions, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark = item.get_closest_marker("fact")
        if mark is not None:
            item.user_properties.append(("fact", mark.args[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say of each fact what the server made of it. One test that fails contradicts a fact that others confirm."""
    if not config.getoption("bitbucket"):
        return
    found: dict[str, str] = {}
    for outcome in ("skipped", "passed", "error", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            number = dict(report.user_properties).get("fact")
            if number is not None:
                found[number] = "Not tried" if outcome == "error" else _OUTCOMES[outcome]
    terminalreporter.section(f"The facts of docs/facts.md, at {config.getoption('bitbucket')}")
    for words in _OUTCOMES.values():
        numbers = sorted((number for number, outcome in found.items() if outcome == words), key=_order)
        terminalreporter.write_line(f"{words}: {', '.join(numbers) or 'none'}.")


def _order(number: str) -> tuple[int, ...]:
    return tuple(map(int, number.split(".")))
