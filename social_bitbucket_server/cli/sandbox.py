"""``sandbox`` runs a Bitbucket Server stand-in on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import CommandError, add_command
from .key_files import read


def add(commands: Any) -> None:
    """Add ``sandbox``."""
    parser = add_command(
        commands,
        "sandbox",
        "Run a stand-in for a Bitbucket Server on this machine, for trying things out.",
        """\
It is for this machine alone, and forgets everything when it ends (Ctrl-C). With a program it serves that program, which
finds the base URL in the environment variable BITBUCKET_URL, and ends with its exit status.

examples:
  PROGRAM sandbox --version 8.19
  PROGRAM sandbox --link my-application=bitbucket.pub -- python -m pytest""",
    )
    parser.add_argument(
        "--port", type=int, default=7990, help="the port to listen on; 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--context",
        metavar="PATH",
        default="/bitbucket",
        help="the context path, or '' for none (default: %(default)s)",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="answer for this host name, too, besides localhost, names below .localhost and IP addresses; may be "
        "repeated",
    )
    parser.add_argument(
        "--version",
        default="10.2",
        help="the version of Bitbucket that it resembles: 7.6, 7.21, 8.19, 9.4 or 10.2 (default: %(default)s)",
    )
    parser.add_argument(
        "--basic-authentication",
        action=argparse.BooleanOptionalAction,
        help="let programs log in by password, which Bitbucket 10 and later do not by default",
    )
    parser.add_argument(
        "--link",
        metavar="CONSUMER-KEY=FILE",
        action="append",
        default=[],
        help="make an application link with the public key in FILE; may be repeated",
    )
    parser.add_argument("program", nargs="*", metavar="PROGRAM", help="what to run meanwhile, after --")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        # Not at the top: it needs Flask and waitress, which only the extra installs. They take a quarter of a second.
        from ..sandbox.command import CommandFailedError, run
    except ModuleNotFoundError as error:
        if error.name not in {"flask", "waitress"}:
            raise
        raise CommandError(
            f"The sandbox needs {error.name}, which is not installed.\n"
            "Install it with: pip install 'social-auth-bitbucket-server[sandbox]'"
        ) from None
    try:
        return run(
            port=arguments.port,
            context=arguments.context,
            version=arguments.version,
            names=arguments.name,
            basic_authentication=arguments.basic_authentication,
            links=[_link(text) for text in arguments.link],
            program=arguments.program,
        )
    except CommandFailedError as error:
        raise CommandError(str(error)) from None


def _link(text: str) -> tuple[str, str]:
    """Return the consumer key in *text*, and the public key in its file. Base64 keys may end in ``=``."""
    signs = [index for index, character in enumerate(text) if character == "="]
    splits = [(text[:index], text[index + 1 :]) for index in reversed(signs) if 0 < index < len(text) - 1]
    files = [split for split in splits if Path(split[1]).is_file()]
    consumer_key, path = (files or splits or [("", "")])[0]
    if not path:
        raise CommandError(f"{text} is no consumer key and file, such as my-application=bitbucket.pub.")
    # What has other characters is no public key, which the sandbox says.
    return consumer_key, read(path).decode("ascii", "replace")
