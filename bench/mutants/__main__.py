"""``python -m bench.mutants``: which of the faults that are put into the code does a test suite notice?"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .asking import Asker, Outcome
from .measurement import Measurement
from .subjects import SUBJECTS
from .table import OtherTableError, Table
from .tree import Source

_LOST, _FAULTY = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one suite. Return 1 when it misses what *--against* noticed, 2 when something could not be measured."""
    options = _options(arguments)
    subjects = [
        replace(subject, mutants=tuple(each for each in subject.mutants if options.matching in each.name))
        for subject in SUBJECTS
        if not options.only or subject.name in options.only
    ]
    if options.list:
        for subject in subjects:
            print(f"{subject.name} ({len(subject.mutants)})", *(each.name for each in subject.mutants), sep="\n    ")
        return 0
    source = Source.of(options.tree, options.commit)
    try:
        table = Table.load(options.out, source.commit)
    except OtherTableError as error:
        return _complain(str(error))
    table.forget_all_but(mutant.name for subject in SUBJECTS for mutant in subject.mutants)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        measurement = Measurement(
            source,
            subjects,
            asker=Asker(options.python, options.limit),
            folder=Path(folder),
            jobs=options.jobs,
            table=table,
            out=options.out,
            say=lambda line: print(line, flush=True),
        )
        mistakes = measurement.prepare()
        if mistakes:
            return _complain(*mistakes)
        failing = [] if options.skip_unbroken else measurement.run_unbroken()
        measurement.run_mutants(failing)
    table.save(options.out)
    print(table.markdown())
    return _conclude(table, failing, Table.read(options.against) if options.against else None)


def _conclude(table: Table, failing: Sequence[str], earlier: Table | None) -> int:
    status = 0
    if earlier is not None:
        for answer in table.lost_since(earlier):
            status = _LOST
            print(f"Lost: {answer.subject}: {answer.mutant}. It was noticed by {answer.result.by}.")
    faults = [answer.mutant for answer in table.answers.values() if answer.result.outcome is Outcome.FAULT]
    if failing or faults:
        return _complain(
            *(f"{name}: its tests fail without a fault, so its mutants were left out." for name in failing),
            *(f"Not measured: {name}." for name in faults),
        )
    return status


def _complain(*lines: str) -> int:
    print(*lines, sep="\n", file=sys.stderr)
    return _FAULTY


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=__doc__)
    parser.add_argument("--tree", type=Path, default=Path(), help="the repository to measure (default: this folder)")
    parser.add_argument("--commit", default="HEAD", help="the commit to measure; uncommitted changes are left out")
    parser.add_argument(
        "--only", action="append", choices=[subject.name for subject in SUBJECTS], help="this subject; may be repeated"
    )
    parser.add_argument("--matching", default="", help="only mutants with this text in their names")
    parser.add_argument("--python", default=sys.executable, help="the interpreter with the tests' requirements")
    parser.add_argument("--jobs", type=int, default=1, help="how many mutants at the same time")
    parser.add_argument(
        "--limit", type=float, default=300, help="seconds for one group of tests (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("mutants.json"), help="the table; answers that it has already are kept"
    )
    parser.add_argument("--against", type=Path, help="an earlier table: fail where that suite noticed more")
    parser.add_argument("--skip-unbroken", action="store_true", help="do not run the tests without a fault first")
    parser.add_argument("--list", action="store_true", help="list the mutants, and run nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    # A shell makes programs in its background ignore Ctrl-C, and pytest would go on after the end of this program.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
