"""A login with Bitbucket: it begins with a POST, and comes back to the integration's own address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Blueprint, abort, flash, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from social_core.backends.base import BaseAuth
from social_core.exceptions import AuthPolicyError
from werkzeug.wrappers import Response

from social_bitbucket_server import flask as bitbucket
from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.organizations import EventCode, OAuth

from . import (
    access,
    audit,
    browser_session,
    database,
    identities,
    integrations,
    login_ways,
    moves,
    navigation,
    rate_limits,
    trials,
    upgrade,
)
from .models import IntegrationRecord, Organization, User

blueprint = Blueprint("login", __name__)

_LOGIN_PARAMETERS = {OAuth.ONE: "oauth_token", OAuth.TWO: "state"}


@blueprint.post("/o/<slug>/login/<integration>/begin")
@access.for_everybody
def begin(organization: Organization, integration: str) -> ResponseReturnValue:
    """Send the browser to the integration's Bitbucket Server, by the wanted OAuth where there are both."""
    record = integrations.find(organization, integration)
    if record is None or record.disabled_at is not None:
        abort(404)
    if not login_ways.is_open(record):
        return redirect(url_for("organization.login", slug=organization.slug), 303)
    return _begin(record, _way(record, request.form.get("oauth")), bitbucket.begin)


@blueprint.post("/o/<slug>/account/connect/<integration>")
@access.for_members
def connect(organization: Organization, integration: str) -> ResponseReturnValue:
    """Send the browser to another Bitbucket Server of the organization, to connect the account there to this one."""
    record = next((record for record in identities.to_connect(current_user) if record.id == integration), None)
    if record is None or login_ways.ways_into(organization).is_shut_out(record.id):
        abort(404)
    return _begin(record, _way(record), bitbucket.connect, purpose="connect")


@blueprint.get("/complete/bitbucket-server/<integration>/")
def complete(integration: str) -> ResponseReturnValue:
    """Finish the login by OAuth 1 that came back from the integration's Bitbucket Server."""
    return _complete(integration, OAuth.ONE)


@blueprint.get("/complete/bitbucket-server-oauth2/<integration>/")
def complete_oauth2(integration: str) -> ResponseReturnValue:
    """Finish the login by OAuth 2 that came back from the integration's Bitbucket Server."""
    return _complete(integration, OAuth.TWO)


def begin_trial(record: IntegrationRecord, wanted: str | None) -> Response:
    """Send the owner's browser to Bitbucket and back, without logging anybody in."""
    return _begin(record, _way(record, wanted), bitbucket.try_login, purpose="trial")


def begin_trial_of_move(record: IntegrationRecord) -> Response:
    """Send the owner's browser to the server's new address and back, without logging anybody in."""
    moves.try_it()
    response = begin_trial(record, None)
    moves.note_trial()
    return response


def _way(record: IntegrationRecord, wanted: str | None = None) -> OAuth:
    """The *wanted* OAuth, or the one that is known to work. There is no such page where people cannot use it."""
    way = record.oauth_versions.choose(wanted)
    if way is None:
        abort(404)
    return way


def _begin(
    record: IntegrationRecord, oauth: OAuth, begin: Callable[[str, str], Response], purpose: str | None = None
) -> Response:
    g.integration_id, g.is_of_an_upgrade = record.id, record.oauth_versions.is_tried(oauth)
    rate_limits.count(rate_limits.LOGINS, rate_limits.visitor(), record.id)
    response = begin(integrations.callback_path(record, oauth), oauth.backend)
    audit.note_transaction(Secret(parse_qs(urlsplit(response.location or "").query)[_LOGIN_PARAMETERS[oauth]][0]))
    audit.record(EventCode.LOGIN_BEGIN, integration_id=record.id, purpose=purpose, oauth=oauth.value)
    return response


def _complete(integration: str, oauth: OAuth) -> ResponseReturnValue:
    if request.method == "HEAD":  # which would use the login up
        abort(405)
    record = integrations.find_enabled(integration)
    if record is None:
        abort(404)
    g.integration_id, g.organization = record.id, record.organization
    g.is_of_an_upgrade = record.oauth_versions.is_tried(oauth)
    rate_limits.count(rate_limits.CALLBACKS, rate_limits.visitor(), record.id)
    audit.note_transaction(Secret(request.args.get(_LOGIN_PARAMETERS[oauth], "")))
    moves.recognize_trial()
    callback_path = integrations.callback_path(record, oauth)
    if bitbucket.is_trial(callback_path, oauth.backend):
        return trials.complete(record, callback_path, oauth)
    closed_by = login_ways.ways_into(record.organization).closed_by(record.id)
    if closed_by is not None:
        context = {"problem": closed_by.value}
        raise AuthPolicyError(None, code="authentication_disallowed", stage="callback", context=context)
    wanted = session.get("next")
    bitbucket.complete(callback_path, login=_log_in, connected=_say_connected, backend=oauth.backend)
    return redirect(navigation.after_login(g.organization, wanted), 303)


def _log_in(backend: BaseAuth[object], user: User, identity: Any) -> None:
    """Make this browser *user*'s, whoever was logged in before."""
    record = identity.integration
    identity.provider = backend.name
    browser_session.log_in(user, identity)
    audit.record(EventCode.LOGIN_SUCCESS, user_id=user.id, integration_id=g.integration_id)
    # Each login holds a share of the integration's row until here, so that none could change it.
    if backend.name == OAuth.TWO.backend and record.oauth1_ended_at is None:
        upgrade.end_oauth1(record)
    integrations.note_login(record)
    database.session.commit()


def _say_connected(_backend: BaseAuth[object], _user: User, identity: Any) -> None:
    database.session.commit()
    flash(f"Your account at {identity.integration.name} is connected. You can log in with it from now on.")
