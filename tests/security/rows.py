"""The rows of the matrix: the marker that names those of a test, and the tables in docs/security.md.

``python -m tests.security.rows`` writes the tables.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from tests.frameworks.django import project

row = pytest.mark.row
"""Says which rows of the matrix a test tries: ``@row(64, 65)``."""

FIRST_ROWS = frozenset(range(1, 109))
"""The rows that must have a test. A later row counts from its first test on."""

APPLICATIONS = {
    "organizations": "Flask with organizations",
    "django": "Django",
    "flask": "Flask",
    "plain": "no framework",
}
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}

HERE = Path(__file__).parent
TESTS = HERE.parent
PAGE = TESTS.parent / "docs" / "security.md"
BEGIN = "<!-- Written by python -m tests.security.rows: change it there. -->"
END = "<!-- The end of what is written by python -m tests.security.rows. -->"


@dataclass(frozen=True)
class Invariant:
    """Statement that must hold, the *rows* that try it, and the *other* tests that do."""

    text: str
    rows: tuple[int, ...]
    other: str = ""


INVARIANTS = (
    Invariant(
        "**I1** An identity is `<namespace>:<positive integer>`; the namespace is random, one server's at one "
        "integration, and never used again.",
        (1, 5, 6, 11, 109),
    ),
    Invariant(
        "**I2** The database itself refuses a second identity. A login that loses the race for it goes on as the same "
        "person.",
        (18,),
    ),
    Invariant(
        "**I3** A login attaches nothing to a person who happens to be logged in. They connect another account by a "
        "POST of their own and by a login that began for this purpose. It is bound to them and their organization.",
        (22, 24, 107),
        'from "Connecting another account" in `test_sessions.py`; `tests/flow/test_many_integrations.py`, '
        "`tests/unit/integration/test_unsafe.py`",
    ),
    Invariant(
        "**I4** A person belongs to one organization; pages, integrations, people and sessions of others are not "
        "there.",
        (5, 23, 101, 102, 105, 112, 113, 123),
        "`test_interleavings.py`",
    ),
    Invariant(
        "**I5** E-mail address, name, slug and display name identify, merge and authorize nobody. A new name under a "
        "known number is the same person, a known name under a new number another one. An older identity by name is "
        "carried over only if the operator's setting `CARRY_OVER` names the server, once, and if more agrees.",
        (2, 3, 4, 11, 14, 107),
        'from "Renaming and re-creating accounts" in `test_identity.py`; `tests/unit/integration/test_unsafe.py`; '
        "`tests/unit/account/test_older_identities.py`",
    ),
    Invariant(
        "**I6** A login under way belongs to a browser session, an integration as it was then, a token, a callback, "
        "ten minutes, and where it connects, to a person. All is compared before any server is asked, and the "
        "integration again in the transaction that writes the identity.",
        (30, 31, 32, 37, 39, 40, 44, 46, 47, 109, 110, 120),
        "`test_connecting_belongs_to_the_person_and_not_to_the_session_alone`; `test_interleavings.py`, "
        "`tests/flow/test_halted_logins.py`",
    ),
    Invariant(
        "**I7** A login under way is consumed once, before the exchange. An answer at another integration's address "
        "consumes nothing. A login that falls out of the session is forgotten everywhere.",
        (30, 36, 41, 42, 43, 45, 120),
        "`test_interleavings.py`",
    ),
    Invariant(
        "**I8** The callback is always sent, must be confirmed, and a verifier is required.",
        (33, 34, 35, 38, 48, 49),
    ),
    Invariant(
        "**I9** The callback's address comes from the configuration.",
        (95, 107, 117),
        "`tests/unit/integration/test_unsafe.py`",
    ),
    Invariant(
        "**I10** A login begins by POST with a CSRF token; the session is new after it, and ends on the server: at "
        "logout, with the person, the integration or the account they came with, after an hour unused, after twelve "
        "hours. In Django it ends on the server unless sessions are signed cookies, which a deployment is warned of.",
        (19, 20, 21, 25, 26, 27, 28, 29, 47, 99, 103, 104, 109, 110),
    ),
    Invariant(
        "**I11** Every byte to a server goes through one transport: names are resolved once and all their addresses "
        "checked, the connection goes to one of those, nothing is redirected, nothing comes from the environment, and "
        "bytes and time are limited. A server that may not be reached looks like one that does not exist.",
        (53, *range(55, 59), 64, 65, 66, *range(68, 77), 79, 80, 111, 112, 113, 114, 118, 122),
        "the rest of `tests/flow/transport/`",
    ),
    Invariant(
        "**I12** Certificates are always verified; a CA of an organization's own counts for its own integration. "
        "Without TLS only where the operator allows it.",
        (67, 77, 78, 107),
        "`tests/unit/integration/test_unsafe.py`",
    ),
    Invariant(
        "**I13** Of a profile, each field is checked; id, name, slug, display name and e-mail address are all that is "
        "taken over. An account that is inactive, or not a person's, is refused. A known person whose account became "
        "inactive is disabled and logged out.",
        (*range(6, 11), *range(12, 18), 119),
    ),
    Invariant(
        "**I14** Private keys rest sealed, bound to their integration and key; a lost or wrong ring opens nothing, "
        "changes nothing and is replaced by nothing. A new key pair waits until Bitbucket accepts it; no two "
        "integrations share one.",
        (85, 86, 87, 88, 90, 91, 92, 121),
    ),
    Invariant(
        "**I15** No token is stored after a login, unless the operator wants it "
        "([`STORE_ACCESS_TOKEN`](rechecks.md)), and then sealed; and while it is "
        "under way a digest alone. No token, verifier, key or cookie is in a log, a `repr`, a pickle or a traceback "
        "with local variables, or on a page.",
        (81, 82, 83, 84, 89),
        "`tests/flow/test_kept_access_tokens.py`",
    ),
    Invariant(
        "**I16** Whatever a server does ends in one of social-core's exceptions and a page, never in a 500.",
        (50, 51, 52, 54, *range(59, 64), 106, 108, 116, 117, 125),
        "every row, by `World.check` in `tests/security/world.py`; `tests/fuzz`",
    ),
    Invariant(
        "The pages: nothing from elsewhere is shown as markup or asked for, no page is framed or kept, forms reach "
        "this application and the page's own Bitbucket Server alone, and after a login one goes to a page of one's own "
        "organization.",
        (93, 94, *range(96, 101), 124),
        "`tests/browser`",
    ),
    Invariant(
        "The audit log: each event is one line and one row, which nobody changes, and which "
        "the owner of the organization reads.",
        (37, 41, 101, 105, 115, 123),
        "`tests/flow/test_pruning.py`",
    ),
)


@dataclass(frozen=True)
class Excuse:
    """Why these *rows* are not tried with every application."""

    rows: tuple[int, ...]
    reason: str


EXCUSES = (
    Excuse(
        (23, 101),
        "An organization's settings are pages of its own. Django's administration has its permissions: "
        "`tests/frameworks/django/test_admin.py`.",
    ),
    Excuse((26, 29), "How one logs out, and how long a session lasts, is each application's own."),
    Excuse(
        (27, 91, 92, 121), "Others keep people and integrations themselves, and rotate their key pairs as they like."
    ),
    Excuse(
        (89,),
        "It opens every page there is. For Django's administration: `tests/frameworks/django/test_admin.py`.",
    ),
    Excuse((90,), "It is about the files of the tests' application."),
    Excuse(
        (122,), "Headers are read by the transport, which knows no application: `tests/flow/transport/test_heads.py`."
    ),
    Excuse(
        (97, 98, 99, 100),
        "Headers and cookies are those of its pages. What the package's own pages send is in row 46 and in "
        "`tests/frameworks/django/test_many_organizations.py`.",
    ),
    Excuse(
        (102, 103, 104),
        "Each application has its own limits, and its own pages for strangers. For Django: "
        "`tests/frameworks/django/test_limits.py`, `tests/frameworks/django/test_many_organizations.py`.",
    ),
    Excuse((106,), "Its debugger."),
    Excuse((114,), "All read the configuration by one function: `tests/unit/organizations/test_toml.py`."),
    Excuse(
        (123, 124),
        "People are each application's own. Set-up links have tests of each application's own: "
        "`tests/flow/test_setup_links.py`, `tests/frameworks/django/test_setup_links.py`.",
    ),
    Excuse((115,), "The others write nothing down."),
    Excuse((116, 117), "What reads forms and the `Host` header is a framework, or else the application itself."),
    Excuse((125,), "Random requests go to whole applications and to the sandbox: `tests/fuzz/test_requests.py`."),
    Excuse((108,), "Noise takes long. `tests/fuzz` tries the package in the same way without an application."),
)


@dataclass(frozen=True)
class Attempt:
    """A test: its *file*, the *rows* that it tries, and with which applications and databases."""

    file: Path
    rows: frozenset[int]
    applications: frozenset[str]
    databases: frozenset[str]


def attempts() -> list[Attempt]:
    """Return every test that has the marker."""
    found = []
    for file, module in _modules():
        usual = frozenset({"organizations"} if file.parent == HERE else ())
        for marks in _marks_of_tests(module):
            numbers = frozenset(chain.from_iterable(mark.args for mark in marks if mark.name == "row"))
            applications, databases = _chosen(marks, "application"), _chosen(marks, "database_url")
            found.append(Attempt(file, numbers, applications or usual, databases or frozenset({"sqlite"})))
    return [attempt for attempt in found if attempt.rows]


def rows_tried(found: Iterable[Attempt]) -> set[int]:
    """Return the rows that have a test."""
    return set().union(*(attempt.rows for attempt in found))


def rows_not_tried_everywhere(found: Iterable[Attempt]) -> set[int]:
    """Return the rows that have no test which is the same for every application."""
    by_row = _by_row(found).items()
    return {number for number, tried in by_row if APPLICATIONS.keys() not in [test.applications for test in tried]}


def written(page: str) -> str:
    """Return *page* with the tables as the markers have them now."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    by_row = _by_row(attempts())
    blocks = [BEGIN, _table_of_excuses(by_row), _table_of_invariants(by_row), END]
    return head + "\n\n".join(blocks) + tail


