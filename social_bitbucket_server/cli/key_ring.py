"""``key-ring`` makes the key ring that seals private keys and access tokens in a database."""

from __future__ import annotations

import argparse
from typing import Any

from ..crypto import KeyRing
from . import add_command


def add(commands: Any) -> None:
    """Add ``key-ring``."""
    parser = add_command(
        commands,
        "key-ring",
        "Make the key ring that seals secrets in a database.",
        """\
example:
  export KEY_RING="$(PROGRAM key-ring)"

Keep it apart from the database, and keep a copy: without it, nothing that it sealed can be opened.""",
    )
    parser.set_defaults(run=_run)


def _run(_arguments: argparse.Namespace) -> int:
    print(KeyRing.generate())
    return 0
