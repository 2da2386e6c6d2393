"""What one integration's Bitbucket admin gets: the worksheet, and the script that does the same."""

from __future__ import annotations

from typing import Any

from flask import current_app

from social_bitbucket_server.keys import PublicKey
from social_bitbucket_server.link_script import link_script
from social_bitbucket_server.worksheet import Dialog, Step, dialog_of, oauth2_worksheet, worksheet

from . import integrations, navigation
from .config import Settings
from .models import IntegrationRecord, OAuth


def dialog(record: IntegrationRecord, wanted: str) -> Dialog:
    """Which of Bitbucket's two dialogs the worksheet is about: the *wanted* one, or that of the server's version."""
    return Dialog(wanted) if wanted in set(Dialog) else dialog_of(record.server_version)


def steps(record: IntegrationRecord, dialog: Dialog) -> tuple[Step, ...]:
    """The worksheet of *record*, for OAuth 2 where that is its only way; *dialog* is OAuth 1's."""
    return oauth2_steps(record) if record.is_for_oauth2 else worksheet(**_values(record), dialog=dialog)


def oauth2_steps(record: IntegrationRecord) -> tuple[Step, ...]:
    """The worksheet of *record* for OAuth 2."""
    return oauth2_worksheet(
        server_url=integrations.server_url(record),
        redirect_url=redirect_url(record),
        application_name=_application_name(record) if record.is_for_oauth2 else f"{_application_name(record)} OAuth 2",
    )


def redirect_url(record: IntegrationRecord) -> str:
    """Where logins by OAuth 2 come back to."""
    return navigation.absolute(integrations.callback_path(record, OAuth.TWO))


def script(record: IntegrationRecord) -> str:
    """The script by which the Bitbucket admin makes the application link of *record* for OAuth 1; it holds no secret.
    Empty where people log in by OAuth 2 alone: for that Bitbucket has no REST that is documented."""
    return "" if record.is_for_oauth2 else link_script(**_values(record))


def _application_name(record: IntegrationRecord) -> str:
    """Links on one server have different names."""
    number = "" if record.number == 1 else f" {record.number}"
    return f"{_settings().application_name} ({record.organization.name}{number})"


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


def _values(record: IntegrationRecord) -> dict[str, Any]:
    """Raises ValueError where *record* has no key pair, because OAuth 2 was chosen from the beginning."""
    pair = record.active_key_pair
    if pair is None:
        raise ValueError(record.id)
    return {
        "server_url": integrations.server_url(record),
        "application_url": navigation.absolute(integrations.application_path(record)),
        "application_name": _application_name(record),
        "consumer_key": record.consumer_key,
        "consumer_name": _settings().application_name,
        "public_key": PublicKey.read(pair.public_key),
    }
