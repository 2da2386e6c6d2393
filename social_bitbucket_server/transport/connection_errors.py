"""The problem behind an error of a connection: of the network, of TLS, or of a proxy on the way.

:mod:`.tls_check` looks at the certificates.
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from email.message import Message

import urllib3

from ..problems import BitbucketServerError, Code, ServerError
from .certificates import ends_of
from .exchange import Exchange

_SCHEMES = {"basic": "Basic", "digest": "Digest", "negotiate": "Negotiate", "ntlm": "NTLM"}
_REFUSED = frozenset({403, 502, 503, 504})
_NO_TLS = frozenset({"HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "WRONG_VERSION_NUMBER"})
"""OpenSSL's names for an answer to the handshake that is not TLS."""

_TOO_OLD = frozenset({"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"})

_WEAK = frozenset(
    {
        "DH_KEY_TOO_SMALL",
        "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED",
        "NO_SHARED_CIPHER",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
        "WRONG_CIPHER_RETURNED",
        "WRONG_SIGNATURE_TYPE",
    }
)

_ABOUT_CLIENT_CERTIFICATE = frozenset(
    {
        "ACCESS_DENIED",
        "BAD_CERTIFICATE",
        "CERTIFICATE_EXPIRED",
        "CERTIFICATE_REQUIRED",
        "CERTIFICATE_REVOKED",
        "CERTIFICATE_UNKNOWN",
        "UNKNOWN_CA",
        "UNSUPPORTED_CERTIFICATE",
    }
)
"""Alerts (RFC 8446, section 6.2) with which a server speaks of the client's certificate."""

# OpenSSL's numbers of what can be wrong with a certificate (x509_vfy.h).
_CODES = {
    Code.CERTIFICATE_EXPIRED: (9, 10),
    Code.CERTIFICATE_SELF_SIGNED: (18,),
    Code.CERTIFICATE_FOR_ANOTHER_NAME: (62, 64),
    Code.CERTIFICATE_TOO_WEAK: (66, 67, 68),
    # No CA (24 before OpenSSL 3), path length, purpose, key usage, critical extensions, names that the CA may not have.
    Code.CERTIFICATE_UNSUITABLE: (24, 25, 26, 32, 34, 37, 39, 47, 48, 79),
    Code.CERTIFICATE_AUTHORITY_UNKNOWN: (2, 19, 20, 21),
}
_SAID_BY_OPENSSL = frozenset({Code.CERTIFICATE_TOO_WEAK, Code.CERTIFICATE_UNSUITABLE, Code.TLS_ERROR, Code.TLS_WEAK})
_CODES_BY_NUMBER = {number: code for code, numbers in _CODES.items() for number in numbers}


class ConnectionWentStale(ServerError):
    """A kept connection turned out to be closed by the server; nothing was answered. Sign again, and send again."""


def fault(error: Exception, exchange: Exchange) -> BitbucketServerError:
    """Return the problem that *error* is, which ended *exchange*."""
    facts = {"cause": _cause(error)}
    if exchange.is_over or isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError)):
        return BitbucketServerError(Code.TIMEOUT, facts=facts)
    if isinstance(error, (urllib3.exceptions.SSLError, ssl.SSLError)):
        bottom = _bottom(error)
        if not isinstance(bottom, ssl.SSLError):
            return BitbucketServerError(Code.TLS_ERROR, facts=facts)
        return tls_fault(bottom, exchange.route.client_certificate, server_is_known=exchange.server_is_known)
    if isinstance(error, urllib3.exceptions.ProxyError):
        return proxy_unreachable(error)
    if exchange.on_kept_connection and not exchange.answered:
        return ConnectionWentStale(Code.CONNECTION_FAILED)
    return BitbucketServerError(Code.CONNECTION_FAILED, facts=facts)


def proxy_unreachable(error: Exception) -> BitbucketServerError:
    """Return the problem of a proxy to which a connection ended with *error*."""
    return BitbucketServerError(Code.PROXY_UNREACHABLE, parameter="proxies", facts={"cause": _cause(error)})


