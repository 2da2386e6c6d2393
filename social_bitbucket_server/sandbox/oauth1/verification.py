"""The checks of a message's parameters and of its signature."""

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
from .refusals import OAuthProblemError, ServerFailedError, require

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

_JAVA_DOUBLE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[dDfF]?", re.ASCII)
_JAVA_LONG = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def verify(message: Message, consumer: Consumer, state: State) -> None:
    """Check parameters and signature in the order of net.oauth, the server's library.

    Raises :class:`.OAuthProblemError` or :class:`.ServerFailedError`.
    """
    repeated = message.repeated(_ONCE)
    if repeated:
        raise OAuthProblemError("parameter_rejected", oauth_parameters_rejected="&".join(repeated))
    _check_version(message.get("oauth_version"))
    if message.get("oauth_signature_method") not in {None, "RSA-SHA1"}:
        raise OAuthProblemError("signature_method_rejected", oauth_acceptable_signature_methods="RSA-SHA1")
    require(message, "oauth_timestamp", "oauth_nonce")
    _check_timestamp(message.get("oauth_timestamp") or "", int(state.wall_time()))
    if not state.tokens.use_nonce(
        consumer.key,
        message.get("oauth_token") or "",
        message.get("oauth_timestamp") or "",
        message.get("oauth_nonce") or "",
    ):
        raise OAuthProblemError("nonce_used")
    require(message, "oauth_consumer_key", "oauth_signature_method", "oauth_signature")
    _check_signature(message, consumer)


def _check_version(version: str | None) -> None:
    if version is None:
        return
    if not _JAVA_DOUBLE.fullmatch(version.strip()):
        raise ServerFailedError
    if float(version.strip().rstrip("dDfF")) != 1.0:
        raise OAuthProblemError("version_rejected", oauth_acceptable_versions="1.0-1.0")


def _check_timestamp(timestamp: str, now: int) -> None:
    if not _JAVA_LONG.fullmatch(timestamp):
        raise ServerFailedError
    earliest, latest = now - TIMESTAMP_WINDOW, now + TIMESTAMP_WINDOW
    if not earliest <= int(timestamp) <= latest:
        raise OAuthProblemError("timestamp_refused", oauth_acceptable_timestamps=f"{earliest}-{latest}")


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
