"""Addresses: absolute ones of this application, and where a person may be sent after logging in."""

from __future__ import annotations

import re
from typing import Any

from flask import current_app, url_for
from social_core.utils import setting_name
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ...organizations import OAuth, link_path
from ...sqlalchemy.organizations import IntegrationMixin
from .current import extension

_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?(?:\?[A-Za-z0-9._~=&-]*)?|/")
_LONGEST = 512
_COMPLETE = {OAuth.ONE: "bitbucket.callbacks.complete", OAuth.TWO: "bitbucket.callbacks.complete_oauth2"}


def absolute(path: str) -> str:
    """Return the address of *path* as everybody can open it. It comes from the settings, never from a request."""
    return extension().settings.origin + path


def address_of(endpoint: str, record: IntegrationMixin) -> str:
    """Return the path of one of the pages of *record*. *endpoint* is without the blueprint's name."""
    return url_for(f"bitbucket.{endpoint}", slug=record.organization.slug, integration=record.id)


def callback_path(record: IntegrationMixin, oauth: OAuth) -> str:
    """Return the path that logins come back to. With OAuth 2 it is a part of the Redirect URL."""
    return url_for(_COMPLETE[oauth], integration=record.id)


def callback_of(record: IntegrationMixin) -> str:
    """Return the address that logins by OAuth 1 come back to."""
    return absolute(callback_path(record, OAuth.ONE))


def application_path(record: IntegrationMixin, link: int = 1) -> str:
    """Return the path of the Application URL of *record*'s application link with the number *link*. All of an
    organization's show the same page."""
    organization = url_for("bitbucket.organization.page", slug=record.organization.slug)
    return link_path(organization, integration=record.number, link=link)


def after_login(organization: Any, wanted: str | None) -> str:
    """Return the page to go to after a login, as the application decides."""
    return extension().next_page(organization, wanted)


def local_page(_organization: Any, wanted: str | None) -> str:
    """Return the page *wanted* if it is one of this application's, else the setting ``LOGIN_REDIRECT_URL``."""
    if wanted and len(wanted) <= _LONGEST and _PATH.fullmatch(wanted) and not is_for_buttons_alone(wanted):
        return wanted
    return str(current_app.config.get(setting_name("LOGIN_REDIRECT_URL")) or "/")


def is_for_buttons_alone(address: str) -> bool:
    """Return whether forms are sent to *address*, and nobody can open it."""
    try:
        current_app.url_map.bind("").match(address.partition("?")[0], method="GET")
    except MethodNotAllowed:
        return True
    except HTTPException:  # a redirect, or a page that is not there and says so itself
        return False
    return False
