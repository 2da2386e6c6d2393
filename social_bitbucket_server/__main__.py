"""The command line. Standard output carries what is asked for and nothing else; words about it go to standard error."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import secrets
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

from cryptography.x509 import load_pem_x509_certificate

from .keys import BITS, DEFAULT_BITS, PrivateKey, PublicKey, new_consumer_key
from .problems import BitbucketServerError
from .server_url import ServerURL
from .worksheet import Dialog, render_text, worksheet

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM = "social-bitbucket-server"
_LONGEST_KEY_FILE = 64 * 1024
_SANDBOX_PACKAGES = {"flask", "waitress"}


class _CommandError(Exception):
    """What stops a command, and what to do about it, as sentences."""


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
    except _CommandError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # Whoever read our output has gone. Python would report that once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _fail(message: str) -> int:
    print(f"{_PROGRAM}: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Set up the login with a Bitbucket Server or Bitbucket Data Center.",
        epilog=f"""\
To set up an integration:

  {_PROGRAM} keygen --out acme.pem
  {_PROGRAM} worksheet --url https://bitbucket.example.com \\
      --application-url https://app.example.com/o/acme/ --private-key-file acme.pem

'{_PROGRAM} COMMAND --help' says more about each command.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('social-auth-bitbucket-server')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_keygen(commands)
    _add_public(commands)
    _add_worksheet(commands)
    _add_sandbox(commands)
    return parser