def _table_of_excuses(by_row: dict[int, list[Attempt]]) -> str:
    lines = ["These rows are tried with fewer applications:", "", "| rows | tried with | why |", "|---|---|---|"]
    for excuse in EXCUSES:
        alike = defaultdict(list)
        for number in excuse.rows:
            alike[_names(APPLICATIONS, _applications(by_row[number]))].append(number)
        lines += [f"| {_numbers(rows)} | {names or 'none'} | {excuse.reason} |" for names, rows in alike.items()]
    return "\n".join(lines)


def _table_of_invariants(by_row: dict[int, list[Attempt]]) -> str:
    lines = ["| invariant | rows | tests |", "|---|---|---|"]
    for invariant in INVARIANTS:
        rows = sorted(by_row.keys() & set(invariant.rows))
        files = sorted({_name_of(attempt.file) for number in rows for attempt in by_row[number]})
        tests = "; ".join([", ".join(files), invariant.other][: 2 if invariant.other else 1])
        lines.append(f"| {invariant.text} | {', '.join(_with_databases(n, by_row[n]) for n in rows)} | {tests} |")
    return "\n".join(lines)


def _with_databases(number: int, tried: list[Attempt]) -> str:
    databases = frozenset().union(*(attempt.databases for attempt in tried))
    return f"{number} ({_names(DATABASES, databases)})" if len(databases) > 1 else str(number)


