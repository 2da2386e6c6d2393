"""``keygen`` makes a key pair, ``public`` shows its public half again, and ``key-ring`` makes a key ring."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..crypto import BITS, DEFAULT_BITS, KeyRing, PrivateKey
from . import add_command, file_name
from .key_files import add_public_options, print_public, read_private_key, show, write_private_key


def add(commands: Any) -> None:
    """Add ``keygen`` and ``public``."""
    parser = add_command(
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
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=lambda text: None if text == "-" else Path(text),
        help="write the private key to this new file; - is the same as no --out",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists; its key is lost then")
    add_public_options(parser)
    parser.set_defaults(run=_keygen)
    parser = add_command(
        commands,
        "public",
        "Show the public half of a key pair again.",
        """\
examples:
  PROGRAM public acme.pem
  PROGRAM public acme.pem --certificate 'Acme Packages'
  vault kv get -field=private_key secret/acme | PROGRAM public -""",
    )
    parser.add_argument("file", metavar="FILE", type=file_name, help="the private key's file; - for standard input")
    add_public_options(parser)
    parser.set_defaults(run=_public)


def _keygen(arguments: argparse.Namespace) -> int:
    key = PrivateKey.generate(arguments.bits)
    shown = show(key, arguments)
    if arguments.out is None:
        print(key.pem(), end="")
        print_public(shown, key.public, to=sys.stderr)
        return 0
    write_private_key(arguments.out, key.pem(), replace=arguments.force)
    print(f"The private key is in {arguments.out}, which only you can read.", file=sys.stderr)
    print_public(shown, key.public, to=sys.stdout)
    return 0


def _public(arguments: argparse.Namespace) -> int:
    key = read_private_key(arguments.file)
    print_public(show(key, arguments), key.public, to=sys.stdout)
    return 0


def add_key_ring(commands: Any) -> None:
    """Add ``key-ring``, which makes the key ring that seals private keys and access tokens in a database."""
    parser = add_command(
        commands,
        "key-ring",
        "Make the key ring that seals secrets in a database.",
        """\
example:
  export KEY_RING="$(PROGRAM key-ring)"

Keep it apart from the database, and keep a copy: without it, nothing that it sealed can be opened.""",
    )
    parser.set_defaults(run=_key_ring)


def _key_ring(_arguments: argparse.Namespace) -> int:
    print(KeyRing.generate())
    return 0
