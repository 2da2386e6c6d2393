"""Logins through an integration: each begins with a POST and comes back to the integration's own address.

For views of an application's own; :mod:`.views` are the ready-made ones.
"""

from __future__ import annotations

import hashlib
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from django.contrib import auth
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from social_core.actions import do_auth, do_complete
from social_core.exceptions import SocialAuthBaseException
from social_django.utils import Storage

from ..backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from ..integration import configured_backend
from ..login import LoginBackend, Purpose, Trial, revoke_at_logout
from ..organizations import EventCode, Limited, OAuth
from ..problems import BitbucketServerError, Code
from . import checks, events, integrations, limits, login_ways, people, upgrade
from .configuration import backend_of
from .models import integration_model
from .strategy import DjangoStrategy, hide_query

INTEGRATION_SESSION_KEY = "bitbucket_server_integration"
"""Session key for the id of the integration that the person logged in through."""
_REVISION_SESSION_KEY = "bitbucket_server_integration_revision"
_ENDED_SESSION_KEY = "bitbucket_server_sessions_ended"
_MOVE_SESSION_KEY = "bitbucket_server_trial_at_new_address"
_SESSION_IS_OVER = "bitbucket_server_session_is_over"


def is_session_over(session: SessionBase) -> bool:
    """Return whether *session* came through an integration that was disabled, deleted or given another server since,
    also where it was enabled again; or whether its person was disabled or logged out since."""
    integration_id = session.get(INTEGRATION_SESSION_KEY)
    if not integration_id:
        return False
    record = integrations.find_enabled(id=integration_id)
    if record is None or session.get(_REVISION_SESSION_KEY) != record.session_revision:
        return True
    times_ended: int = session.get(_ENDED_SESSION_KEY, 0)
    return times_ended != people.times_ended(str(session.get(auth.SESSION_KEY, "")))


def end_session(request: HttpRequest) -> None:
    """End the session of *request*. Its person did not ask for that, so their access tokens stay: another session of
    theirs may have brought a newer one."""
    setattr(request, _SESSION_IS_OVER, True)
    auth.logout(request)


def revoke_access_tokens(user: AbstractBaseUser | None, request: HttpRequest | None = None, **_signal: Any) -> None:
    """Erase and revoke the access tokens of *user*, who logs out, if ``…_REVOKE_AT_LOGOUT`` is ``True``. It receives
    Django's signal ``user_logged_out``, whose user is ``None`` if nobody was logged in."""
    if user is not None and not hasattr(request, _SESSION_IS_OVER):
        revoke_at_logout(user, Storage, backend_of)


def begin(request: HttpRequest, integration_id: str, *, oauth: OAuth | None = None) -> HttpResponse:
    """Begin a login and send the browser to the Bitbucket Server. Call it for a POST whose CSRF token was checked.

    The form field ``next`` may name a path of this site to go to afterwards. *oauth* is the version to log in by;
    ``None`` for the one that is known to work. Raises ``SocialAuthBaseException``, also if the login link is closed or
    another integration is the only way in.
    """
    backend = _backend_to_begin(request, integration_id, oauth)
    _refuse_closed(integration_id, backend, needs_link=True)
    return _begin(request, backend, integration_id)


def connect(request: HttpRequest, integration_id: str) -> HttpResponse:
    """Begin a login whose account is connected to the person who is logged in, as another way to log in. Call it for a
    POST whose CSRF token was checked, and only for integrations that this person may connect.

    It comes back to the same address as any login. The account is connected if the same person is still logged in
    then, and if it belongs to no other person. Raises ``SocialAuthBaseException``, also if another integration is the
    only way in.
    """
    backend = _backend_to_begin(request, integration_id)
    _refuse_closed(integration_id, backend, needs_link=False)
    backend.set_purpose(Purpose.CONNECT, person(request))
    return _begin(request, backend, integration_id)


def try_login(
    request: HttpRequest, integration_id: str, *, oauth: OAuth | None = None, at_new_address: bool = False
) -> HttpResponse:
    """Begin a trial by *oauth*, which is as in :func:`begin`. It shows the person who is logged in whether logins work,
    also while the login link is closed, and logs nobody in. Call it for a POST whose CSRF token was checked.

    *at_new_address*: it goes to the base URL that waits for it, to show that the server moved.

    It comes back to the same address as any login, where :func:`is_trial` tells it from others. Raises
    ``SocialAuthBaseException``.
    """
    backend = _backend_to_begin(request, integration_id, oauth, at_new_address=at_new_address)
    backend.set_purpose(Purpose.TRY, person(request))
    response = _begin(request, backend, integration_id)
    if at_new_address:
        (token,) = parse_qs(urlsplit(response["Location"]).query)[backend.LOGIN_PARAMETER]
        request.session[_MOVE_SESSION_KEY] = _digest(token)
    return response


def is_trial_at_new_address(request: HttpRequest, *, oauth: OAuth) -> bool:
    """Return whether the trial that comes back by *oauth* went to the base URL that waits for it."""
    backend_class = BitbucketServerOAuth1 if oauth is OAuth.ONE else BitbucketServerOAuth2
    begun, token = request.session.get(_MOVE_SESSION_KEY), request.GET.get(backend_class.LOGIN_PARAMETER)
    return bool(begun) and token is not None and begun == _digest(token)


