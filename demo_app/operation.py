"""Commands for the operator: the tables, and what the key ring seals."""

from __future__ import annotations

import click
from flask import Blueprint, current_app
from flask.cli import AppGroup

from social_bitbucket_server.organizations import EventCode

from . import audit, database, identities, integrations

blueprint = Blueprint("operation", __name__, cli_group=None)
keys = AppGroup("keys", help="The private keys in the database.")
blueprint.cli.add_command(keys)


def check_key_ring() -> None:
    """Write down where the key ring does not open the private keys. Everything but logins works nevertheless."""
    if not integrations.ring_opens_keys():
        audit.record(EventCode.KEY_DECRYPT_FAILED, outcome="failure", code="key_ring")


@blueprint.cli.command("db-upgrade")
def upgrade_database() -> None:
    """Bring the database's tables up to date; starting the application does the same."""
    database.upgrade(current_app.extensions["engine"])


@keys.command("rewrap")
def rewrap() -> None:
    """Seal every private key, and every access token that is kept, with the newest key of KEY_RING. It can be
    interrupted and run again."""
    done, failed = integrations.reseal_keys()
    click.echo(f"{done} private keys are sealed with the newest key of the ring.")
    tokens, failed_tokens = identities.reseal_tokens()
    if tokens:
        click.echo(f"{tokens} access tokens are sealed with the newest key of the ring.")
    if failed or failed_tokens:
        raise click.ClickException(
            f"{failed + failed_tokens} could not be opened and stay as they are. Keep the older keys in the ring; "
            "see docs/security.md."
        )


@keys.command("forget-access-tokens")
def forget_access_tokens() -> None:
    """Erase every access token that is kept. Without STORE_ACCESS_TOKENS no new ones are."""
    click.echo(f"{identities.forget_tokens()} access tokens are erased.")
