"""A login with Bitbucket: it begins with a POST, and comes back to the integration's own address."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, g, redirect, session, url_for
from flask.typing import ResponseReturnValue
from social_core.backends.base import BaseAuth

from social_bitbucket_server import flask as bitbucket

from . import access, audit, database, integrations, navigation, sessions
from .models import IntegrationRecord, Organization, SocialStorage, User

blueprint = Blueprint("login", __name__)

_SECONDS_TO_REMEMBER_LOGINS = 3600  # those that were begun and never finished


@blueprint.post("/o/<slug>/login/<integration>/begin")
@access.for_everybody
def begin(organization: Organization, integration: str) -> ResponseReturnValue:
    """Send the browser to the integration's Bitbucket Server."""
    record = integrations.find(organization, integration)
    if record is None or record.disabled_at is not None:
        abort(404)
    g.integration_id = record.id
    nonces: Any = SocialStorage.nonce
    nonces.prune(_SECONDS_TO_REMEMBER_LOGINS)
    session.pop("next", None)
    response = bitbucket.begin(_callback_path(record))
    audit.record("login.begin", integration_id=record.id)
    return response


@blueprint.get("/complete/bitbucket-server/<integration>/")
def complete(integration: str) -> ResponseReturnValue:
    """Finish the login that came back from the integration's Bitbucket Server."""
    record = integrations.find_enabled(integration)
    if record is None:
        abort(404)
    g.integration_id, g.organization = record.id, record.organization
    wanted = session.get("next")
    bitbucket.complete(_callback_path(record), login=_log_in)
    return redirect(navigation.after_login(g.organization, wanted), 303)


def _log_in(_backend: BaseAuth[object], user: User, _identity: Any) -> None:
    """This browser is *user*'s now, whoever was logged in before."""
    sessions.log_in(user)
    if user.integration is not None:
        user.integration.last_login_at = user.last_login_at
    database.session.commit()
    audit.record("login.success", user_id=user.id, integration_id=g.integration_id)


def _callback_path(record: IntegrationRecord) -> str:
    return url_for("login.complete", integration=record.id)
