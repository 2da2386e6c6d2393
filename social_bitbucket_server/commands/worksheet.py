"""``worksheet`` says what to enter where in Bitbucket."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from ..keys import PublicKey, new_consumer_key
from ..link_script import link_script
from ..server_url import ServerURL
from ..worksheet import Dialog, Step, render_text, worksheet
from . import CommandError, add_command
from .key_files import read, read_private_key


def add(commands: Any) -> None:
    """Add ``worksheet``."""
    parser = add_command(
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
        type=application_url,
        help="the address of this application; another one for every application link on the same Bitbucket",
    )
    parser.add_argument(
        "--application-name",
        metavar="NAME",
        type=application_name,
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
    add_worksheet_options(parser, Dialog.FROM_7_20)
    parser.add_argument(
        "--script",
        action="store_true",
        help="print a script for sh instead, by which the Bitbucket admin makes the application link with curl",
    )
    parser.set_defaults(run=_run)


def add_worksheet_options(parser: argparse.ArgumentParser, default: Dialog | None) -> None:
    """Add for which Bitbucket the worksheet is, and how it is printed."""
    parser.add_argument(
        "--dialog",
        choices=[dialog.value for dialog in Dialog],
        default=default and default.value,
        help="the pages of Bitbucket up to 7.19, or of 7.20 and later (default: "
        f"{default or 'those of the version that the last check-up found'}); "
        "Bitbucket's version stands at the bottom of each of its pages",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.script and arguments.json:
        raise CommandError("Choose one of --script and --json.")
    server_url = ServerURL.parse(arguments.url)
    if arguments.private_key_file is None:
        public_key = PublicKey.read(read(arguments.public_key_file))
    else:
        public_key = read_private_key(arguments.private_key_file).public
    consumer_key = arguments.consumer_key or new_consumer_key()
    values: dict[str, Any] = {
        "server_url": server_url,
        "application_url": arguments.application_url,
        "application_name": arguments.application_name or str(urlsplit(arguments.application_url).hostname),
        "consumer_key": consumer_key,
        "public_key": public_key,
    }
    if arguments.script:
        print(link_script(**values), end="", flush=True)
    else:
        steps = worksheet(**values, dialog=Dialog(arguments.dialog))
        print_worksheet(steps, consumer_key, public_key, as_json=arguments.json)
    if not arguments.consumer_key:
        print(f"The consumer key {consumer_key} is new: configure it in this application too.", file=sys.stderr)
    return 0


def print_worksheet(steps: Sequence[Step], consumer_key: str, public_key: PublicKey, *, as_json: bool) -> None:
    """Print the worksheet, as text or as JSON."""
    if not as_json:
        print(render_text(steps), end="", flush=True)
        return
    fields = {
        "consumer_key": consumer_key,
        "fingerprint": public_key.fingerprint,
        "steps": [asdict(step) for step in steps],
    }
    print(json.dumps(fields, indent=2))


def application_url(text: str) -> str:
    """The type of an option that is a web address."""
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"https", "http"} and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address or not re.fullmatch(r"[!-~]{1,255}", text):
        raise argparse.ArgumentTypeError("it must be an address that begins with https:// and has no spaces")
    return text


def application_name(text: str) -> str:
    """The type of an option that is a name for people."""
    if not (text.strip() and text.isprintable()):
        raise argparse.ArgumentTypeError("it must have letters, and no control characters")
    return text.strip()


def _consumer_key(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise argparse.ArgumentTypeError("it must be 1 to 64 letters, digits and any of . _ -")
    return text
