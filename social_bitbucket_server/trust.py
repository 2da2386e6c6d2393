"""Which certificates a server is trusted by: the machine's, a bundle of CA certificates, or pasted ones."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from .problems import BitbucketServerError

UNREADABLE = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What cryptography raises for certificates that no CA would issue."""

LARGEST_PASTE = 64 * 1024
"""Characters of pasted CA certificates that are read."""


def read_ca_certificates(text: str) -> str:
    """CA certificates as somebody pasted them, as clean PEM.

    Raises ``ca_certificate_invalid`` for what is no PEM certificate, for a server's own certificate, for a private
    key, and for too much text.
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
        if not is_ca(certificate):
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


def ssl_context(verify: bool | str, ca_certificates: str = "") -> ssl.SSLContext:
    """TLS with verification: by the bundle at the path *verify*, by the pasted *ca_certificates*, or by the machine's.

    Nothing comes from the environment. Raises ``setting_invalid`` for a bundle that cannot be read, and
    ``ca_certificate_invalid`` for pasted certificates that OpenSSL does not read.
    """
    changed = os.stat(verify).st_mtime_ns if isinstance(verify, str) and os.path.exists(verify) else 0
    return _ssl_context(verify, ca_certificates, changed)


@lru_cache(maxsize=128)
def _ssl_context(verify: bool | str, ca_certificates: str, changed: int) -> ssl.SSLContext:  # noqa: ARG001  # a changed bundle is read again
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_certificates:
        try:
            context.load_verify_locations(cadata=ca_certificates)
        except (OSError, ValueError) as error:  # ssl.SSLError among them
            raise _invalid("OpenSSL cannot read it.") from error
    elif isinstance(verify, str):
        try:
            context.load_verify_locations(**({"capath": verify} if os.path.isdir(verify) else {"cafile": verify}))
        except (OSError, ssl.SSLError) as error:
            raise BitbucketServerError(
                "setting_invalid", "The bundle of CA certificates cannot be read.", parameter="verify"
            ) from error
    else:
        _trust_the_machines(context)
    return context


def _trust_the_machines(context: ssl.SSLContext) -> None:
    """What OpenSSL was built to trust here, without the variables that would change it; certifi's where that is
    nothing."""
    paths = ssl.get_default_verify_paths()
    file = paths.openssl_cafile if os.path.exists(paths.openssl_cafile) else None
    directory = paths.openssl_capath if os.path.isdir(paths.openssl_capath) else None
    if file or directory:
        context.load_verify_locations(cafile=file, capath=directory)
    else:
        context.load_verify_locations(cafile=certifi.where())


def _invalid(reason: str) -> BitbucketServerError:
    return BitbucketServerError("ca_certificate_invalid", reason, parameter="ca_certificates")
