"""Tests that the text of a server's certificate is shown, and never obeyed."""

import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from social_bitbucket_server.transport import diagnose
from social_bitbucket_server.transport.connection_errors import tls_fault

WRONG_NAME = 62


def unverified(code, message):
    error = ssl.SSLCertVerificationError(1, message)
    error.reason, error.verify_code, error.verify_message = "CERTIFICATE_VERIFY_FAILED", code, message
    return error


@pytest.mark.parametrize(
    ("number", "words", "code"),
    [
        (9, "certificate is not yet valid", "certificate_expired"),
        (10, "certificate has expired", "certificate_expired"),
        (62, "hostname mismatch", "certificate_for_another_name"),
        (64, "IP address mismatch", "certificate_for_another_name"),
        (18, "self-signed certificate", "certificate_self_signed"),
        (19, "self-signed certificate in certificate chain", "certificate_authority_unknown"),
        (20, "unable to get local issuer certificate", "certificate_authority_unknown"),
        (66, "EE certificate key too weak", "certificate_too_weak"),
        (67, "CA certificate key too weak", "certificate_too_weak"),
        (68, "CA signature digest algorithm too weak", "certificate_too_weak"),
        (24, "invalid CA certificate", "certificate_unsuitable"),
        (79, "invalid CA certificate", "certificate_unsuitable"),
        (26, "unsuitable certificate purpose", "certificate_unsuitable"),
        (25, "path length constraint exceeded", "certificate_unsuitable"),
        (47, "permitted subtree violation", "certificate_unsuitable"),
        (7, "certificate signature failure", "tls_error"),
        (23, "certificate revoked", "tls_error"),
    ],
)
def test_each_fault_of_a_certificate_has_its_name_in_logins_and_in_check_ups(number, words, code):
    error, shown = unverified(number, words), certificate("bitbucket.example")
    assert tls_fault(error).code == code
    found = diagnose(error, [shown, shown], "bitbucket.example")
    assert found.code == code
    if code in {"certificate_too_weak", "certificate_unsuitable", "tls_error"}:
        assert found.reason == f"OpenSSL says: {words}."
        assert "ca_certificates" not in found.facts


@pytest.mark.parametrize(
    ("reason", "code", "words"),
    [
        ("DH_KEY_TOO_SMALL", "tls_weak", "OpenSSL says: dh key too small."),
        (
            "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
            "tls_weak",
            "OpenSSL says: unsafe legacy renegotiation disabled.",
        ),
        ("UNSUPPORTED_PROTOCOL", "tls_too_old", ""),
        ("WRONG_VERSION_NUMBER", "tls_missing", ""),
        ("TLSV1_ALERT_INTERNAL_ERROR", "tls_error", "OpenSSL says: tlsv1 alert internal error."),
        (None, "tls_error", "OpenSSL says: unknown error."),
    ],
)
def test_a_handshake_that_fails_without_a_certificate_is_told_in_openssls_words(reason, code, words):
    error = ssl.SSLError(1, "x")
    error.reason = reason
    for found in (tls_fault(error), diagnose(error, [], "bitbucket.example")):
        assert (found.code, found.reason) == (code, words)


def certificate(name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bitbucket")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + dt.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    return builder.add_extension(names, critical=False).sign(key, hashes.SHA256())


def test_a_name_in_a_certificate_does_not_command_the_terminal():
    error = ssl.SSLCertVerificationError(1, "wrong name")
    error.reason, error.verify_code = "CERTIFICATE_VERIFY_FAILED", WRONG_NAME
    found = diagnose(error, [certificate("other\x1b[2J.example")], "bitbucket.example")
    assert found.reason == "It is for other[2J.example, not for bitbucket.example."
