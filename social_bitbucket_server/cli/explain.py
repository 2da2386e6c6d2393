"""``explain`` says what a problem means and what to do about it."""

from __future__ import annotations

import argparse
import difflib
from typing import Any

from ..problems import PROBLEMS, Problem
from . import PROGRAM, CommandError, add_command

# The page ``docs/problems.md``.
_PAGE = f"""\
# Problems

Everything that can go wrong, by its code: what it means, what to do, and who can do it. Errors carry the code in
`error.context["problem"]`; `{PROGRAM} explain CODE` prints the same words.

<!-- Made by `{PROGRAM} explain --markdown`. -->
"""


def add(commands: Any) -> None:
    """Add ``explain``."""
    parser = add_command(
        commands,
        "explain",
        "Say what a problem means and what to do about it.",
        """\
examples:
  PROGRAM explain signature_invalid
  PROGRAM explain                     (lists all problems)""",
    )
    parser.add_argument(
        "code", metavar="CODE", nargs="?", help="the problem's code; without it, all problems are listed"
    )
    parser.add_argument("--markdown", action="store_true", help="print the whole table as a page of documentation")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.markdown:
        sections = [
            f"## {problem.code}\n\n**{problem.title}** {problem.meaning}\n\n"
            f"- What to do: {problem.remedy}\n- Who can do it: {problem.who}\n"
            f"- For social-core: `{problem.family.__name__}`, code `{problem.social_code}`\n"
            for problem in PROBLEMS.values()
        ]
        print("\n".join([_PAGE, *sections]), end="")
    elif arguments.code is None:
        width = max(map(len, PROBLEMS))
        for problem in PROBLEMS.values():
            print(f"{problem.code:{width}}  {problem.title}")
    else:
        problem = _find(arguments.code)
        print(f"{problem.title}\n\n{problem.meaning}\n\nWhat to do: {problem.remedy}\nWho can do it: {problem.who}")
        print(f"Documentation: {problem.documentation}")
    return 0


def _find(code: str) -> Problem:
    problem = PROBLEMS.get(code.lower().replace("-", "_"))
    if problem is None:
        close = difflib.get_close_matches(code.lower(), PROBLEMS, n=3)
        meant = f" Did you mean {', '.join(close)}?" if close else ""
        raise CommandError(f"There is no problem called {code}.{meant}\n'{PROGRAM} explain' lists them all.")
    return problem
