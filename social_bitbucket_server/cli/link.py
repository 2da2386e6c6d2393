"""``link`` makes the application link by Bitbucket's REST, ``unlink`` takes it away."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import sys
from typing import Any
from urllib.parse import urlsplit

from ..crypto import Secret
from ..integration import Integration, ServerURL, is_loopback
from ..onboarding import ApplicationLinks, basic, bearer, check_up
from . import EXPLAIN, CommandError, add_command
from .check import CALLBACK
from .given import add_integration_options, integration_of
from .report import report
from .worksheet import application_name, application_url

_PASSWORD_VARIABLE = "BITBUCKET_PASSWORD"  # noqa: S105  # the variable's name
_TOKEN_VARIABLE = "BITBUCKET_TOKEN"  # noqa: S105  # the variable's name
_TOKEN = re.compile(r"[!-~]+")


def add(commands: Any) -> None:
    """Add ``link`` and ``unlink``."""
    link = add_command(
        commands,
        "link",
        "Make the application link in Bitbucket, as a Bitbucket admin, and test it.",
        f"""\
The options for the integration are those of 'PROGRAM check'.

The command says what it will do, and asks whether to go on. If the link exists, the command updates it, so you can run
it twice. It asks for the password, or takes it from {_PASSWORD_VARIABLE}. Instead of a password, {_TOKEN_VARIABLE} may
hold an OAuth 2 token with the admin permission. Bitbucket refuses HTTP access tokens for application links. The command
uses password and token for these calls only, and stores neither.

Bitbucket 10 and later take no passwords from programs unless basic authentication is switched on.
'PROGRAM worksheet' always works.

example:
  PROGRAM link --url https://bitbucket.example.com --consumer-key acme --private-key-file acme.pem \\
      --application-url https://app.example.com/o/acme/ --user admin""",
    )
    unlink = add_command(
        commands,
        "unlink",
        "Remove the application link from Bitbucket. Nobody can log in through it any more.",
        """\
The options for the integration are those of 'PROGRAM check'.
The admin's password or token is given as in 'PROGRAM link'.

example:
  PROGRAM unlink --file acme.toml --application-url https://app.example.com/o/acme/ --user admin""",
    )
    for parser in (link, unlink):
        add_integration_options(parser)
        parser.add_argument(
            "--application-url",
            required=True,
            metavar="URL",
            type=application_url,
            help="the address of this application, as in the application link",
        )
        add_admin_options(parser)
    link.add_argument(
        "--application-name", metavar="NAME", type=application_name, help="what people see (default: the URL's host)"
    )
    link.set_defaults(run=_link)
    unlink.set_defaults(
        run=lambda arguments: remove_link(integration_of(arguments)(), arguments.application_url, arguments)
    )


def add_admin_options(parser: argparse.ArgumentParser) -> None:
    """Add options for the administrator's name, and for no question beforehand."""
    parser.add_argument("--user", help=f"the Bitbucket admin's user name; not needed with {_TOKEN_VARIABLE}")
    parser.add_argument("--yes", action="store_true", help="do it without asking")


def _link(arguments: argparse.Namespace) -> int:
    name = arguments.application_name or str(urlsplit(arguments.application_url).hostname)
    return make_link(integration_of(arguments)(), arguments.application_url, name, arguments)


def make_link(
    integration: Integration, address: str, name: str, arguments: argparse.Namespace, explain: str = EXPLAIN
) -> int:
    """Make the application link of *integration*, or update it; returns the exit status of the check-up after it.

    *explain* is the command that explains a problem's code.
    """
    links = ApplicationLinks(integration, _authorization(integration.server.url, arguments))
    found = links.find(address)
    plan = f"update the application link {found.name}" if found else f"make an application link {name}"
    key = integration.private_key.public
    _confirm(
        arguments,
        f"On {integration.server.url} this will {plan} to {address}, with the consumer key "
        f"{integration.consumer_key} and the public key {key.fingerprint}.",
    )
    link = found or links.create(address, name)
    links.set_consumer(link, name)
    print(f"The application link {link.name} is {'up to date' if found else 'made'}.", flush=True)
    return report(lambda: check_up(lambda: integration, CALLBACK), explain=explain)


def remove_link(integration: Integration, address: str, arguments: argparse.Namespace) -> int:
    """Take the application link of *integration* away; returns the exit status."""
    links = ApplicationLinks(integration, _authorization(integration.server.url, arguments))
    found = links.find(address)
    if found is None:
        print(f"There is no application link to {address}.")
        return 0
    _confirm(arguments, f"On {integration.server.url} this will delete the application link {found.name}.")
    links.remove(found)
    print(f"The application link {found.name} is deleted.")
    return 0


def _authorization(server_url: ServerURL, arguments: argparse.Namespace) -> Secret:
    if server_url.scheme == "http" and not is_loopback(server_url.host):
        words = "This base URL is not encrypted: anyone who listens on the way can read the administrator's password."
        print(words, file=sys.stderr, flush=True)
    token = os.environ.get(_TOKEN_VARIABLE, "").strip()
    if token:
        if not _TOKEN.fullmatch(token):
            raise CommandError(f"{_TOKEN_VARIABLE} has characters that no token has.")
        return bearer(token)
    if not arguments.user:
        raise CommandError(f"Name the Bitbucket admin with --user, or set {_TOKEN_VARIABLE}.")
    password = os.environ.get(_PASSWORD_VARIABLE)
    if password is None:
        if not sys.stdin.isatty():
            raise CommandError(f"Nobody can type the password here; set {_PASSWORD_VARIABLE}.")
        password = getpass.getpass(f"Password of {arguments.user}: ")
    try:
        return basic(arguments.user, password)
    except UnicodeEncodeError:
        raise CommandError("The user name or the password has bytes that are no characters here.") from None


def _confirm(arguments: argparse.Namespace, plan: str) -> None:
    print(plan, flush=True)
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("Nobody can answer here; add --yes to do it without asking.")
    if input("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was changed.")
