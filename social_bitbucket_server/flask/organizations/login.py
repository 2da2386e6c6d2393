"""A login with Bitbucket: it begins with a POST, and comes back to the integration's own address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from flask import Blueprint, abort, flash, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from social_core.backends.base import BaseAuth
from werkzeug.wrappers import Response

from ...crypto import Secret
from ...organizations import EventCode, Limited, LoginWays, OAuth
from ...problems import BitbucketServerError, Code
from ...sqlalchemy.organizations import IntegrationMixin, trying
from .. import logins
from . import browser_session, limits, recording, trials, ways_in
from .current import session as database
from .current import store
from .navigation import after_login, callback_path

blueprint = Blueprint("login", __name__)
callbacks = Blueprint("callbacks", __name__)

_FoundT = TypeVar("_FoundT")
_LOGIN_PARAMETERS = {OAuth.ONE: "oauth_token", OAuth.TWO: "state"}


@blueprint.post("/<integration>/begin")
def begin(slug: str, integration: str) -> ResponseReturnValue:
    """Send the browser to the integration's Bitbucket Server, by the wanted OAuth if there are both."""
    record, ways = _enabled_or_404(integration, slug)
    if not ways_in.is_open(record, ways):
        return redirect(url_for("bitbucket.organization.login", slug=slug), 303)
    return begin_with(record, request.form.get("oauth"), logins.begin)


@callbacks.get("/complete/bitbucket-server/<integration>/")
def complete(integration: str) -> ResponseReturnValue:
    """Finish the login by OAuth 1 that came back from the integration's Bitbucket Server."""
    return _complete(integration, OAuth.ONE)


@callbacks.get("/complete/bitbucket-server-oauth2/<integration>/")
def complete_oauth2(integration: str) -> ResponseReturnValue:
    """Finish the login by OAuth 2 that came back from the integration's Bitbucket Server."""
    return _complete(integration, OAuth.TWO)


def begin_trial(record: IntegrationMixin, wanted: str | None) -> Response:
    """Send the admin's browser to Bitbucket and back, without logging anybody in."""
    return begin_with(record, wanted, logins.try_login, purpose="trial")


def begin_trial_of_move(record: IntegrationMixin) -> Response:
    """Send the admin's browser to the server's new address and back, without logging anybody in."""
    g.bitbucket_is_at_new_address = True
    with trying(record.moving_to):
        response = begin_trial(record, None)
    trials.note_trial_of_move()
    return response


def begin_with(
    record: IntegrationMixin,
    wanted: str | None,
    begin_login: Callable[[str, str], Response],
    purpose: str | None = None,
) -> Response:
    """Begin with *begin_login* by the *wanted* OAuth, or the one that is known to work. There is no such page if people
    cannot use it."""
    oauth = record.oauth_versions.choose(wanted)
    if oauth is None:
        abort(404)
    _note_integration(record, oauth)
    limits.count(Limited.LOGINS, record.id)
    response = begin_login(callback_path(record, oauth), oauth.backend)
    recording.note_transaction(Secret(parse_qs(urlsplit(response.location or "").query)[_LOGIN_PARAMETERS[oauth]][0]))
    recording.record(EventCode.LOGIN_BEGIN, integration_id=record.id, purpose=purpose, oauth=oauth.value)
    return response


def _complete(integration: str, oauth: OAuth) -> ResponseReturnValue:
    if request.method == "HEAD":  # which would use the login up
        abort(405)
    record, ways = _enabled_or_404(integration)
    _note_integration(record, oauth)
    limits.count(Limited.CALLBACKS, record.id)
    recording.note_transaction(Secret(request.args.get(_LOGIN_PARAMETERS[oauth], "")))
    path = callback_path(record, oauth)
    if logins.is_trial(path, oauth.backend):
        return trials.complete(record, path, oauth)
    closed_by = ways.closed_by(record.id)
    if closed_by is not None:
        raise BitbucketServerError(Code(closed_by)).as_social_error(None, "callback")
    wanted = session.get("next")
    logins.complete(path, login=_log_in, connected=_say_connected, backend=oauth.backend)
    return redirect(after_login(record.organization, wanted), 303)


def _enabled_or_404(integration: str, slug: str | None = None) -> tuple[IntegrationMixin, LoginWays]:
    """Return the integration that the address names, with the ways into its organization, which the address may name by
    its *slug*."""
    found = store.integrations.find_with_ways_in(integration)
    if found is None or slug not in {None, found[0].organization.slug}:
        abort(404)
    record = g.bitbucket_just_read = found[0]
    g.bitbucket_organization, g.bitbucket_organization_id = record.organization, record.organization_id
    return found


def looking_up(find: Callable[[str, IntegrationMixin | None], _FoundT]) -> Callable[[str], _FoundT]:
    """Return *find* for the library. Its first look-up in a request takes what was read for the request's address. The
    later ones read anew, because Bitbucket may have taken seconds to answer meanwhile."""
    return lambda integration_id: find(integration_id, g.pop("bitbucket_just_read", None))


def _note_integration(record: IntegrationMixin, oauth: OAuth) -> None:
    """Keep in mind what this request is about, for what is written down if it fails."""
    g.bitbucket_integration_id = record.id
    g.bitbucket_is_of_an_upgrade = record.oauth_versions.is_tried(oauth)


def _log_in(backend: BaseAuth[object], user: Any, identity: Any) -> None:
    """Make this browser *user*'s, whoever was logged in before."""
    record = identity.integration
    identity.provider = backend.name
    browser_session.log_in(user, identity)
    recording.record(EventCode.LOGIN_SUCCESS, user_id=store.key_of(user), integration_id=record.id)
    # Each login holds a share of the integration's row until here, so that none could change it.
    if backend.name == OAuth.TWO.backend and record.oauth1_ended_at is None:
        store.upgrade.end_oauth1(record)
    store.integrations.note_login(record)
    database.commit()


def _say_connected(_backend: BaseAuth[object], _user: Any, identity: Any) -> None:
    database.commit()
    flash(f"Your account at {identity.integration.name} is connected. You can log in with it from now on.")
