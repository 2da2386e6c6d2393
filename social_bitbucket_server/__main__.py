"""The command line. Standard output carries what is asked for and nothing else; words about it go to standard error."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from .commands import PROGRAM, CommandError, check, explain, keygen, link, sandbox, worksheet
from .problems import BitbucketServerError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv*, by default the process's own, and return the exit status: 0, or 1 for a problem.

    Wrong usage ends in ``SystemExit`` with status 2, as argparse does.
    """
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BitbucketServerError as error:
        return _fail(f"{error}\n{error.problem.remedy}")
    except CommandError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # Whoever read our output has gone. Python would report that once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _fail(message: str) -> int:
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Set up the login with a Bitbucket Server or Bitbucket Data Center.",
        epilog=f"""\
To set up an integration:

  {PROGRAM} keygen --out acme.pem
  {PROGRAM} worksheet --url https://bitbucket.example.com \\
      --application-url https://app.example.com/o/acme/ --private-key-file acme.pem

'{PROGRAM} COMMAND --help' says more about each command.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('social-auth-bitbucket-server')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (keygen, worksheet, link, check, explain, sandbox):
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
