"""Addresses: absolute ones of this application, and where a person may be sent after logging in."""

from __future__ import annotations

import re

from flask import current_app, url_for
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from .config import Settings
from .models import Organization

_PATH = re.compile(r"/o/[a-z0-9-]+(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?(?:\?[A-Za-z0-9._~=&-]*)?")
_LONGEST = 512


def absolute(path: str) -> str:
    """The address of *path* as everybody can open it; it comes from the settings, never from a request."""
    settings: Settings = current_app.extensions["settings"]
    return settings.public_base_url + path


def after_login(organization: Organization, wanted: str | None) -> str:
    """The page *wanted* if it is one of *organization*'s, else the person's account."""
    is_a_page = wanted is not None and len(wanted) <= _LONGEST and _PATH.fullmatch(wanted)
    if wanted and is_a_page and wanted.startswith(f"/o/{organization.slug}/") and not _is_for_buttons_alone(wanted):
        return wanted
    return url_for("account.account", slug=organization.slug)


def _is_for_buttons_alone(address: str) -> bool:
    """Return whether forms are sent to *address*, and nobody can open it."""
    try:
        current_app.url_map.bind("").match(address.partition("?")[0], method="GET")
    except MethodNotAllowed:
        return True
    except HTTPException:  # a redirect, or a page that is not there and says so itself
        return False
    return False
