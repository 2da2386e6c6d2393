"""Report of a check-up, printed for people or programs, once or until everything passes."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from ..onboarding import Outcome, Result, Stage, first_failure
from . import EXPLAIN

FIRST_STATUS = 11
"""The exit status where the first stage fails; 1 is for a problem before, and 2 for wrong usage."""

_SECONDS_BETWEEN = 5.0
_MARKS = {
    Outcome.PASSED: ("✓", "32"),
    Outcome.SKIPPED: ("-", "2"),
    Outcome.UNPROTECTED: ("!", "33"),
    Outcome.FAILED: ("✗", "31"),
    Outcome.NOT_REACHED: ("·", "2"),
}
_AFTERWARDS = {
    Stage.BASE_URL: Stage.NAME,
    Stage.NAME: Stage.CONNECTION,
    Stage.CONNECTION: Stage.TLS,
    Stage.TLS: Stage.HTTP,
    Stage.HTTP: Stage.BITBUCKET,
    Stage.CLOCK: "the last stages",
    Stage.SIGNATURE: Stage.REST,
}
"""The stage that is waited for after each stage."""


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`report`."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="test again every few seconds until all stages pass; print only what changes",
    )


def report(
    test: Callable[[], Iterable[Result]], *, as_json: bool = False, watch: bool = False, explain: str = EXPLAIN
) -> int:
    """Print the results of *test*, for people or *as_json*. Return the exit status.

    With *watch*, test again and again until everything passes. *explain* is the command that explains a problem's code.
    """
    seen: list[Result] = []
    while True:
        # Later rounds are printed only if they bring news, which is known at their end.
        results = list(test()) if seen or as_json else _shown_as_they_come(test(), explain)
        failed = first_failure(results)
        is_news = _gist(results) != _gist(seen)
        if as_json and is_news:
            told = {"passed": failed is None, "stages": [_fields(result) for result in results]}
            print(json.dumps(told, indent=2), flush=True)
        elif seen and is_news:
            for result in results:
                print_result(result, explain)
        if failed is None:
            if not as_json:
                print("Everything passed. Next: log in once in your application.", flush=True)
            return 0
        if not watch:
            return FIRST_STATUS + results.index(failed)
        if not seen:
            words = f"Waiting: tested again every {_SECONDS_BETWEEN:g} seconds, until Ctrl-C."
            print(words, file=sys.stderr, flush=True)
        seen = results
        time.sleep(_SECONDS_BETWEEN)


def _shown_as_they_come(results: Iterable[Result], explain: str) -> list[Result]:
    """Print each of *results* as soon as it is there. At a terminal, name the next stage meanwhile."""
    shown: list[Result] = []
    for result in results:
        _say_what_is_waited_for("")
        shown.append(result)
        print_result(result, explain)
        _say_what_is_waited_for(_AFTERWARDS.get(result.stage, ""))
    return shown


def _say_what_is_waited_for(words: str) -> None:
    """Print *words* at a terminal, in a line that the next output replaces."""
    if sys.stdout.isatty():
        print(f"\r\033[K… {words}" if words else "\r\033[K", end="", flush=True)


def _gist(results: list[Result]) -> list[object]:
    """Return the parts of *results* whose changes are worth reporting: no clock differences in seconds, no nonces."""
    return [
        (result.stage, result.outcome, result.problem, result.chain, result.explanation and result.explanation.cause)
        for result in results
    ]


def print_result(result: Result, explain: str) -> None:
    """Print one line for the stage. If it failed, also print the remedy, the command *explain*, and further facts."""
    mark, colour = _MARKS[result.outcome]
    line = f"{mark} {result.stage}"
    has_colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(f"\033[{colour}m{line}\033[0m" if has_colours else line, end="")
    print(f": {result.says}" if result.says else f": {result.outcome}", flush=True)
    if result.outcome is not Outcome.FAILED or result.problem is None:
        return
    print(f"  What to do: {result.problem.remedy}")
    print(f"  Who can do it: {result.problem.who}")
    print(f"  More: {explain} {result.problem.code}")
    for shown in result.chain:
        print(f"  Certificate of {shown.subject}, issued by {shown.issuer}, until {shown.valid_until}")
        print(f"    SHA-256 {shown.sha256}")
    if result.facts.get("ca_certificates"):
        print("  Compare this certificate's fingerprint with the Bitbucket admin, then give it with --ca-file:")
        print(result.facts["ca_certificates"], end="")
    if result.explanation is not None:
        for part in result.explanation.parts:
            sides = part.ours if part.agrees else f"{part.ours}   the server: {part.theirs}"
            print(f"  {' ' if part.agrees else '!'} {part.name}: {sides}")
    sys.stdout.flush()


def _fields(result: Result) -> dict[str, Any]:
    fields: dict[str, Any] = {"stage": result.stage, "outcome": result.outcome, "says": result.says}
    if result.problem is not None:
        fields |= {"problem": result.problem.code, "remedy": result.problem.remedy, "who": result.problem.who}
        fields["documentation"] = result.problem.documentation
    if result.facts:
        fields["facts"] = dict(result.facts)
    if result.chain:
        fields["chain"] = [asdict(certificate) for certificate in result.chain]
    if result.explanation is not None:
        fields["explanation"] = asdict(result.explanation)
    return fields
