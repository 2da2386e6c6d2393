"""A login with Bitbucket: it begins with a POST, and comes back to the integration's own address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Blueprint, abort, flash, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from social_core.backends.base import BaseAuth
from werkzeug.wrappers import Response

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.secret import Secret

from . import access, audit, identities, integrations, navigation, rate_limits, sessions, trials
from .models import IntegrationRecord, Organization, User

blueprint = Blueprint("login", __name__)


@blueprint.post("/o/<slug>/login/<integration>/begin")
@access.for_everybody
def begin(organization: Organization, integration: str) -> ResponseReturnValue:
    """Send the browser to the integration's Bitbucket Server."""
    record = integrations.find(organization, integration)
    if record is None or record.disabled_at is not None:
        abort(404)
    return _begin(record, bitbucket.begin)


@blueprint.post("/o/<slug>/account/connect/<integration>")
@access.for_members
def connect(organization: Organization, integration: str) -> ResponseReturnValue:  # noqa: ARG001  # the decorator's call
    """Send the browser to another Bitbucket Server of the organization, to connect the account there to this one."""
    record = next((record for record in identities.to_connect(current_user) if record.id == integration), None)
    if record is None:
        abort(404)
    return _begin(record, bitbucket.connect, purpose="connect")


@blueprint.get("/complete/bitbucket-server/<integration>/")
def complete(integration: str) -> ResponseReturnValue:
    """Finish the login that came back from the integration's Bitbucket Server."""
    record = integrations.find_enabled(integration)
    if record is None:
        abort(404)
    g.integration_id, g.organization = record.id, record.organization
    rate_limits.count(rate_limits.CALLBACKS, rate_limits.visitor(), record.id)
    audit.note_transaction(Secret(request.args.get("oauth_token", "")))
    if bitbucket.is_trial(_callback_path(record)):
        return trials.complete(record, _callback_path(record))
    wanted = session.get("next")
    bitbucket.complete(_callback_path(record), login=_log_in, connected=_say_connected)
    return redirect(navigation.after_login(g.organization, wanted), 303)


def begin_trial(record: IntegrationRecord) -> Response:
    """Send the owner's browser to Bitbucket and back, without logging anybody in."""
    return _begin(record, bitbucket.try_login, purpose="trial")


def _begin(record: IntegrationRecord, begin: Callable[[str], Response], purpose: str | None = None) -> Response:
    g.integration_id = record.id
    rate_limits.count(rate_limits.LOGINS, rate_limits.visitor(), record.id)
    session.pop("next", None)
    response = begin(_callback_path(record))
    audit.note_transaction(Secret(parse_qs(urlsplit(response.location or "").query)["oauth_token"][0]))
    audit.record("login.begin", integration_id=record.id, purpose=purpose)
    return response


def _log_in(_backend: BaseAuth[object], user: User, identity: Any) -> None:
    """This browser is *user*'s now, whoever was logged in before."""
    sessions.log_in(user, identity)
    audit.record("login.success", user_id=user.id, integration_id=g.integration_id)


def _say_connected(_backend: BaseAuth[object], _user: User, identity: Any) -> None:
    flash(f"Your account at {identity.integration.name} is connected. You can log in with it from now on.")


def _callback_path(record: IntegrationRecord) -> str:
    return url_for("login.complete", integration=record.id)
