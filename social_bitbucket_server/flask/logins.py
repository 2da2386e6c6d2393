"""Logins in Flask: begin one, complete it, and call Bitbucket with the token that it left. Routes call these."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import flask_login
from flask import current_app, request, session
from flask_wtf.csrf import validate_csrf
from social_core.actions import do_auth, do_complete
from social_core.storage import UserMixin
from social_core.utils import module_member, setting_name
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.wrappers import Response
from wtforms.validators import ValidationError

from ..account import Recheck, RestClient
from ..backends import BitbucketServerOAuth1
from ..integration import BACKENDS, configured_backend
from ..login import LoginBackend, Purpose, Trial, under_way
from ..problems import BitbucketServerError, Code


def begin(callback_path: str, backend: str = BitbucketServerOAuth1.name) -> Response:
    """Begin a login and send the browser to the Bitbucket Server. Call it for a POST whose CSRF token was checked.

    *callback_path* is where this application calls :func:`complete` with the same *backend*. Which integration is read
    from the route variable, form field or query field ``integration``. Raises ``SocialAuthBaseException``.
    """
    return _begun(callback_path, backend)


def connect(callback_path: str, backend: str = BitbucketServerOAuth1.name) -> Response:
    """Begin a login whose account is connected to the person who is logged in by Flask-Login, as another way to log in.
    Call it for a POST whose CSRF token was checked.

    It comes back to *callback_path* like any login. The account is connected if the same person is still logged in
    then, and if it belongs to no other person. Raises ``SocialAuthBaseException``.
    """
    return _begun(callback_path, backend, Purpose.CONNECT)


def log_in(backend: LoginBackend[Response, Any], user: Any, identity: Any) -> None:  # noqa: ARG001  # core's call
    """Log *user* in by Flask-Login, in a new session."""
    regenerate = getattr(current_app.session_interface, "regenerate", None)
    if regenerate is not None:
        regenerate(session)
    else:
        kept = under_way(session, BACKENDS)
        session.clear()
        session.update(kept)  # logins that are under way in other tabs
    flask_login.login_user(user)


def complete(
    callback_path: str,
    login: Callable[[Any, Any, Any], None] = log_in,
    connected: Callable[[Any, Any, Any], None] | None = None,
    backend: str = BitbucketServerOAuth1.name,
) -> Response:
    """Finish the login that came back to *callback_path*, and redirect to where it was meant to go.

    *login* is called with the backend, the user and their identity. The identity is not attached to a person who was
    logged in before. If :func:`connect` began the login, the identity is attached to the person who began it, and
    *connected* is called instead of *login*. Raises ``SocialAuthBaseException``, and ``MethodNotAllowed`` for a HEAD,
    which would use the login up.
    """
    _refuse_head()
    completing = _backend(callback_path, backend)
    if completing.returning_purpose is not Purpose.CONNECT:
        return do_complete(completing, login=login, user=None)
    person = _person()
    response = do_complete(completing, login=login, user=person)
    if connected is not None:
        connected(completing, person, person.social_user)
    return response


def try_login(callback_path: str, backend: str = BitbucketServerOAuth1.name) -> Response:
    """Begin a trial. It shows the person who is logged in by Flask-Login whether logins work, and logs nobody in.

    Call it for a POST whose CSRF token was checked. The trial comes back to *callback_path* like any login, where
    :func:`is_trial` tells it from others. Raises ``SocialAuthBaseException``.
    """
    return _begun(callback_path, backend, Purpose.TRY)


def is_trial(callback_path: str, backend: str = BitbucketServerOAuth1.name) -> bool:
    """Return whether the login that comes back to *callback_path* began with :func:`try_login`."""
    return _backend(callback_path, backend).returning_purpose is Purpose.TRY


def complete_trial(callback_path: str, backend: str = BitbucketServerOAuth1.name) -> Trial:
    """Finish the login that began with :func:`try_login`, if the same person is still logged in. Returns whose account
    Bitbucket says it is, and which of the conditions on who may log in hold for it. Raises what :func:`complete`
    raises."""
    _refuse_head()
    return _backend(callback_path, backend).complete_trial(_person())


def rest_client(identity: UserMixin, *, sleep: Callable[[float], None] = time.sleep) -> RestClient:
    """Return a client that calls Bitbucket as the person with this *identity*. A background job needs an application
    context for it.

    Needs ``…_STORE_ACCESS_TOKEN`` of the backend that the identity is from. Waits with *sleep* where the server limits
    requests. Raises what :meth:`~social_bitbucket_server.login.LoginBackend.rest_client` raises.
    """
    return backend_of(identity.provider).rest_client(identity, sleep=sleep)


def reseal_access_token(identity: UserMixin) -> bool:
    """Seal the access token of *identity* with the ring's newest key; returns whether anything was to do."""
    return backend_of(identity.provider).reseal_access_token(identity)


def revoke_access_token(identity: UserMixin) -> bool:
    """Erase the access token of *identity*, and let an OAuth 2 server revoke it; see
    :meth:`~social_bitbucket_server.login.LoginBackend.revoke_access_token`."""
    return backend_of(identity.provider).revoke_access_token(identity)


def recheck(identity: UserMixin, *, sleep: Callable[[float], None] = time.sleep) -> Recheck:
    """Ask, with their own access token, whether the person with this *identity* could log in now; see
    :meth:`~social_bitbucket_server.login.LoginBackend.recheck`."""
    return backend_of(identity.provider).recheck(identity, sleep=sleep)


def _begun(callback_path: str, name: str, purpose: Purpose | None = None) -> Response:
    """Begin a login. Forget the ``next`` page of an earlier, unfinished one."""
    backend = _backend(callback_path, name)
    if purpose is not None:
        backend.set_purpose(purpose, _person())
    session.pop("next", None)
    return do_auth(backend, user=_person() if backend.setting("CONNECT_LOGGED_IN", False) else None)


def _refuse_head() -> None:
    """Reject HEAD: Flask routes it to GET views, and it would use up the login."""
    if request.method == "HEAD":
        raise MethodNotAllowed(["GET"])


def _person() -> Any:
    """Return the user whom Flask-Login has logged in, or its anonymous user; never the proxy for them."""
    return flask_login.current_user._get_current_object()


def check_csrf() -> None:
    """Refuse a request whose form field ``csrf_token`` is not this session's, or that another site sent, as its browser
    says. Raises ``SocialAuthBaseException``."""
    refusal = BitbucketServerError(Code.FORM_EXPIRED, parameter="csrf_token")
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise refusal.as_social_error(None, "begin")
    try:
        validate_csrf(request.form.get("csrf_token"))
    except ValidationError as error:
        raise refusal.as_social_error(None, "begin") from error


def backend_of(provider: str) -> LoginBackend[Response, Any]:
    """Return the backend called *provider*, for calls outside a login. Raises core's error if it is not configured."""
    return _backend("", provider)


def _backend(callback_path: str, name: str) -> LoginBackend[Response, Any]:
    config = current_app.config
    strategy = _member(config[setting_name("STRATEGY")])(_member(config[setting_name("STORAGE")]))
    backend_class = configured_backend(config[setting_name("AUTHENTICATION_BACKENDS")], name)
    return cast("LoginBackend[Response, Any]", backend_class(strategy, callback_path))


def _member(configured: Any) -> Any:
    return module_member(configured) if isinstance(configured, str) else configured
