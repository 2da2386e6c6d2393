"""An organization that is ready, and every link that the sandbox has forgotten since the last run."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, url_for
from sqlalchemy import select

from social_bitbucket_server.flask.organizations import (
    Organizations,
    link_values,
    login_link,
    redirect_url,
    test_connection,
)
from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.sandbox import Sandbox

from . import people
from .kept import Kept
from .models import Organization, db, models

_OWNER, _SLUG, _PERSON = "owner@acme.example", "acme", "jane"


def prepare(app: Flask, sandbox: Sandbox, origin: str, folder: Path) -> str:
    """Make Acme, connect it to *sandbox*, make all other links there again, and say how to go on."""
    password = Kept(folder.resolve()).text("owner_password", lambda: secrets.token_urlsafe(12))
    organizations: Organizations = app.extensions["bitbucket_organizations"]
    with app.test_request_context(base_url=origin):
        is_new = _acme() is None
        if is_new:
            owner = people.make_organization(slug=_SLUG, name="Acme", email=_OWNER, password=password)
            server_url = ServerURL.parse(sandbox.url, organizations.settings.outbound.base_url_rules)
            organizations.store.integrations.make(owner.organization, "Sandbox", server_url)
    with app.test_request_context(base_url=origin):  # after the events of the first one are kept
        _link_again(organizations, sandbox, is_new=is_new)
        addresses = {
            "login": login_link(_acme()),
            "owner": origin + url_for("organizations.owner_login", slug=_SLUG),
            "new": origin + url_for("organizations.new"),
        }
    return f"""
Demo App is at {origin}

1. An organization that is ready
   Login link    {addresses["login"]}
   In Bitbucket  user {_PERSON}, password {_PERSON}
   Owner's login {addresses["owner"]}
                 {_OWNER}, password {password}

2. Connect a Bitbucket Server of your own, or the sandbox once more
   a. Create an organization:  {addresses["new"]}
   b. Add an integration, with your server's base URL or the sandbox's:  {sandbox.url}
   c. Enter its worksheet in Bitbucket under Application Links (in the sandbox as admin, password admin:
      {ServerURL.parse(sandbox.url).application_links}), test the connection, then open the login link.

Organizations stay when the demo ends. The sandbox forgets its application links, which are made again.
Press Ctrl-C to end both.
"""


def _acme() -> Organization | None:
    return db.session.scalars(select(Organization).where(Organization.slug == _SLUG)).one_or_none()


def _link_again(organizations: Organizations, sandbox: Sandbox, *, is_new: bool) -> None:
    """Let *sandbox* know the integrations that worked with it before, which may have been at another port. A new one
    of Acme's is linked and tested, so that its pages say that it works."""
    store = organizations.store
    for record in db.session.scalars(select(models.integration)):
        if not _is_sandbox(record.base_url) or not (is_new or store.events.condition_of(record).is_ready):
            continue
        if record.base_url != sandbox.url:
            server_url = ServerURL.parse(sandbox.url, organizations.settings.outbound.base_url_rules)
            store.moves.take_over(record, server_url)
        if record.active_key_pair is not None:
            link: dict[str, Any] = link_values(record)
            sandbox.link(**link)
        if record.client_credentials is not None:
            credentials = record.client_credentials.client_id, store.keys.open_client_secret(record.client_credentials)
            sandbox.link_external_application(
                redirect_url=redirect_url(record), name=f"{record.id} by OAuth 2", credentials=credentials
            )
        if is_new:
            test_connection(record)


def _is_sandbox(base_url: str) -> bool:
    parts = urlsplit(base_url)
    return (parts.hostname, parts.path) == ("127.0.0.1", "/bitbucket")