def _bottom(error: BaseException) -> BaseException:
    for inner in (*reversed(error.args), error.__cause__, error.__context__):
        if isinstance(inner, BaseException):
            return _bottom(inner)
    return error


def _cause(error: BaseException) -> str:
    """Return the error at the bottom of *error*, in words of Python or OpenSSL, never of the server."""
    error = _bottom(error)
    detail = getattr(error, "verify_message", "") or getattr(error, "strerror", "")
    return f"{type(error).__name__}: {detail}" if isinstance(detail, str) and detail else type(error).__name__


def is_by_proxy(status: int, headers: urllib3.HTTPHeaderDict) -> bool:
    """Return whether a proxy gave an answer to a request for an ``http://`` address, and not Bitbucket behind it:
    Bitbucket marks its answers, and refuses in JSON."""
    is_bitbuckets = "X-AREQUESTID" in headers or "json" in headers.get("Content-Type", "").lower()
    return status == 407 or (status in _REFUSED and not is_bitbuckets)


def proxy_refusal(status: int, headers: Message | urllib3.HTTPHeaderDict) -> BitbucketServerError:
    """Return the problem of a proxy that answers with *status*, which is no success."""
    if status != 407:
        return BitbucketServerError(
            Code.PROXY_DESTINATION_REFUSED,
            f"It answered with status {status}.",
            parameter="proxies",
            status_code=status,
        )
    # Without what stands in quotes.
    challenges = ", ".join(value for name, value in headers.items() if name.lower() == "proxy-authenticate")
    words = re.findall(r"[a-z]+", re.sub(r'"[^"]*"', "", challenges.lower()))
    offered = [_SCHEMES[word] for word in dict.fromkeys(words) if word in _SCHEMES]
    reason = f"It offers {', '.join(offered)}." if offered else ""
    if offered and "Basic" not in offered:
        reason += " This application logs in to proxies with Basic alone."
    return BitbucketServerError(Code.PROXY_CREDENTIALS_REFUSED, reason, parameter="proxies", status_code=status)


def tls_fault(
    error: ssl.SSLError, client_certificate: str = "", *, server_is_known: bool = False
) -> BitbucketServerError:
    """Return the problem behind a handshake that failed with *error*.

    *client_certificate* is what the server was shown, or empty. *server_is_known* says whether the server had shown its
    own certificate by then.
    """
    facts = {"cause": f"{type(error).__name__}: {_words(error)}"}
    if error.reason in _NO_TLS:
        return BitbucketServerError(Code.TLS_MISSING, facts=facts)
    if error.reason in _TOO_OLD:
        return BitbucketServerError(Code.TLS_TOO_OLD, facts=facts)
    # In TLS 1.2 a server that misses the client certificate says handshake_failure (RFC 5246, section 7.4.6), but only
    # after it has shown its own certificate. Before that, it means that both sides have no cipher in common.
    _, _, alert = (error.reason or "").partition("_ALERT_")
    if alert in _ABOUT_CLIENT_CERTIFICATE or (alert == "HANDSHAKE_FAILURE" and server_is_known):
        if not client_certificate:
            return BitbucketServerError(Code.CLIENT_CERTIFICATE_MISSING, facts=facts)
        ends = ends_of(client_certificate)[0]
        expiry = f"It was valid until {ends:%Y-%m-%d}." if ends < datetime.now(UTC) else ""
        return BitbucketServerError(Code.CLIENT_CERTIFICATE_REFUSED, expiry, facts=facts)
    code = Code.TLS_WEAK if error.reason in _WEAK else Code.TLS_ERROR
    if isinstance(error, ssl.SSLCertVerificationError):
        code = _CODES_BY_NUMBER.get(error.verify_code, Code.TLS_ERROR)
    reason = f"OpenSSL says: {_words(error)}." if code in _SAID_BY_OPENSSL else ""
    return BitbucketServerError(code, reason, facts=facts)


def _words(error: ssl.SSLError) -> str:
    """Return what OpenSSL calls *error*: constants of its own, and nothing of the server's."""
    message = getattr(error, "verify_message", "") or (error.reason or "unknown error").replace("_", " ").lower()
    return str(message).rstrip(".")
