"""``make load``: many people at once, many organizations, and faults; prints tables, writes figures and a plot."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import faults, many, nodes, plot, throughput
from .place import Place, place

PARTS: dict[str, Callable[[Place, float], Any]] = {
    "throughput": lambda place, scale: throughput.measure(place, seconds=3 * scale),
    "many": lambda place, scale: many.measure(place, logins=max(10, round(40 * scale))),
    "memory": lambda place, scale: many.memory(place, logins=round(2 * many.TOUCHED + 500 * scale)),
    "faults": lambda place, scale: faults.measure(place, logins=max(50, round(1000 * scale))),
    "nodes": lambda place, scale: nodes.measure(place),
}
"""Measurements, each with a scale. Scale 1 takes six to nine minutes on two cores."""


def run(parts: list[str], scale: float) -> dict[str, Any]:
    """Return the figures of the *parts*: seconds, bytes and counts."""
    found: dict[str, Any] = {"machine": {"python": platform.python_version(), "cores": os.cpu_count()}, "took": {}}
    with place() as here:
        for part in parts:
            began = time.monotonic()
            found[part] = PARTS[part](here, scale)
            found["took"][part] = round(time.monotonic() - began)
            print(f"{part}: {found['took'][part]} s", flush=True)
    return found


def tables(found: Mapping[str, Any]) -> str:
    """Return *found* as tables in Markdown, for people."""
    made = {"throughput": _throughput, "many": _many, "memory": _memory, "faults": _faults, "nodes": _nodes}
    return "\n\n".join(table(found[part]) for part, table in made.items() if part in found)


def _table(head: list[str], *rows: list[Any]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def _throughput(found: Mapping[str, Any]) -> str:
    rows = [
        [at_once, *_of_a_crowd(found["ours"][at_once]), *_of_a_crowd(found["obvious"][at_once])]
        for at_once in throughput.CONCURRENCIES
    ]
    head = ["people at once", "logins a second", "p50, ms", "p99, ms", "obvious: logins a second", "p50, ms", "p99, ms"]
    sender = found["sender"]
    return (
        f"{_table(head, *rows)}\n\n"
        f"The sender alone, {throughput.CONCURRENCIES[-1]} people at once: {sender['a_second']:.0f} logins a second."
    )


def _of_a_crowd(one: Mapping[str, Any]) -> list[str]:
    return [f"{one['a_second']:.1f}", _milliseconds(one["p50"]), _milliseconds(one["p99"])]


def _many(found: Mapping[str, Any]) -> str:
    rows = []
    for database, amounts in found.items():
        few, lots = amounts[many.AMOUNTS[0]], amounts[many.AMOUNTS[-1]]
        for stage in few:
            cpu = [f"{amounts[amount][stage]['cpu'] * 1000:.2f}" for amount in many.AMOUNTS]
            ratio = lots[stage]["cpu"] / few[stage]["cpu"]
            statements = {round(amounts[amount][stage]["statements"]) for amount in many.AMOUNTS}
            rows.append([f"{database}, {stage}", *cpu, f"{ratio:.2f}", *sorted(statements)])
    head = ["processor time, ms", *[f"{amount:,}".replace(",", " ") for amount in many.AMOUNTS]]
    return _table([*head, "last to first", "statements"], *rows)


def _memory(found: Mapping[str, Any]) -> str:
    rows = [[when, f"{max(workers) / 2**20:.0f}"] for when, workers in found.items()]
    return _table(["the larger worker", "MiB resident"], *rows)


def _faults(found: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            one["logins"],
            one["never"],
            one["lost"],
            one["exchanged_twice"] + one["people_twice"],
            one["of_others"],
            one["in_the_log_alone"],
            one["retries"],
            _milliseconds(one["p50"]),
            _milliseconds(one["p99"]),
        ]
        for name, one in found.items()
    ]
    head = [
        "what breaks",
        "logins",
        "never",
        "lost",
        "twice",
        "another's",
        "not in audit table",
        "retries",
        "p50",
        "p99",
    ]
    healthy = found["one of ten servers dead"]["p99"] / found["ten servers"]["p99"]
    return f"{_table(head, *rows)}\n\nThe healthy nine: p99 {healthy:.2f} times as long as with ten."


def _nodes(found: Mapping[str, Any]) -> str:
    return _table(
        ["while both nodes are renewed", "logins", "failed", "p50, ms", "p99, ms"],
        [
            "one release later",
            found["logins"],
            found["failed"],
            _milliseconds(found["p50"]),
            _milliseconds(found["p99"]),
        ],
    )


def growth(found: Mapping[str, Any]) -> str:
    """Return a plot, as SVG, of logins a second over people at once."""
    lines = {
        name: [found["throughput"][name][at_once]["a_second"] for at_once in throughput.CONCURRENCIES]
        for name in ("ours", "obvious")
    }
    return plot.lines(
        "Complete logins a second", throughput.CONCURRENCIES, lines, ("people at once", "logins a second")
    )


def main() -> None:
    """Print the tables, and write the figures and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="one part alone; may be given several times")
    parser.add_argument("--scale", type=float, default=1.0, help="how thorough to be")
    parser.add_argument("--json", type=Path, default=Path("load.json"), help="where the figures are written")
    parser.add_argument("--plot", type=Path, default=Path("load.svg"), help="where the plot is written")
    options = parser.parse_args()
    logging.getLogger("social_bitbucket_server.events").addHandler(logging.NullHandler())
    found = run(options.part or list(PARTS), options.scale)
    options.json.write_text(json.dumps(found, indent=1) + "\n")
    if "throughput" in found:
        options.plot.write_text(growth(found))
    print(tables(found))


if __name__ == "__main__":
    main()