def is_trial(request: HttpRequest, integration_id: str, *, oauth: OAuth = OAuth.ONE) -> bool:
    """Return whether the login that comes back by *oauth* began with :func:`try_login`."""
    hide_query(request)
    return _backend(request, integration_id, oauth).returning_purpose is Purpose.TRY


def complete_trial(request: HttpRequest, integration_id: str, *, oauth: OAuth = OAuth.ONE) -> Trial:
    """Finish the login by *oauth* that began with :func:`try_login`, if the same person is still logged in. Returns
    whose account Bitbucket says it is, and which of the conditions on who may log in hold for it. Raises what
    :func:`complete` raises."""
    hide_query(request)
    limits.count(request, Limited.CALLBACKS, integration_id)
    at_new_address = is_trial_at_new_address(request, oauth=oauth)
    backend = _backend(request, integration_id, oauth, at_new_address=at_new_address)
    return backend.complete_trial(person(request))


def complete(request: HttpRequest, integration_id: str, *, oauth: OAuth = OAuth.ONE) -> HttpResponse:
    """Finish the login that came back by *oauth*, and redirect to where it was meant to go.

    The account is not attached to a person who was logged in before, unless :func:`connect` began the login. A known
    person whose account Bitbucket says is disabled is disabled, too. Raises ``SocialAuthBaseException``.
    """
    hide_query(request)
    limits.count(request, Limited.CALLBACKS, integration_id)
    backend = _backend(request, integration_id, oauth)
    is_connecting = backend.returning_purpose is Purpose.CONNECT
    user = person(request) if is_connecting else None
    try:
        response = do_complete(backend, login=_log_in, user=user, redirect_name=REDIRECT_FIELD_NAME)
    except SocialAuthBaseException as error:
        if error.context.get("problem") == Code.ACCOUNT_INACTIVE:
            people.disable_whom_bitbucket_disabled(error.context["facts"]["uid"], integration_id=integration_id)
        raise
    if is_connecting:
        request.session.pop(REDIRECT_FIELD_NAME, None)
        events.record(EventCode.IDENTITY_CONNECTED, integration_id=integration_id, user=user)
    return response


def _refuse_closed(integration_id: str, backend: LoginBackend[HttpResponse, Any], *, needs_link: bool) -> None:
    record = integrations.find_enabled(id=integration_id)
    try:
        if record is not None:
            login_ways.refuse_closed(record, needs_link=needs_link)
    except BitbucketServerError as problem:
        raise problem.as_social_error(backend, "begin") from None


def _begin(request: HttpRequest, backend: LoginBackend[HttpResponse, Any], integration_id: str) -> HttpResponse:
    request.session.pop(REDIRECT_FIELD_NAME, None)
    response = do_auth(backend, redirect_name=REDIRECT_FIELD_NAME, user=getattr(request, "user", None))
    events.record(EventCode.LOGIN_BEGIN, integration_id=integration_id)
    return response


def _log_in(backend: LoginBackend[Any, Any], user: Any, _identity: Any) -> None:
    """Log *user* in, in a new session. A person who was logged in before is logged out."""
    strategy = cast("DjangoStrategy", backend.strategy)
    request, integration_id = cast("HttpRequest", strategy.request), strategy.integration_id
    auth.login(request, user)
    request.session[INTEGRATION_SESSION_KEY] = integration_id
    request.session[_REVISION_SESSION_KEY] = strategy.session_revision
    request.session[_ENDED_SESSION_KEY] = people.times_ended(str(user.pk))
    integration_model()._default_manager.filter(pk=integration_id).update(last_login_at=timezone.now())
    events.record(EventCode.LOGIN_SUCCESS, integration_id=integration_id, user=user)
    if backend.name == OAuth.TWO.backend:
        upgrade.end_oauth1(integration_id)


def person(request: HttpRequest) -> Any:
    """Return the user who is logged in, never the proxy for them."""
    return auth.get_user(request)


def _backend_to_begin(
    request: HttpRequest, integration_id: str, wanted: OAuth | None = None, *, at_new_address: bool = False
) -> LoginBackend[HttpResponse, Any]:
    """Return the backend of the *wanted* version, or of the one that is known to work. Raises ``integration_unknown``
    if people cannot use it, and ``too_often``."""
    limits.count(request, Limited.LOGINS, integration_id)
    record = integrations.find_enabled(id=integration_id)
    oauth = None if record is None else record.oauth_versions.choose(wanted)
    backend = _backend(request, integration_id, oauth or OAuth.ONE, at_new_address=at_new_address)
    if record is not None and oauth is None:
        problem = BitbucketServerError(Code.INTEGRATION_UNKNOWN, parameter="integration")
        raise problem.as_social_error(backend, "begin")
    return backend


def _backend(
    request: HttpRequest, integration_id: str, oauth: OAuth, *, at_new_address: bool = False
) -> LoginBackend[HttpResponse, Any]:
    checks.refuse_unsafe_logins()
    strategy = DjangoStrategy(Storage, request, integration_id, at_new_address=at_new_address)
    backend_class = configured_backend(strategy.get_backends(), oauth.backend)
    path = integrations.callback_path(integration_id, oauth)
    return cast("LoginBackend[HttpResponse, Any]", backend_class(strategy, path))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
