"""``sandbox`` runs a Bitbucket Server stand-in on this machine."""

from __future__ import annotations

import argparse
from typing import Any

from . import CommandError, add_command

_PACKAGES = {"flask", "waitress"}


def add(commands: Any) -> None:
    """Add ``sandbox``."""
    parser = add_command(
        commands,
        "sandbox",
        "Run a stand-in for a Bitbucket Server on this machine, for trying things out.",
        """\
It is for this machine alone, and forgets everything when it ends (Ctrl-C).

example:
  PROGRAM sandbox --version 8.19.0""",
    )
    parser.add_argument("--port", type=int, default=7990, help="the port to listen on (default: %(default)s)")
    parser.add_argument(
        "--context",
        metavar="PATH",
        default="/bitbucket",
        help="the context path, or '' for none (default: %(default)s)",
    )
    parser.add_argument(
        "--version",
        default="7.6.0",
        help="the version of Bitbucket that it resembles (default: %(default)s)",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        # Here, because it needs packages that only the extra installs.
        from ..sandbox.command import run
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        raise CommandError(
            f"The sandbox needs {error.name}, which is not installed.\n"
            "Install it with: pip install 'social-auth-bitbucket-server[sandbox]'"
        ) from None
    return run(port=arguments.port, context=arguments.context, version=arguments.version)