def _add_command(commands: Any, name: str, summary: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary[0].lower() + summary[1:].rstrip("."),
        description=summary,
        epilog=epilog.replace("PROGRAM", _PROGRAM),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _add_public_options(parser: argparse.ArgumentParser) -> None:
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument(
        "--format",
        choices=("pem", "base64"),
        default="pem",
        help="how to show the public key: PEM, or its base64 on one line (default: %(default)s)",
    )
    formats.add_argument(
        "--certificate",
        metavar="NAME",
        type=_common_name,
        help="show a self-signed certificate with this common name instead of the public key",
    )


# keygen


def _add_keygen(commands: Any) -> None:
    parser = _add_command(
        commands,
        "keygen",
        "Make an RSA key pair.",
        """\
The private key stays with this application; the public key goes into Bitbucket.

With --out the private key is written to a file that only you can read, and the public key is printed. Without, the
private key alone is printed, so that it can be piped into a secret store, and the public key goes to standard error.

examples:
  PROGRAM keygen --out acme.pem
  PROGRAM keygen --out acme.pem --bits 4096 --certificate 'Acme Packages' > acme.crt
  PROGRAM keygen | vault kv put secret/acme private_key=-""",
    )
    parser.add_argument(
        "--bits", type=int, choices=BITS, default=DEFAULT_BITS, help="the size of the key (default: %(default)s)"
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the private key to this new file")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists; its key is lost then")
    _add_public_options(parser)
    parser.set_defaults(run=_keygen)


def _keygen(arguments: argparse.Namespace) -> int:
    key = PrivateKey.generate(arguments.bits)
    shown = _show(key, arguments)
    if arguments.out is None:
        print(key.pem(), end="")
        _print_public(shown, key.public, to=sys.stderr)
        return 0
    _write_private_key(arguments.out, key.pem(), replace=arguments.force)
    print(f"The private key is in {arguments.out}, which only you can read.", file=sys.stderr)
    _print_public(shown, key.public, to=sys.stdout)
    return 0


def _write_private_key(path: Path, pem: str, *, replace: bool) -> None:
    """Write *pem* to a new file with mode 0600. To *replace* a file, a new one takes its place in one step."""
    written = path.with_name(f".{path.name}.{secrets.token_hex(8)}") if replace else path
    try:
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(pem)
            if replace:
                written.replace(path)
        except BaseException:
            written.unlink()
            raise
    except FileExistsError:
        raise _CommandError(
            f"{path} exists already.\nGive another name, or replace it with --force; the key in it is lost then."
        ) from None
    except OSError as error:
        raise _CommandError(f"{path} cannot be written: {error.strerror}.") from None


# public


def _add_public(commands: Any) -> None:
    parser = _add_command(
        commands,
        "public",
        "Show the public half of a key pair again.",
        """\
examples:
  PROGRAM public acme.pem
  PROGRAM public acme.pem --certificate 'Acme Packages'
  vault kv get -field=private_key secret/acme | PROGRAM public -""",
    )
    parser.add_argument("file", metavar="FILE", help="the private key's file; - for standard input")
    _add_public_options(parser)
    parser.set_defaults(run=_public)


def _public(arguments: argparse.Namespace) -> int:
    key = _read_private_key(arguments.file)
    _print_public(_show(key, arguments), key.public, to=sys.stdout)
    return 0


def _common_name(text: str) -> str:
    if not (text.isprintable() and 0 < len(text.encode()) <= 64):
        raise argparse.ArgumentTypeError("it must have 1 to 64 bytes, and no control characters")
    return text


def _show(key: PrivateKey, arguments: argparse.Namespace) -> str:
    if arguments.certificate is not None:
        return key.certificate(arguments.certificate)
    return key.public.pem if arguments.format == "pem" else key.public.base64 + "\n"


def _print_public(shown: str, public: PublicKey, to: TextIO) -> None:
    print(shown, end="", file=to, flush=True)
    print(f"{public.bits} bits, fingerprint {public.fingerprint}", file=sys.stderr)
    if shown.startswith("-----BEGIN CERTIFICATE"):
        end = load_pem_x509_certificate(shown.encode()).not_valid_after_utc
        print(f"The certificate is valid until {end:%Y-%m-%d} (UTC).", file=sys.stderr)


def _read(path: str) -> bytes:
    """The file at *path*, or standard input, up to the length from which on no key is read."""
    try:
        if path == "-":
            return sys.stdin.buffer.read(_LONGEST_KEY_FILE + 1)
        with Path(path).open("rb") as file:
            return file.read(_LONGEST_KEY_FILE + 1)
    except OSError as error:
        raise _CommandError(f"{path} cannot be read: {error.strerror}.") from None


def _read_private_key(path: str) -> PrivateKey:
    text = _read(path)
    try:
        return PrivateKey.read(text)
    except BitbucketServerError as error:
        if error.code != "private_key_encrypted" or path == "-" or not sys.stdin.isatty():
            raise
    return PrivateKey.read(text, getpass.getpass(f"Passphrase of {path}: "))


# worksheet


def _add_worksheet(commands: Any) -> None:
    parser = _add_command(
        commands,
        "worksheet",
        "Say what to enter where in Bitbucket.",
        """\
The worksheet follows the order and the words of Bitbucket's own pages. Give it to a Bitbucket admin: it holds no
secret.

example:
  PROGRAM worksheet --url https://bitbucket.example.com \\
      --application-url https://app.example.com/o/acme/ --application-name 'Acme Packages' \\
      --consumer-key acme-packages --private-key-file acme.pem""",
    )
    parser.add_argument("--url", required=True, help="Bitbucket's base URL, with the context path if it has one")
    parser.add_argument(
        "--application-url",
        required=True,
        metavar="URL",
        type=_application_url,
        help="the address of this application; another one for every application link on the same Bitbucket",
    )
    parser.add_argument(
        "--application-name",
        metavar="NAME",
        type=_application_name,
        help="what people see when Bitbucket asks for their permission (default: the host of the application's URL)",
    )
    parser.add_argument(
        "--consumer-key",
        metavar="KEY",
        type=_consumer_key,
        help="at most 64 letters, digits and any of . _ - (default: a new random one)",
    )
    key_file = parser.add_mutually_exclusive_group(required=True)
    key_file.add_argument(
        "--private-key-file", metavar="FILE", help="take the public key from this private key; - for standard input"
    )
    key_file.add_argument(
        "--public-key-file",
        metavar="FILE",
        help="the public key: PEM, base64 or a certificate; - for standard input",
    )
    parser.add_argument(
        "--dialog",
        choices=[dialog.value for dialog in Dialog],
        default=Dialog.FROM_7_20.value,
        help="the pages of Bitbucket up to 7.19, or of 7.20 and later (default: %(default)s); "
        "Bitbucket's version stands at the bottom of each of its pages",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=_worksheet)


def _worksheet(arguments: argparse.Namespace) -> int:
    server_url = ServerURL.parse(arguments.url)
    if arguments.private_key_file is None:
        public_key = PublicKey.read(_read(arguments.public_key_file))
    else:
        public_key = _read_private_key(arguments.private_key_file).public
    consumer_key = arguments.consumer_key or new_consumer_key()
    steps = worksheet(
        server_url=server_url,
        application_url=arguments.application_url,
        application_name=arguments.application_name or str(urlsplit(arguments.application_url).hostname),
        consumer_key=consumer_key,
        public_key=public_key,
        dialog=Dialog(arguments.dialog),
    )
    if arguments.json:
        fields = {
            "consumer_key": consumer_key,
            "fingerprint": public_key.fingerprint,
            "steps": [asdict(step) for step in steps],
        }
        print(json.dumps(fields, indent=2))
    else:
        print(render_text(steps), end="", flush=True)
    if not arguments.consumer_key:
        print(f"The consumer key {consumer_key} is new: configure it in this application too.", file=sys.stderr)
    return 0


def _application_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"https", "http"} and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address or not re.fullmatch(r"[!-~]{1,255}", text):
        raise argparse.ArgumentTypeError("it must be an address that begins with https:// and has no spaces")
    return text


def _application_name(text: str) -> str:
    if not (text.strip() and text.isprintable()):
        raise argparse.ArgumentTypeError("it must have letters, and no control characters")
    return text.strip()


def _consumer_key(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise argparse.ArgumentTypeError("it must be 1 to 64 letters, digits and any of . _ -")
    return text


# sandbox


def _add_sandbox(commands: Any) -> None:
    parser = _add_command(
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
    parser.set_defaults(run=_sandbox)


def _sandbox(arguments: argparse.Namespace) -> int:
    try:
        # Here, because it needs packages that only the extra installs.
        from .sandbox.command import run
    except ModuleNotFoundError as error:
        if error.name not in _SANDBOX_PACKAGES:
            raise
        raise _CommandError(
            f"The sandbox needs {error.name}, which is not installed.\n"
            "Install it with: pip install 'social-auth-bitbucket-server[sandbox]'"
        ) from None
    return run(port=arguments.port, context=arguments.context, version=arguments.version)


if __name__ == "__main__":
    sys.exit(main())
