"""The whole demo in one process: the application, a sandbox Bitbucket, and an organization that is connected to it.

``python -m demo_app`` serves until Ctrl-C. The ports are those of :mod:`demo_app.ports`.
"""

from __future__ import annotations

import logging
import secrets
import signal
import sys
from pathlib import Path
from types import FrameType

from flask import Flask, url_for
from sqlalchemy import select
from waitress import create_server  # type: ignore[import-untyped]  # it has no types

from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.organizations import OAuth
from social_bitbucket_server.sandbox import Sandbox

from . import audit, connection, create_app, database, integrations, moves, navigation, people, ports, worksheets
from .config import OutboundMode, Settings
from .instance_files import UnsafeSettingError, make_private_file
from .models import IntegrationRecord, Organization

_OWNER = "owner@acme.example"
_SLUG = "acme"
_INTEGRATION = "Sandbox"
_PERSON = "jane"
# On one's own machine one's own servers may be connected, wherever they are.
_PRIVATE_NETWORKS = "*=10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"


def main() -> int:
    """Serve until Ctrl-C or SIGTERM. Returns the exit status."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        _serve()
    except (ports.CannotStartError, UnsafeSettingError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _serve() -> None:
    ports.check()
    with ports.listen("DEMO_PORT") as listener:
        address = f"http://{ports.HOST}:{ports.chosen('DEMO_PORT')}"
        # With passwords for programs, because the worksheet's page offers a script that logs in with one.
        sandbox = Sandbox(
            context="/bitbucket", host=ports.HOST, port=ports.chosen("SANDBOX_PORT"), basic_authentication=True
        )
        sandbox.start()
        try:
            config = {
                "ALLOWED_PRIVATE_NETWORKS": _PRIVATE_NETWORKS,
                "OUTBOUND_MODE": OutboundMode.TEST.value,
                "PUBLIC_BASE_URL": address,
            }
            _log_audit_to_file(Settings.read(config))
            app = create_app(config)
            with app.test_request_context(base_url=address):
                introduction = prepare(app, sandbox)
            with app.test_request_context(base_url=address):  # after the events of the preparation are kept
                test_connection()
            server = create_server(app, sockets=[listener], threads=8, ident=None)
            try:
                print(introduction, flush=True)
                server.run()
            finally:
                server.close()
        finally:
            sandbox.stop()


def prepare(app: Flask, sandbox: Sandbox) -> str:
    """Make or find the organization Acme, connect it to *sandbox*, and say how to go on."""
    settings: Settings = app.extensions["settings"]
    password = settings.instance.read_or_make("owner_password", lambda: secrets.token_urlsafe(12))
    organization = _organization(password)
    record = _integration(organization, ServerURL.parse(sandbox.url, settings.outbound.base_url_rules))
    pair = record.active_key_pair
    if pair is not None:
        link = integrations.link_number(record, pair)
        sandbox.link(
            name=worksheets.application_name(record, link),
            application_url=navigation.absolute(integrations.application_path(record, link)),
            consumer_key=pair.consumer_key,
            public_key=pair.public_key,
        )
    login_link = navigation.absolute(url_for("organization.login", slug=organization.slug))
    owner_login = navigation.absolute(url_for("organization.owner_login", slug=organization.slug))
    return f"""
{settings.application_name} is at {settings.public_base_url}

1. An organization that is ready
   Login link    {login_link}
   In Bitbucket  user {_PERSON}, password {_PERSON}
   Owner's login {owner_login}
                 {_OWNER}, password {password}

2. Connect a Bitbucket Server of your own, or the sandbox once more
   a. Create an organization:  {navigation.absolute(url_for("start.new"))}
   b. Add an integration, with your server's base URL or the sandbox's:  {sandbox.url}
   c. Enter its worksheet in Bitbucket under Application Links (in the sandbox as admin, password admin:
      {ServerURL.parse(sandbox.url).application_links}), test the connection, then open the login link.

The sandbox forgets its application links when it ends; Acme's is made again.
The audit log is in {_audit_log(settings)}
Press Ctrl-C to end both.
"""


def test_connection() -> None:
    """Test the connection of Acme's integration, so that the pages say that it works."""
    of_acme = IntegrationRecord.organization.has(slug=_SLUG)
    record = database.session.scalars(select(IntegrationRecord).where(of_acme, IntegrationRecord.name == _INTEGRATION))
    for _result in connection.ConnectionTest(record.one(), OAuth.ONE):
        pass


def _log_audit_to_file(settings: Settings) -> None:
    """The screen is for the introduction."""
    path = _audit_log(settings)
    make_private_file(path)
    audit.logger.addHandler(logging.FileHandler(path))


def _audit_log(settings: Settings) -> Path:
    return settings.instance.path / "audit.jsonl"


def _organization(password: str) -> Organization:
    organization = database.session.scalar(select(Organization).where(Organization.slug == _SLUG))
    if organization is None:
        return people.create_organization(slug=_SLUG, name="Acme", email=_OWNER, password=password).organization
    people.keep_owner(organization, email=_OWNER, password=password)
    return organization


def _integration(organization: Organization, server_url: ServerURL) -> IntegrationRecord:
    """The integration with the sandbox, which may have moved to another port."""
    for record in integrations.of(organization):
        if record.name == _INTEGRATION:
            if record.base_url != str(server_url):
                moves.take_over(record, server_url)
            integrations.set_enabled(record, enabled=True)
            return record
    return integrations.make(organization, _INTEGRATION, server_url)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
