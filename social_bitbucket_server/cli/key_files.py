"""Keys in files, as the commands read and write and show them."""

from __future__ import annotations

import argparse
import getpass
import os
import secrets
import sys
from pathlib import Path
from typing import TextIO

from cryptography.x509 import load_pem_x509_certificate

from ..crypto import PrivateKey, PublicKey, path_to_show
from ..problems import BitbucketServerError, Code
from . import CommandError

PASSPHRASE_VARIABLE = "SOCIAL_AUTH_BITBUCKET_SERVER_PRIVATE_KEY_PASSPHRASE"  # noqa: S105  # the variable's name
_LONGEST_KEY_FILE = 64 * 1024


def add_public_options(parser: argparse.ArgumentParser) -> None:
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


def _common_name(text: str) -> str:
    if not (text.isprintable() and 0 < len(text.encode()) <= 64):
        raise argparse.ArgumentTypeError("it must have 1 to 64 bytes, and no control characters")
    return text


def show(key: PrivateKey, arguments: argparse.Namespace) -> str:
    if arguments.certificate is not None:
        return key.certificate(arguments.certificate)
    return key.public.pem if arguments.format == "pem" else key.public.base64 + "\n"


def print_public(shown: str, public: PublicKey, to: TextIO) -> None:
    print(shown, end="", file=to, flush=True)
    print(f"{public.bits} bits, fingerprint {public.fingerprint}", file=sys.stderr)
    if shown.startswith("-----BEGIN CERTIFICATE"):
        end = load_pem_x509_certificate(shown.encode()).not_valid_after_utc
        print(f"The certificate is valid until {end:%Y-%m-%d} (UTC).", file=sys.stderr)


def write_private_key(path: Path, pem: str, *, replace: bool) -> None:
    """Write *pem* to a new file with mode 0600. To *replace* a file, a new one takes its place in one step."""
    if not path.name:
        raise CommandError(f"{path} is no name of a file.")
    if replace and path.exists() and not (path.is_file() or path.is_dir()):
        raise CommandError(f"{path} is a device or a pipe, which no file takes the place of.")
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
        raise CommandError(
            f"{path} exists already.\nGive another name, or replace it with --force; the key in it is lost then."
        ) from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None


def read(path: str) -> bytes:
    """Read the file at *path*, or standard input, up to the length from which on no key is read."""
    try:
        if path == "-":
            return sys.stdin.buffer.read(_LONGEST_KEY_FILE + 1)
        with Path(path).open("rb") as file:
            return file.read(_LONGEST_KEY_FILE + 1)
    except OSError as error:
        raise CommandError(f"{path_to_show(path)} cannot be read: {error.strerror}.") from None


def read_private_key(path: str) -> PrivateKey:
    text, passphrase = read(path), os.environ.get(PASSPHRASE_VARIABLE)
    try:
        return PrivateKey.read(text, passphrase)
    except BitbucketServerError as error:
        if error.code != Code.PRIVATE_KEY_ENCRYPTED or passphrase or not may_ask_passphrase(path):
            raise
    return PrivateKey.read(text, ask_passphrase(path))


def may_ask_passphrase(path: str | None) -> bool:
    """Return whether a person can type at standard input, which the key at *path* does not come from."""
    return path != "-" and sys.stdin.isatty()


def ask_passphrase(what: str) -> str:
    """Ask at the terminal for the passphrase of *what*, without showing it."""
    return getpass.getpass(f"Passphrase of {what}: ")