def _by_row(found: Iterable[Attempt]) -> dict[int, list[Attempt]]:
    by_row = defaultdict(list)
    for attempt in found:
        for number in attempt.rows:
            by_row[number].append(attempt)
    return dict(by_row)


def _applications(tried: Iterable[Attempt]) -> frozenset[str]:
    return frozenset().union(*(attempt.applications for attempt in tried))


def _names(words: dict[str, str], chosen: frozenset[str]) -> str:
    return ", ".join(word for name, word in words.items() if name in chosen)


def _numbers(rows: Iterable[int]) -> str:
    return ", ".join(map(str, rows))


def _name_of(file: Path) -> str:
    return f"`{file.name if file.parent == HERE else file.relative_to(TESTS.parent)}`"


def _modules() -> Iterator[tuple[Path, ModuleType]]:
    """Import those of the tests' modules that know the marker."""
    project.set_up()
    for file in sorted(TESTS.rglob("test_*.py")):
        if "from tests.security.rows import row" in file.read_text():
            yield file, importlib.import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))


def _marks_of_tests(module: ModuleType) -> Iterator[list[pytest.Mark]]:
    whole_module = _marks(module)
    for name, test in vars(module).items():
        if name.startswith("test_") and isinstance(test, FunctionType):
            yield [*_marks(test), *whole_module]


def _marks(holder: Any) -> list[pytest.Mark]:
    """Return the marks of a function or a module; pytest takes decorators and plain marks alike."""
    marks = getattr(holder, "pytestmark", [])
    return [getattr(mark, "mark", mark) for mark in (marks if isinstance(marks, list) else [marks])]


def _chosen(marks: Iterable[pytest.Mark], parameter: str) -> frozenset[str]:
    """Return the values that the test is parametrized with for *parameter*."""
    values = set()
    for mark in marks:
        names = mark.args[0] if mark.name == "parametrize" else ()
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
        if parameter in names:
            for case in mark.args[1]:
                case = getattr(case, "values", case)
                values.add(case if isinstance(case, str) else case[names.index(parameter)])
    return frozenset(values)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
