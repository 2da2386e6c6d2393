"""The rules of the three calls and of signed requests: what is checked, and in which order."""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

from ..state.links import Consumer
from ..state.oauth1_tokens import (
    ACCESS_TOKEN_LIFETIME,
    REQUEST_TOKEN_LIFETIME,
    SESSION_LIFETIME,
    AccessToken,
    Decision,
    RequestToken,
)
from ..state.state import State
from ..state.users import User
from .messages import Message
from .verification import AccountNotAdmittedError, OAuthProblemError, absent, require, verify

_SIGNED_REQUEST = (
    "oauth_consumer_key",
    "oauth_token",
    "oauth_signature_method",
    "oauth_signature",
    "oauth_timestamp",
    "oauth_nonce",
)
"""A request without one of them is anonymous. With an empty token, a program acts for itself (two-legged)."""


def request_token(message: Message, state: State) -> RequestToken:
    """Make a request token: the first call. Raises :class:`OAuthProblemError` or :class:`ServerFailedError`."""
    require(message, "oauth_consumer_key")
    consumer = state.links.consumer(message.get("oauth_consumer_key") or "")
    if consumer is None:
        raise OAuthProblemError("consumer_key_unknown")
    if not consumer.three_legged_allowed:
        raise OAuthProblemError("permission_denied")
    callback = message.get("oauth_callback")
    if callback is not None and not _is_callback(callback):
        raise OAuthProblemError(
            "parameter_rejected",
            oauth_parameters_rejected="oauth_callback",
            oauth_problem_advice="oauth_callback must be oob or an absolute http or https URL.",
        )
    verify(message, consumer, state)
    return state.tokens.begin(consumer.key, callback, state.clock.now())


def access_token(message: Message, state: State) -> AccessToken:
    """Exchange an allowed request token, or renew an access token: the third call.

    Raises :class:`OAuthProblemError` or :class:`ServerFailedError`.
    """
    require(message, "oauth_token")
    value = message.get("oauth_token") or ""
    begun, granted = state.tokens.request_token(value), state.tokens.access_token(value)
    if begun is not None:
        verify(message, _consumer_to_exchange(message, begun, state), state)
        exchanged = state.tokens.exchange(value, state.clock.now())
    elif granted is not None:
        verify(message, _consumer_to_renew(message, granted, state), state)
        exchanged = state.tokens.renew(value, state.clock.now())
    else:
        exchanged = None
    if exchanged is None:
        raise OAuthProblemError("token_rejected")
    return exchanged


def signed_user(message: Message, state: State) -> User | None:
    """Return the user who signed the request. ``None`` if it is not an OAuth request at all.

    Raises :class:`OAuthProblemError`, :class:`ServerFailedError` or :class:`AccountNotAdmittedError`.
    """
    if any(message.get(name) is None for name in _SIGNED_REQUEST):
        return None
    if not message.get("oauth_token"):
        return _two_legged_user(message, state)
    token = state.tokens.access_token(message.get("oauth_token") or "")
    if token is None:
        raise OAuthProblemError("token_rejected")
    consumer = _consumer(message, token.consumer_key, state)
    if state.clock.now() > token.created + ACCESS_TOKEN_LIFETIME:
        raise OAuthProblemError("token_expired")
    verify(message, consumer, state)
    user = state.users.by_id(token.user_id)
    if user is None or not user.active:
        raise AccountNotAdmittedError
    return user


def _two_legged_user(message: Message, state: State) -> User | None:
    """Return the user of *Execute as*, for whom the consumer acts. ``None`` if the link names no user."""
    consumer = state.links.consumer(message.get("oauth_consumer_key") or "")
    if consumer is None:
        raise OAuthProblemError("consumer_key_unknown")
    if not consumer.two_legged_allowed:
        raise AccountNotAdmittedError
    verify(message, consumer, state)
    user = state.users.by_name(consumer.execute_as)
    if consumer.execute_as and (user is None or not user.active):
        raise AccountNotAdmittedError
    return user


def callback_address(token: RequestToken, consumer: Consumer, requested: str) -> str | None:
    """Return the address for the browser after Allow or Deny; ``None`` if the verifier is to be shown instead.

    *requested* is the ``oauth_callback`` of the authorize address, which counts for OAuth 1.0 tokens alone.
    """
    answer = {"oauth_token": token.value}
    if token.callback is None:
        target = requested if _is_callback(requested) else consumer.callback_url
    else:
        target = token.callback
        answer["oauth_verifier"] = token.verifier if token.decision is Decision.ALLOWED else "denied"
    if target in {"", "oob"}:
        return None
    parts = urlsplit(target)
    return parts._replace(query="&".join(filter(None, (parts.query, urlencode(answer))))).geturl()


def undecided(value: str, state: State) -> RequestToken | None:
    """Return the request token with this value. ``None`` if a person can no longer decide about it."""
    token = state.tokens.request_token(value)
    if token is None or token.decision is not Decision.NONE or _is_expired(token, state):
        return None
    return token


def token_problem(value: str, state: State) -> str:
    """Return the problem of a request token about which people can no longer decide."""
    token = state.tokens.request_token(value)
    if token is None:
        return "token_rejected"
    return "token_expired" if _is_expired(token, state) else "token_used"


def realm(state: State) -> str:
    """Return the challenge of every 401: ``OAuth realm="…"``."""
    return f'OAuth realm="{quote(state.base_url, safe="")}"'


def _consumer_to_exchange(message: Message, token: RequestToken, state: State) -> Consumer:
    if _is_expired(token, state):
        raise OAuthProblemError("token_expired")
    if token.decision is Decision.NONE:
        raise OAuthProblemError("permission_unknown")
    if token.decision is Decision.DENIED:
        raise OAuthProblemError("permission_denied")
    consumer = _consumer(message, token.consumer_key, state)
    if token.callback is not None:
        if message.get("oauth_verifier") is None:
            raise absent("oauth_verifier")
        if message.get("oauth_verifier") != token.verifier:
            raise OAuthProblemError("token_rejected")
    return consumer


def _consumer_to_renew(message: Message, token: AccessToken, state: State) -> Consumer:
    consumer = _consumer(message, token.consumer_key, state)
    if message.get("oauth_session_handle") is None:
        raise absent("oauth_session_handle")
    if message.get("oauth_session_handle") != token.session_handle:
        raise OAuthProblemError("token_rejected")
    if state.clock.now() > token.created + SESSION_LIFETIME:
        raise OAuthProblemError("permission_denied")
    return consumer


def _is_expired(token: RequestToken, state: State) -> bool:
    return state.clock.now() > token.created + REQUEST_TOKEN_LIFETIME


def _consumer(message: Message, key: str, state: State) -> Consumer:
    consumer = state.links.consumer(key)
    if consumer is None or message.get("oauth_consumer_key") != key:
        raise OAuthProblemError("token_rejected")
    return consumer


def _is_callback(text: str) -> bool:
    """Return whether Bitbucket accepts this callback. It knows the scheme in lower case only."""
    try:
        authority = urlsplit(text).netloc
    except ValueError:
        return False
    return text == "oob" or (text.startswith(("http://", "https://")) and bool(authority))
