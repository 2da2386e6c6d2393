"""``check`` tests an integration stage by stage."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..checkup import Outcome, Result, Stage, check_up, first_failure
from ..configuration import SINGLE_INTEGRATION_ID, integration_from_fields, single_integration
from ..integration import Integration
from . import CommandError, add_command

CALLBACK = "https://application.example/complete/bitbucket-server/"
"""What stands for the address where logins come back to, where nobody says which it is."""

_PREFIX = "SOCIAL_AUTH_BITBUCKET_SERVER_"
_SECONDS_BETWEEN = 5.0
_MARKS = {Outcome.PASSED: ("✓", "32"), Outcome.FAILED: ("✗", "31"), Outcome.NOT_REACHED: ("·", "2")}


def add(commands: Any) -> None:
    """Add ``check``."""
    parser = add_command(
        commands,
        "check",
        "Test an integration stage by stage, and say what to do where it fails.",
        f"""\
The integration is given by options, by a file, or by the settings in the environment ({_PREFIX}URL,
…KEY, …PRIVATE_KEY or …PRIVATE_KEY_FILE, …VERIFY_SSL). A file is TOML with the fields url, consumer_key,
private_key_file, and optionally verify, ca_certificates, timeout.

The exit status is 0, or the number of the first stage that fails:
  {", ".join(f"{number} {stage}" for number, stage in enumerate(Stage, 1) if stage is not Stage.CREDENTIALS)}

examples:
  PROGRAM check --url https://bitbucket.example.com --consumer-key acme --private-key-file acme.pem
  PROGRAM check --file acme.toml --watch""",
    )
    parser.add_argument("--file", metavar="FILE", type=Path, help="the integration, as TOML")
    parser.add_argument("--url", help="Bitbucket's base URL, with the context path if it has one")
    parser.add_argument("--consumer-key", metavar="KEY", help="the consumer key in the application link")
    parser.add_argument("--private-key-file", metavar="FILE", help="the private key")
    parser.add_argument("--ca-file", metavar="FILE", help="the CA certificates that the server is trusted by")
    parser.add_argument(
        "--callback", metavar="URL", default=CALLBACK, help="where logins come back to; nobody is sent there"
    )
    add_report_options(parser)
    parser.set_defaults(run=_run)


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add how :func:`report` reports, and how often."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument(
        "--watch", action="store_true", help="test again every few seconds until all stages pass, then say so"
    )


def _run(arguments: argparse.Namespace) -> int:
    make_integration = integration_of(arguments)
    return report(lambda: check_up(make_integration, arguments.callback), arguments)


def report(test: Callable[[], Iterable[Result]], arguments: argparse.Namespace) -> int:
    """Print what *test* yields, as the options say; returns the exit status."""
    while True:
        results = []
        for result in test():
            results.append(result)
            if not arguments.json:
                print_result(result, sys.stdout.isatty())
        failed = first_failure(results)
        if arguments.json:
            print(json.dumps({"passed": failed is None, "stages": [_fields(result) for result in results]}, indent=2))
        if failed is None:
            if not arguments.json:
                print("Everything passed: people can log in.", flush=True)
            return 0
        if not arguments.watch:
            return list(Stage).index(failed.stage) + 1
        print(f"Waiting: tested again every {_SECONDS_BETWEEN:g} seconds, until Ctrl-C.", file=sys.stderr, flush=True)
        time.sleep(_SECONDS_BETWEEN)


def integration_of(arguments: argparse.Namespace) -> Callable[[], Integration]:
    """What makes the integration of the options, the file, or the settings in the environment."""
    given = {
        "url": arguments.url,
        "consumer_key": arguments.consumer_key,
        "private_key_file": arguments.private_key_file,
        "verify": arguments.ca_file,
    }
    options = {name: value for name, value in given.items() if value is not None}
    if arguments.file is None and not options:
        return lambda: single_integration(_setting)
    fields = {**(_read(arguments.file) if arguments.file else {}), **options}
    return lambda: integration_from_fields(SINGLE_INTEGRATION_ID, fields)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise CommandError(f"{path} is not TOML: {error}.") from None


def _setting(name: str, default: Any = None) -> Any:
    text = os.environ.get(f"{_PREFIX}{name}")
    if text is None or name == "PROXIES":
        return default
    return {"true": True, "false": False}.get(text.lower(), float(text) if name == "REQUESTS_TIMEOUT" else text)


def print_result(result: Result, is_terminal: bool) -> None:
    """One line for the stage; where it failed, what to do, and what is known besides."""
    mark, colour = _MARKS[result.outcome]
    line = f"{mark} {result.stage}"
    print(f"\033[{colour}m{line}\033[0m" if is_terminal else line, end="")
    print(f": {result.says}" if result.says else f": {result.outcome}", flush=True)
    if result.outcome is not Outcome.FAILED or result.problem is None:
        return
    print(f"  What to do: {result.problem.remedy}")
    print(f"  Who can do it: {result.problem.who}")
    print(f"  More: explain {result.problem.code}")
    for certificate in result.chain:
        print(
            f"  Certificate of {certificate.subject}, issued by {certificate.issuer}, until {certificate.valid_until}"
        )
        print(f"    SHA-256 {certificate.sha256}")
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
    if result.facts:
        fields["facts"] = dict(result.facts)
    if result.chain:
        fields["chain"] = [asdict(certificate) for certificate in result.chain]
    if result.explanation is not None:
        fields["explanation"] = asdict(result.explanation)
    return fields
