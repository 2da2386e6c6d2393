"""CA certificates as people paste them, checked before they are trusted."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from .problems import BitbucketServerError
from .trust import ssl_context

UNREADABLE = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What cryptography raises for certificates that no CA would issue."""

LARGEST_PASTE = 64 * 1024
"""Characters of pasted CA certificates that are read."""


def read_ca_certificates(text: str) -> str:
    """CA certificates as somebody pasted them, as clean PEM.

    A certificate that a server signed itself is its own CA. Raises ``ca_certificate_invalid`` for what is no PEM
    certificate, for a server's own certificate that a CA issued, for a private key, and for too much text.
    """
    if len(text) > LARGEST_PASTE:
        raise _invalid(f"It is longer than {LARGEST_PASTE} characters.")
    if "PRIVATE KEY" in text:
        raise _invalid("It contains a private key, which belongs on the server alone. Treat that key as disclosed.")
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
    except (ValueError, x509.InvalidVersion):
        raise _invalid("It is not a certificate in PEM, from BEGIN CERTIFICATE to END CERTIFICATE.") from None
    for certificate in certificates:
        if not (is_ca(certificate) or _is_self_signed(certificate)):
            raise _invalid("It is a server's own certificate, not that of the CA that issued it.")
    pem = "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)
    ssl_context(verify=True, ca_certificates=pem)
    return pem


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether *certificate* may issue others."""
    try:
        constraints = certificate.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
    return isinstance(constraints.value, x509.BasicConstraints) and constraints.value.ca


def _is_self_signed(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, TypeError, UnsupportedAlgorithm, *UNREADABLE):
        return False
    return True


def _invalid(reason: str) -> BitbucketServerError:
    return BitbucketServerError("ca_certificate_invalid", reason, parameter="ca_certificates")
