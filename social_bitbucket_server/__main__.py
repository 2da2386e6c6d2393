"""The command line. Standard output carries what is asked for and nothing else; words about it go to standard error."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from .cli import PROGRAM, CommandError, check, explain, keygen, link, sandbox, worksheet
from .problems import BitbucketServerError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv*, by default the process's own, and return the exit status: 0, or 1 for a problem.

    Wrong usage ends in ``SystemExit`` with status 2, as argparse does.
    """
    # A stream that the caller closed leads nowhere. A character that standard output lacks is written as its number.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # until the process ends
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BitbucketServerError as error:
        return _fail(f"{error}\n{error.problem.remedy}")
    except CommandError as error:
        return _fail(str(error))
    except BrokenPipeError:  # whoever read our output has gone
        _forget_output()
        return 1
    except OSError as error:
        _forget_output()
        return _fail(f"{error.filename or 'The output cannot be written'}: {error.strerror or error}.")
    except EOFError:
        return _fail("Nothing was typed, and nothing was changed.")
    except KeyboardInterrupt:
        return 130
    return status


def _forget_output() -> None:
    """Python would report output that cannot be written once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
  {PROGRAM} worksheet --url https://bitbucket.example.com --consumer-key acme \\
      --application-url https://app.example.com/o/acme/ --private-key-file acme.pem
  {PROGRAM} check --url https://bitbucket.example.com --consumer-key acme \\
      --private-key-file acme.pem

'{PROGRAM} COMMAND --help' says more about each command.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('social-auth-bitbucket-server')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    keygen.add(commands)
    keygen.add_key_ring(commands)
    for command in (worksheet, link, check, explain, sandbox):
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
