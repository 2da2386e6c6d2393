"""``check`` tests an integration stage by stage."""

from __future__ import annotations

import argparse
from typing import Any

from ..onboarding import Stage, check_up
from . import add_command
from .given import OAUTH2_PREFIX, PREFIX, SECRET_VARIABLE, add_integration_options, any_integration_of
from .report import FIRST_STATUS, add_report_options, report

CALLBACK = "https://application.example/complete/bitbucket-server/"
"""Placeholder for the address that logins come back to, used if no address is given."""

_STATUSES = tuple(enumerate((stage for stage in Stage if stage is not Stage.CREDENTIALS), FIRST_STATUS))


def add(commands: Any) -> None:
    """Add ``check``."""
    parser = add_command(
        commands,
        "check",
        "Test an integration stage by stage, and say what to do if a stage fails.",
        f"""\
The integration is given by options, by a file, or by the settings in the environment ({PREFIX}URL,
…KEY, …PRIVATE_KEY or …PRIVATE_KEY_FILE, …VERIFY_SSL, …CLIENT_CERTIFICATE_FILE, …CLIENT_KEY_FILE, …CONNECT_TO,
…ALLOW_HTTP, …REQUESTS_TIMEOUT). A file is TOML with the fields url, consumer_key, private_key_file, and optionally
verify, ca_certificates, client_certificate_file, client_key_file, connect_to, allow_http, proxies, timeout.

With OAuth 2 there are a client ID and a client secret instead: --client-id and the variable {SECRET_VARIABLE},
or client_id and client_secret in the file, or {OAUTH2_PREFIX}URL, …KEY and …SECRET.

The exit status is 0, 1 for a problem before the first stage, 2 for wrong usage, or that of the first stage that fails:
  {", ".join(f"{status} {stage}" for status, stage in _STATUSES)}
  (with OAuth 2, {next(status for status, stage in _STATUSES if stage is Stage.SIGNATURE)} is {Stage.CREDENTIALS})

examples:
  PROGRAM check --url https://bitbucket.example.com --consumer-key acme --private-key-file acme.pem
  PROGRAM check --file acme.toml --watch""",
    )
    add_integration_options(parser)
    parser.add_argument("--client-id", metavar="ID", help="the client ID of an External application link (OAuth 2)")
    parser.add_argument(
        "--callback",
        metavar="URL",
        type=_callback,
        default=CALLBACK,
        help="the address that logins come back to; Bitbucket checks its form",
    )
    add_report_options(parser)
    parser.set_defaults(run=_run)


def _callback(text: str) -> str:
    """Return the callback address that an option gives. It may be any text that Bitbucket can be asked about."""
    if not text.isprintable():
        raise argparse.ArgumentTypeError("it must have no control characters")
    return text


def _run(arguments: argparse.Namespace) -> int:
    make_integration = any_integration_of(arguments)
    return report(lambda: check_up(make_integration, arguments.callback), as_json=arguments.json, watch=arguments.watch)
