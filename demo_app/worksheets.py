"""What one integration's Bitbucket admin gets: the worksheet, and the script that does the same."""

from __future__ import annotations

from typing import Any

from flask import current_app

from social_bitbucket_server.keys import PublicKey
from social_bitbucket_server.link_script import link_script
from social_bitbucket_server.worksheet import Dialog, Step, dialog_of, worksheet

from . import integrations, navigation
from .config import Settings
from .models import IntegrationRecord


def dialog(record: IntegrationRecord, wanted: str) -> Dialog:
    """Which of Bitbucket's two dialogs the worksheet is about: the *wanted* one, or that of the server's version."""
    return Dialog(wanted) if wanted in set(Dialog) else dialog_of(record.server_version)


def steps(record: IntegrationRecord, dialog: Dialog) -> tuple[Step, ...]:
    """The worksheet of *record*."""
    return worksheet(**_values(record), dialog=dialog)


def script(record: IntegrationRecord) -> str:
    """The script by which the Bitbucket admin makes the application link of *record*; it holds no secret."""
    return link_script(**_values(record))


def _values(record: IntegrationRecord) -> dict[str, Any]:
    settings: Settings = current_app.extensions["settings"]
    name = settings.application_name
    number = "" if record.number == 1 else f" {record.number}"  # links on one server have different names, too
    return {
        "server_url": integrations.server_url(record),
        "application_url": navigation.absolute(integrations.application_path(record)),
        "application_name": f"{name} ({record.organization.name}{number})",
        "consumer_key": record.consumer_key,
        "consumer_name": name,
        "public_key": PublicKey.read(record.active_key_pair.public_key),
    }
