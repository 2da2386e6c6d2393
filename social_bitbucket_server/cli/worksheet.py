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

from ..crypto import PublicKey, new_consumer_key
from ..integration import ServerURL, base_url
from ..onboarding import Dialog, Step, link_script, oauth2_worksheet, render_text, worksheet
from . import add_command, file_name
from .given import add_allow_http
from .key_files import read, read_private_key

_DESCRIPTION = """\
The worksheet follows the order and the words of Bitbucket's own pages. Give it to a Bitbucket admin. It contains no
secret.

example:
  PROGRAM worksheet --url https://bitbucket.example.com \\
      --application-url https://app.example.com/o/acme/ --application-name 'Acme Packages' \\
      --consumer-key acme-packages --private-key-file acme.pem

With --redirect-url the worksheet is for OAuth 2, where Bitbucket makes a client ID and a client secret:
  PROGRAM worksheet --url https://bitbucket.example.com --application-name 'Acme Packages' \\
      --redirect-url https://app.example.com/complete/bitbucket-server-oauth2/"""


def add(commands: Any) -> None:
    """Add ``worksheet``."""
    parser = add_command(commands, "worksheet", "Say what to enter where in Bitbucket.", _DESCRIPTION)
    parser.add_argument("--url", required=True, help="Bitbucket's base URL, with the context path if it has one")
    add_allow_http(parser)
    purpose = parser.add_mutually_exclusive_group(required=True)
    purpose.add_argument(
        "--application-url",
        metavar="URL",
        type=application_url,
        help="the address of this application; another one for every application link on the same Bitbucket",
    )
    purpose.add_argument(
        "--redirect-url",
        metavar="URL",
        type=application_url,
        help="the address that logins by OAuth 2 come back to; prints the worksheet of OAuth 2",
    )
    parser.add_argument(
        "--application-name",
        metavar="NAME",
        type=application_name,
        help="what people see when Bitbucket asks for their permission (default: the host of the URL)",
    )
    parser.add_argument(
        "--consumer-key",
        metavar="KEY",
        type=_consumer_key,
        help="at most 64 letters, digits and any of . _ - (default: a new random one)",
    )
    key_file = parser.add_mutually_exclusive_group()
    key_file.add_argument(
        "--private-key-file",
        metavar="FILE",
        type=file_name,
        help="take the public key from this private key; - for standard input",
    )
    key_file.add_argument(
        "--public-key-file",
        metavar="FILE",
        type=file_name,
        help="the public key: PEM, base64 or a certificate; - for standard input",
    )
    add_worksheet_options(parser, Dialog.FROM_10_1)
    parser.add_argument(
        "--script",
        action="store_true",
        help="print a script for sh instead, by which the Bitbucket admin makes the application link with curl",
    )
    parser.set_defaults(run=lambda arguments: _run(parser, arguments))


def add_worksheet_options(parser: argparse.ArgumentParser, default: Dialog | None) -> None:
    """Add options for the version of Bitbucket, and for the output."""
    parser.add_argument(
        "--dialog",
        choices=[dialog.value for dialog in Dialog],
        default=default and default.value,
        help=f"the pages of Bitbucket {', '.join(dialog.versions for dialog in Dialog)} (default: "
        f"{default or 'those of the version that the last check-up found'}); "
        "Bitbucket's version stands at the bottom of each of its pages",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.redirect_url is not None:
        return _run_oauth2(parser, arguments)
    if arguments.private_key_file is None and arguments.public_key_file is None:
        parser.error("one of the arguments --private-key-file --public-key-file is required")
    if arguments.script and arguments.json:
        parser.error("argument --script: not allowed with argument --json")
    server_url = _base_url(arguments)
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
        steps = worksheet(**values, dialog=Dialog(arguments.dialog), for_organization=False)
        print_worksheet(steps, consumer_key, public_key, as_json=arguments.json)
    if not arguments.consumer_key:
        print(f"The consumer key {consumer_key} is new: configure it in this application too.", file=sys.stderr)
    return 0


def _base_url(arguments: argparse.Namespace) -> ServerURL:
    """Return the base URL that was given. Say so if it is probably the address of a page."""
    url = base_url({"url": arguments.url, "allow_http": arguments.allow_http})
    if url.before_page is not None:
        print(f"--url looks like the address of a page. The base URL may be {url.before_page}", file=sys.stderr)
    return url


def _run_oauth2(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Print the worksheet of OAuth 2. It has no consumer key and no key pair, and no documented REST makes its link."""
    for name in ("consumer_key", "private_key_file", "public_key_file", "script"):
        if getattr(arguments, name):
            parser.error(f"argument --{name.replace('_', '-')}: not allowed with argument --redirect-url")
    if arguments.dialog == Dialog.UP_TO_7_19:
        parser.error("argument --dialog: OAuth 2 came with Bitbucket 7.20")
    steps = oauth2_worksheet(
        server_url=_base_url(arguments),
        redirect_url=arguments.redirect_url,
        application_name=arguments.application_name or str(urlsplit(arguments.redirect_url).hostname),
        dialog=Dialog(arguments.dialog),
    )
    _print(steps, {"redirect_url": arguments.redirect_url}, as_json=arguments.json)
    return 0


def print_worksheet(steps: Sequence[Step], consumer_key: str, public_key: PublicKey, *, as_json: bool) -> None:
    """Print the worksheet, as text or as JSON."""
    _print(steps, {"consumer_key": consumer_key, "fingerprint": public_key.fingerprint}, as_json=as_json)


def print_oauth2_worksheet(steps: Sequence[Step], *, as_json: bool) -> None:
    """Print the worksheet for OAuth 2, as text or as JSON."""
    _print(steps, {}, as_json=as_json)


def _print(steps: Sequence[Step], fields: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**fields, "steps": [asdict(step) for step in steps]}, indent=2))
    else:
        print(render_text(steps), end="", flush=True)


def application_url(text: str) -> str:
    """Return the web address that an option gives."""
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"https", "http"} and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address or not re.fullmatch(r"[!-~]{1,255}", text):
        raise argparse.ArgumentTypeError("it must be an address that begins with https:// and has no spaces")
    return text


def application_name(text: str) -> str:
    """Return the name for people that an option gives."""
    if not (text.strip() and text.isprintable()):
        raise argparse.ArgumentTypeError("it must have letters, and no control characters")
    return text.strip()


def _consumer_key(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise argparse.ArgumentTypeError("it must be 1 to 64 letters, digits and any of . _ -")
    return text
