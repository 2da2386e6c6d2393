"""The rules of OAuth 1: what is checked in calls and in signed requests, in which order, and how it is refused."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import quote, urlencode, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1

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
from .public_keys import UnreadablePublicKeyError, read_public_key

_SIGNED_REQUEST = (
    "oauth_consumer_key",
    "oauth_token",
    "oauth_signature_method",
    "oauth_signature",
    "oauth_timestamp",
    "oauth_nonce",
)
"""A request without one of them is anonymous. With an empty token, a program acts for itself (two-legged)."""

TIMESTAMP_WINDOW = 300
"""Seconds by which a timestamp may differ from the server's clock, either way."""

_ONCE = frozenset(
    {
        "oauth_callback",
        "oauth_consumer_key",
        "oauth_nonce",
        "oauth_signature",
        "oauth_signature_method",
        "oauth_timestamp",
        "oauth_token",
        "oauth_version",
    }
)
"""A request may have each of these only once, says net.oauth, the server's library."""

_MALFORMED = {
    "version_rejected",
    "parameter_absent",
    "parameter_rejected",
    "timestamp_refused",
    "signature_method_rejected",
}

_JAVA_DOUBLE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[dDfF]?", re.ASCII)
_JAVA_LONG = re.compile(r"[+-]?\d{1,18}", re.ASCII)


class OAuthProblemError(Exception):
    """A refusal with an ``oauth_problem``; *companions* are the parameters that go with it.

    Its *status* is 400 if the request is malformed, 401 if it is not admitted.
    """

    def __init__(self, problem: str, **companions: str) -> None:
        super().__init__(problem)
        self.parameters = {"oauth_problem": problem, **companions}
        self.status = 400 if problem in _MALFORMED else 401


class ServerFailedError(Exception):
    """The server fails over something in the request or over the public key, instead of refusing."""


class AccountNotAdmittedError(Exception):
    """The token's user is disabled or gone, or the consumer may not act for itself."""


def _require(message: Message, *names: str) -> None:
    """Raise ``parameter_absent`` for those of *names* that *message* lacks."""
    missing = message.missing(*names)
    if missing:
        raise _absent(*missing)


def _absent(*names: str) -> OAuthProblemError:
    """Return the refusal of a message without the parameters *names*."""
    return OAuthProblemError("parameter_absent", oauth_parameters_absent="&".join(names))


def request_token(message: Message, state: State) -> RequestToken:
    """Make a request token: the first call. Raises :class:`OAuthProblemError` or :class:`ServerFailedError`."""
    _require(message, "oauth_consumer_key")
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
    _verify(message, consumer, state)
    return state.tokens.begin(consumer.key, callback, state.clock.now())


def access_token(message: Message, state: State) -> AccessToken:
    """Exchange an allowed request token, or renew an access token: the third call.

    Raises :class:`OAuthProblemError` or :class:`ServerFailedError`.
    """
    _require(message, "oauth_token")
    value = message.get("oauth_token") or ""
    begun, granted = state.tokens.request_token(value), state.tokens.access_token(value)
    if begun is not None:
        _verify(message, _consumer_to_exchange(message, begun, state), state)
        exchanged = state.tokens.exchange(value, state.clock.now())
    elif granted is not None:
        _verify(message, _consumer_to_renew(message, granted, state), state)
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
    _verify(message, consumer, state)
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
    _verify(message, consumer, state)
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
            raise _absent("oauth_verifier")
        if message.get("oauth_verifier") != token.verifier:
            raise OAuthProblemError("token_rejected")
    return consumer


def _consumer_to_renew(message: Message, token: AccessToken, state: State) -> Consumer:
    consumer = _consumer(message, token.consumer_key, state)
    if message.get("oauth_session_handle") is None:
        raise _absent("oauth_session_handle")
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


def _verify(message: Message, consumer: Consumer, state: State) -> None:
    """Check parameters and signature in the order of net.oauth, the server's library.

    Raises :class:`.OAuthProblemError` or :class:`.ServerFailedError`.
    """
    repeated = message.repeated(_ONCE)
    if repeated:
        raise OAuthProblemError("parameter_rejected", oauth_parameters_rejected="&".join(repeated))
    version = message.get("oauth_version")
    if version is not None:
        if not _JAVA_DOUBLE.fullmatch(version.strip()):
            raise ServerFailedError
        if float(version.strip().rstrip("dDfF")) != 1.0:
            raise OAuthProblemError("version_rejected", oauth_acceptable_versions="1.0-1.0")
    if message.get("oauth_signature_method") not in {None, "RSA-SHA1"}:
        raise OAuthProblemError("signature_method_rejected", oauth_acceptable_signature_methods="RSA-SHA1")
    _require(message, "oauth_timestamp", "oauth_nonce")
    timestamp, nonce = message.get("oauth_timestamp") or "", message.get("oauth_nonce") or ""
    if not _JAVA_LONG.fullmatch(timestamp):
        raise ServerFailedError
    now = int(state.wall_time())
    earliest, latest = now - TIMESTAMP_WINDOW, now + TIMESTAMP_WINDOW
    if not earliest <= int(timestamp) <= latest:
        raise OAuthProblemError("timestamp_refused", oauth_acceptable_timestamps=f"{earliest}-{latest}")
    if not state.tokens.use_nonce(consumer.key, message.get("oauth_token") or "", timestamp, nonce):
        raise OAuthProblemError("nonce_used")
    _require(message, "oauth_consumer_key", "oauth_signature_method", "oauth_signature")
    _check_signature(message, consumer)


def _check_signature(message: Message, consumer: Consumer) -> None:
    base_string = message.base_string
    try:
        key = read_public_key(consumer.public_key)
        signature = base64.b64decode(message.get("oauth_signature") or "")
    except (UnreadablePublicKeyError, binascii.Error, ValueError) as error:
        raise ServerFailedError from error
    if len(signature) * 8 != -(-key.key_size // 8) * 8:
        raise ServerFailedError
    try:
        # RFC 5849 knows no other hash for RSA signatures, and Bitbucket takes no other method.
        key.verify(signature, base_string.encode(), PKCS1v15(), SHA1())  # noqa: S303 - prescribed by the protocol
    except InvalidSignature:
        raise OAuthProblemError(
            "signature_invalid",
            oauth_signature=message.get("oauth_signature") or "",
            oauth_signature_base_string=base_string,
            oauth_signature_method="RSA-SHA1",
        ) from None
