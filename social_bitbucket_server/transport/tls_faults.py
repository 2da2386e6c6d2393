"""The problem of a TLS handshake, by OpenSSL's numbers and words. :mod:`.tls_check` looks at the certificates."""

from __future__ import annotations

import ssl

from ..problems import BitbucketServerError, Code
from .client_certificates import expiry_of

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
_CODES_BY_NUMBER = {number: code for code, numbers in _CODES.items() for number in numbers}


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
    if _is_about_client_certificate(error, server_is_known):
        return _client_certificate_fault(client_certificate, facts)
    code = Code.TLS_WEAK if error.reason in _WEAK else Code.TLS_ERROR
    if isinstance(error, ssl.SSLCertVerificationError):
        code = _CODES_BY_NUMBER.get(error.verify_code, Code.TLS_ERROR)
    reason = f"OpenSSL says: {_words(error)}." if code in _SAID_BY_OPENSSL else ""
    return BitbucketServerError(code, reason, facts=facts)


_SAID_BY_OPENSSL = frozenset({Code.CERTIFICATE_TOO_WEAK, Code.CERTIFICATE_UNSUITABLE, Code.TLS_ERROR, Code.TLS_WEAK})


def _is_about_client_certificate(error: ssl.SSLError, server_is_known: bool) -> bool:
    """Return whether the server ended TLS because it did not get the client certificate that it wants.

    In TLS 1.2 ``handshake_failure`` says so (RFC 5246, section 7.4.6), but only after the server has shown its own
    certificate. Before that, it means that both sides have no cipher in common.
    """
    _, _, alert = (error.reason or "").partition("_ALERT_")
    return alert in _ABOUT_CLIENT_CERTIFICATE or (alert == "HANDSHAKE_FAILURE" and server_is_known)


def _client_certificate_fault(client_certificate: str, facts: dict[str, str]) -> BitbucketServerError:
    if not client_certificate:
        return BitbucketServerError(Code.CLIENT_CERTIFICATE_MISSING, facts=facts)
    return BitbucketServerError(Code.CLIENT_CERTIFICATE_REFUSED, expiry_of(client_certificate), facts=facts)


def _words(error: ssl.SSLError) -> str:
    """Return what OpenSSL calls *error*: constants of its own, and nothing of the server's."""
    message = getattr(error, "verify_message", "") or (error.reason or "unknown error").replace("_", " ").lower()
    return str(message).rstrip(".")
