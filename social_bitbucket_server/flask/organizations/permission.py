"""The permission that Bitbucket asks people for at a login, as pages announce it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ...integration import NO_ROLES, Admission
from ...organizations import OAuth
from ...problems import BitbucketServerError
from ...sqlalchemy.organizations import IntegrationMixin
from .. import logins

ACCOUNT = "have read and write access to your account"
"""The question of OAuth 1. It is the same for every application."""

_WORDS = {
    "PUBLIC_REPOS": "view public projects and repositories",
    "ACCOUNT_WRITE": "update your account",
    "REPO_READ": "view projects and repositories",
    "REPO_WRITE": "update projects and repositories",
    "REPO_ADMIN": "administer repositories",
    "PROJECT_ADMIN": "administer projects",
    "ADMIN_WRITE": "administer Bitbucket",
    "SYSTEM_ADMIN": "administer Bitbucket's system",
}
"""Each scope in the words of Atlassian's page "OAuth 2.0 scopes for incoming links". Bitbucket shows them to people."""

_NEW = SimpleNamespace(admission=Admission(), roles=NO_ROLES)


def asked_for(oauth: OAuth, record: IntegrationMixin | None = None) -> str:
    """Return what the application would like to do, as Bitbucket says it at a login through *record* by *oauth*.

    *record* is ``None`` for an integration that is not made yet.
    """
    if oauth is OAuth.ONE:
        return ACCOUNT
    conditions: Any = _NEW if record is None else record
    try:
        scopes = logins.backend_of(oauth.backend).scope_for(conditions).split()
    except BitbucketServerError:  # a bad setting, which the login itself reports
        return "access your account"
    return " and ".join(_WORDS.get(scope, scope) for scope in scopes)
