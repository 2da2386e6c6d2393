"""For whoever operates the application: commands, and an address that says whether it can do its work."""

from __future__ import annotations

import click
from flask import Blueprint, current_app
from flask.cli import AppGroup
from flask.typing import ResponseReturnValue

from . import audit, database, integrations

blueprint = Blueprint("operation", __name__, cli_group=None)
keys = AppGroup("keys", help="The private keys in the database.")
blueprint.cli.add_command(keys)


@blueprint.get("/healthz")
def health() -> ResponseReturnValue:
    """Whether the database answers, and the key ring opens the newest private key."""
    if integrations.newest_key_opens():
        return "ok\n", {"Content-Type": "text/plain; charset=utf-8"}
    audit.record("key.decrypt_failed", outcome="failure")
    return "The key ring does not open the private keys.\n", 503, {"Content-Type": "text/plain; charset=utf-8"}


@blueprint.cli.command("db-upgrade")
def upgrade_database() -> None:
    """Bring the database's tables up to date; starting the application does the same."""
    database.upgrade(current_app.extensions["engine"])


@keys.command("rewrap")
def rewrap() -> None:
    """Seal every private key with the newest key of KEY_RING."""
    click.echo(f"{integrations.reseal_keys()} private keys are sealed with the newest key of the ring.")
