"""The commands, one module each: ``add`` says how a command is called, and what runs it."""

from __future__ import annotations

import argparse
from typing import Any

PROGRAM = "social-bitbucket-server"
EXPLAIN = f"{PROGRAM} explain"
"""The command that says what a problem means."""


class CommandError(Exception):
    """A failure that stops a command. Its text says in sentences what is wrong, and what to do about it."""


def file_name(text: str) -> str:
    """Return the name of a file that an option gives. An empty one is refused, because it would be the folder."""
    if not text:
        raise argparse.ArgumentTypeError("it must be the name of a file")
    return text


def add_command(commands: Any, name: str, summary: str, epilog: str) -> argparse.ArgumentParser:
    """Return a parser for the command *name*. PROGRAM in *epilog* becomes the program's name."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary[0].lower() + summary[1:].rstrip("."),
        description=summary,
        epilog=epilog.replace("PROGRAM", PROGRAM),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser
