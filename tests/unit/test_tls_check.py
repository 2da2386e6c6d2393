"""What a server's certificate says is shown, and never obeyed."""

import datetime as dt
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from social_bitbucket_server.tls_check import diagnose

WRONG_NAME = 62


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
