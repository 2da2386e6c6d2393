"""Capabilities of the pages for organizations: the marker that names that of a test, and the table in the docs.

``python -m tests.capabilities`` writes the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from tests.frameworks.django import project

capability = pytest.mark.capability
"""Says which capability a test tries, as its user would use it: ``@capability("worksheet")``."""

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "many-organizations.md"
BEGIN = "<!-- Written by python -m tests.capabilities: change it there. -->"
END = "<!-- The end of what is written by python -m tests.capabilities. -->"


@dataclass(frozen=True)
class Capability:
    """Something that an organization's admin or the operator can do. *name* is the marker's. *flask* and *django* say
    by what: pages, the administration, a command, a hook. An empty one is explained by *missing*."""

    name: str
    text: str
    flask: str
    django: str
    missing: str = ""


CAPABILITIES = (
    Capability("integration", "add, edit, disable and delete an integration", "pages", "administration, command"),
    Capability("condition", "its condition, since when it fails, and the next step", "pages", "administration"),
    Capability("notices", "notices of what fails, and who can mend it", "pages", "administration"),
    Capability(
        "what ends soon",
        "certificates that end soon, and failures that go on",
        "pages, command",
        "administration, command",
    ),
    Capability("worksheet", "worksheet for each generation of Bitbucket's form", "pages", "administration, command"),
    Capability("link script", "the script that makes the application link", "pages", "administration"),
    Capability(
        "set-up link", "set-up link for a Bitbucket admin without an account", "pages", "administration, public page"
    ),
    Capability(
        "credentials by set-up link",
        "client ID and client secret entered by set-up link",
        "pages",
        "public page",
    ),
    Capability("check-up", "check-up, stage by stage", "pages", "administration, command"),
    Capability("trial login", "trial login, which logs nobody in", "pages", "administration"),
    Capability(
        "login link", "login link, which is replaced, closed, and scanned as a QR code", "pages", "administration"
    ),
    Capability("enforced", "one integration as the only way in", "pages", "administration"),
    Capability("key rotation", "a new key pair for the same link", "pages, command", "administration, command"),
    Capability("new link", "a new key pair for a new link", "pages, command", "administration, command"),
    Capability("oauth 2", "OAuth 2 from the beginning", "pages", "administration"),
    Capability("upgrade", "upgrade to OAuth 2 with the same accounts, and back", "pages", "administration"),
    Capability("who may log in", "who may log in: groups, projects, repositories", "pages", "administration"),
    Capability("roles", "roles by groups, projects, repositories", "pages", "administration"),
    Capability("server that moved", "a server that moved", "pages", "administration"),
    Capability("people", "people of an integration; disable one, or end their sessions", "pages", "administration"),
    Capability("sessions", "sessions that end with the integration", "pages", "middleware"),
    Capability("rate limits", "rate limits by the application's own function", "hook", "setting"),
    Capability("events", "events with reference numbers", "pages", "administration"),
    Capability("configuration as text", "configuration as text", "pages, command", "command"),
    Capability("rechecks", "rechecks of people between two logins", "command", "command"),
    Capability("resealing", "keys and secrets sealed with a new key ring", "command", "command"),
    Capability("pruning", "old events deleted", "command", "command"),
)

Tests = dict[tuple[str, str], set[str]]
"""The names of the tests' files, by capability and framework."""


def tried() -> Tests:
    """Return the files whose tests carry the marker."""
    project.set_up()
    found: Tests = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        if "from tests.capabilities import capability" not in file.read_text():
            continue
        module = importlib.import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))
        framework = "django" if "django" in file.relative_to(TESTS).as_posix() else "flask"
        for name in _named(module):
            found.setdefault((name, framework), set()).add(file.name)
    return found


def _named(module: ModuleType) -> Iterator[str]:
    for name, test in vars(module).items():
        if name.startswith("test_") and isinstance(test, FunctionType):
            for mark in getattr(test, "pytestmark", []):
                if mark.name == "capability":
                    yield from mark.args


def written(page: str) -> str:
    """Return *page* with the table as the markers have it now."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    found = tried()
    lines = ["| capability | Flask | Django |", "|---|---|---|"]
    for each in CAPABILITIES:
        cells = (_cell(each, place, found, framework) for framework, place in _places(each))
        lines.append(f"| {each.text} | {' | '.join(cells)} |")
    return head + "\n\n".join([BEGIN, "\n".join(lines), END]) + tail


def _places(each: Capability) -> tuple[tuple[str, str], ...]:
    return ("flask", each.flask), ("django", each.django)


def _cell(each: Capability, place: str, found: Tests, framework: str) -> str:
    if not place:
        return f"none. {each.missing}"
    files = ", ".join(f"`{file}`" for file in sorted(found.get((each.name, framework), ())))
    return f"{place} ({files})"


def gaps(found: Tests) -> list[str]:
    """Return what is wrong between the markers and the table: a sentence for each cell."""
    known = {each.name for each in CAPABILITIES}
    wrong = [f"{name} is no capability" for name, _framework in found if name not in known]
    for each in CAPABILITIES:
        for framework, place in _places(each):
            has_test = (each.name, framework) in found
            if place and not has_test:
                wrong.append(f"{each.name} has no test in {framework}")
            if not place and (has_test or not each.missing):
                wrong.append(f"{each.name} is tried, or not explained, in {framework}")
    return wrong


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
