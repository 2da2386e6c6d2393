"""Instructions for one integration's Bitbucket admin: the worksheet, and the script that does the same."""

from __future__ import annotations

from typing import Any

from flask import request

from ...crypto import PublicKey
from ...onboarding import Dialog, Step, dialog_of, link_script, oauth2_worksheet, worksheet
from ...organizations import OAuth, link_name
from ...sqlalchemy.organizations import IntegrationMixin, KeyPairMixin, link_number, server_url
from . import navigation
from .current import extension


def dialog(record: IntegrationMixin) -> Dialog:
    """Return which of Bitbucket's dialogs the worksheet is about: the wanted one, or that of the server's version."""
    wanted = request.args.get("bitbucket", "")
    return Dialog(wanted) if wanted in set(Dialog) else dialog_of(record.server_version)


def pair_in_use(record: IntegrationMixin) -> KeyPairMixin | None:
    """Return the key pair that *record*'s logins are signed with; ``None`` if they are by OAuth 2 alone."""
    return None if record.is_for_oauth2 else record.active_key_pair


def steps(record: IntegrationMixin, pair: KeyPairMixin | None) -> tuple[Step, ...]:
    """Return the worksheet of the application link that *pair* is for; ``None`` for the one of OAuth 2."""
    if pair is None:
        return oauth2_steps(record, dialog(record))
    return worksheet(**_values(record, pair), dialog=dialog(record))


def script(record: IntegrationMixin, pair: KeyPairMixin | None) -> str:
    """Return the script by which the Bitbucket admin makes the application link that *pair* is for. It holds no secret.
    Empty if *pair* is ``None``: for OAuth 2 Bitbucket has no REST that is documented."""
    return "" if pair is None else link_script(**_values(record, pair))


def oauth2_steps(record: IntegrationMixin, dialog: Dialog = Dialog.FROM_10_1) -> tuple[Step, ...]:
    """Return the worksheet of *record* for OAuth 2. *dialog*: the one up to 7.19 has no OAuth 2."""
    return oauth2_worksheet(
        dialog=dialog if dialog is not Dialog.UP_TO_7_19 else Dialog.FROM_7_20,
        server_url=server_url(record),
        redirect_url=redirect_url(record),
        application_name=application_name(record, is_upgrade=not record.is_for_oauth2),
    )


def redirect_url(record: IntegrationMixin) -> str:
    """Return the URL that logins by OAuth 2 come back to."""
    return navigation.absolute(navigation.callback_path(record, OAuth.TWO))


def link_values(record: IntegrationMixin) -> dict[str, str]:
    """Return what Bitbucket keeps of *record*'s application link for OAuth 1: *name*, *application_url*, *consumer_key*
    and *public_key* (PEM). Raises ValueError if *record* has no key pair."""
    pair = record.active_key_pair
    if pair is None:
        raise ValueError(record.id)
    values = _values(record, pair)
    return {
        "name": values["application_name"],
        "application_url": values["application_url"],
        "consumer_key": values["consumer_key"],
        "public_key": values["public_key"].pem,
    }


def old_link(record: IntegrationMixin) -> dict[str, str] | None:
    """Return name, URL and consumer key of the application link that can be removed in Bitbucket, or ``None``."""
    pair = record.replaced_key_pair
    if pair is None:
        return None
    link = link_number(record, pair)
    return {
        "application_name": application_name(record, link),
        "application_url": navigation.absolute(navigation.application_path(record, link)),
        "consumer_key": pair.consumer_key,
    }


def application_name(record: IntegrationMixin, link: int = 1, *, is_upgrade: bool = False) -> str:
    """Return the name of *record*'s application link with the number *link*. For *is_upgrade*, that is its link for
    OAuth 2 beside the one for OAuth 1."""
    return link_name(
        extension().settings.application_name,
        record.organization.name,
        integration=record.number,
        link=link,
        is_upgrade=is_upgrade,
    )


def _values(record: IntegrationMixin, pair: KeyPairMixin) -> dict[str, Any]:
    link = link_number(record, pair)
    return {
        "server_url": server_url(record),
        "application_url": navigation.absolute(navigation.application_path(record, link)),
        "application_name": application_name(record, link),
        "consumer_key": pair.consumer_key,
        "consumer_name": extension().settings.application_name,
        "public_key": PublicKey.read(pair.public_key),
    }
