"""Why a TLS handshake failed, in OpenSSL's numbers and words. What the server showed is left to :mod:`.tls_check`."""

from __future__ import annotations

import ssl

from ..problems import BitbucketServerError
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
    "certificate_expired": (9, 10),
    "certificate_self_signed": (18,),
    "certificate_for_another_name": (62, 64),
    "certificate_too_weak": (66, 67, 68),
    # No CA (24 before OpenSSL 3), path length, purpose, key usage, critical extensions, names that the CA may not have.
    "certificate_unsuitable": (24, 25, 26, 32, 34, 37, 39, 47, 48, 79),
    "certificate_authority_unknown": (2, 19, 20, 21),
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
        return BitbucketServerError("tls_missing", facts=facts)
    if error.reason in _TOO_OLD:
        return BitbucketServerError("tls_too_old", facts=facts)
    if _is_about_client_certificate(error, server_is_known):
        return _client_certificate_fault(client_certificate, facts)
    code = "tls_weak" if error.reason in _WEAK else "tls_error"
    if isinstance(error, ssl.SSLCertVerificationError):
        code = _CODES_BY_NUMBER.get(error.verify_code, "tls_error")
    reason = f"OpenSSL says: {_words(error)}." if code in _SAID_BY_OPENSSL else ""
    return BitbucketServerError(code, reason, facts=facts)


_SAID_BY_OPENSSL = frozenset({"certificate_too_weak", "certificate_unsuitable", "tls_error", "tls_weak"})


def _is_about_client_certificate(error: ssl.SSLError, server_is_known: bool) -> bool:
    """Return whether the server ended TLS because it did not get the client certificate that it wants.

    In TLS 1.2 ``handshake_failure`` says so (RFC 5246, section 7.4.6), but only after the server has shown its own
    certificate. Before that, it means that both sides have no cipher in common.
    """
    _, _, alert = (error.reason or "").partition("_ALERT_")
    return alert in _ABOUT_CLIENT_CERTIFICATE or (alert == "HANDSHAKE_FAILURE" and server_is_known)


def _client_certificate_fault(client_certificate: str, facts: dict[str, str]) -> BitbucketServerError:
    if not client_certificate:
        return BitbucketServerError("client_certificate_missing", facts=facts)
    return BitbucketServerError("client_certificate_refused", expiry_of(client_certificate), facts=facts)


def _words(error: ssl.SSLError) -> str:
    """Return what OpenSSL calls *error*: constants of its own, and nothing of the server's."""
    message = getattr(error, "verify_message", "") or (error.reason or "unknown error").replace("_", " ").lower()
    return str(message).rstrip(".")
