"""CA certificates as people paste them, checked before they are trusted."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from ..problems import BitbucketServerError, Code
from .certificates import UNREADABLE, pem_of, read_certificates
from .trust import ssl_context


def read_ca_certificates(given: str | bytes) -> str:
    """Return CA certificates that a person pasted, or that a file holds, as clean PEM.

    They may be PEM, DER or PKCS#7, and wrapped as keys may be. A certificate that a server signed itself is its own CA.
    A server's own certificate in front of its CAs is left out. Raises ``ca_certificate_invalid`` for what is no
    certificate, for a server's own that a CA issued, for a private key, and for too much text.
    """
    certificates = read_certificates(given)
    trusted = [certificate for certificate in certificates if is_ca(certificate) or _is_self_signed(certificate)]
    if not trusted:
        raise _invalid("It is a server's own certificate, not that of the CA that issued it.")
    pem = pem_of(trusted)
    ssl_context(verify=True, ca_certificates=pem)
    return pem


def is_ca(certificate: x509.Certificate) -> bool:
    """Return whether *certificate* may issue others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def _is_self_signed(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, TypeError, UnsupportedAlgorithm, *UNREADABLE):
        return False
    return True


def _invalid(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.CA_CERTIFICATE_INVALID, reason, parameter="ca_certificates")
