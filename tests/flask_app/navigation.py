"""Where a person goes after logging in: only to a page of their own organization."""

from __future__ import annotations

import re

from flask import url_for

from social_bitbucket_server.flask.organizations.navigation import is_for_buttons_alone

from .models import Organization

_PATH = re.compile(r"/o/[a-z0-9-]+(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?(?:\?[A-Za-z0-9._~=&-]*)?")
_LONGEST = 512


def after_login(organization: Organization, wanted: str | None) -> str:
    """Return the page *wanted* if it is one of *organization*'s, else the person's account."""
    is_a_page = wanted is not None and len(wanted) <= _LONGEST and _PATH.fullmatch(wanted)
    if wanted and is_a_page and wanted.startswith(f"/o/{organization.slug}/") and not is_for_buttons_alone(wanted):
        return wanted
    return url_for("bitbucket.account.account", slug=organization.slug)
