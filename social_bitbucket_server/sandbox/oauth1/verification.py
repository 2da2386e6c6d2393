"""The checks of a message's parameters and of its signature, and the ways in which the server refuses a call."""

from __future__ import annotations

import base64
import binascii
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1

from ..state.links import Consumer
from ..state.state import State
from .messages import Message
from .public_keys import UnreadablePublicKeyError, read_public_key

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


def require(message: Message, *names: str) -> None:
    """Raise ``parameter_absent`` for those of *names* that *message* lacks."""
    missing = message.missing(*names)
    if missing:
        raise absent(*missing)


def absent(*names: str) -> OAuthProblemError:
    """Return the refusal of a message without the parameters *names*."""
    return OAuthProblemError("parameter_absent", oauth_parameters_absent="&".join(names))


def verify(message: Message, consumer: Consumer, state: State) -> None:
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
    require(message, "oauth_timestamp", "oauth_nonce")
    timestamp, nonce = message.get("oauth_timestamp") or "", message.get("oauth_nonce") or ""
    if not _JAVA_LONG.fullmatch(timestamp):
        raise ServerFailedError
    now = int(state.wall_time())
    earliest, latest = now - TIMESTAMP_WINDOW, now + TIMESTAMP_WINDOW
    if not earliest <= int(timestamp) <= latest:
        raise OAuthProblemError("timestamp_refused", oauth_acceptable_timestamps=f"{earliest}-{latest}")
    if not state.tokens.use_nonce(consumer.key, message.get("oauth_token") or "", timestamp, nonce):
        raise OAuthProblemError("nonce_used")
    require(message, "oauth_consumer_key", "oauth_signature_method", "oauth_signature")
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
