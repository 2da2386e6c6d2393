"""The problem with a server's certificate, found by a second look that trusts nothing and sends nothing."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from ..problems import BitbucketServerError, Code
from .ca_certificates import is_ca
from .certificates import pem_of
from .connection_errors import tls_fault


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """One certificate of a chain: whom it names, who issued it, until when it is valid, and its fingerprint."""

    subject: str
    issuer: str
    valid_until: str
    sha256: str


def served_chain(connection: socket.socket, host: str) -> list[x509.Certificate]:
    """Return the certificates that the server shows, trusted or not. Nothing is sent over *connection*.

    The server may end the handshake afterwards, because it asks for a client certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(connection, server_hostname=host.strip("[]"), do_handshake_on_connect=False) as secured:
        try:
            secured.do_handshake()
        except ssl.SSLError:
            if secured.cipher() is None:
                raise
        # Public from Python 3.13 on; the same function exists before under another name.
        public = getattr(secured, "get_unverified_chain", None)
        shown = public() if public else secured._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
        ders = [one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in shown or ()]
    return [x509.load_der_x509_certificate(der) for der in ders]


def shown(chain: Sequence[x509.Certificate]) -> list[ShownCertificate]:
    """Return *chain* for people, the server's own certificate first."""
    return [
        ShownCertificate(
            _name(certificate.subject),
            _name(certificate.issuer),
            f"{certificate.not_valid_after_utc:%Y-%m-%d}",
            certificate.fingerprint(SHA256()).hex(":").upper(),
        )
        for certificate in chain
    ]


def diagnose(
    error: ssl.SSLError, chain: Sequence[x509.Certificate], host: str, client_certificate: str = ""
) -> BitbucketServerError:
    """Return the problem behind a handshake that failed with *error*. The server shows *chain*, and was shown
    *client_certificate* unless that is empty."""
    fault = tls_fault(error, client_certificate, server_is_known=bool(chain))
    if not chain:
        return fault
    leaf, top = chain[0], chain[-1]
    match fault.code:
        case Code.CERTIFICATE_EXPIRED:
            return BitbucketServerError(
                Code.CERTIFICATE_EXPIRED,
                f"It is valid from {leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}.",
            )
        case Code.CERTIFICATE_FOR_ANOTHER_NAME:
            names = ", ".join(_alternative_names(leaf)) or _name(leaf.subject)
            return BitbucketServerError(Code.CERTIFICATE_FOR_ANOTHER_NAME, f"It is for {names}, not for {host}.")
        case Code.CERTIFICATE_SELF_SIGNED:
            return BitbucketServerError(Code.CERTIFICATE_SELF_SIGNED, facts={"ca_certificates": pem_of([leaf])})
        case Code.CERTIFICATE_AUTHORITY_UNKNOWN if len(chain) == 1:
            return BitbucketServerError(Code.CERTIFICATE_CHAIN_INCOMPLETE, f"It was issued by {_name(leaf.issuer)}.")
        case Code.CERTIFICATE_AUTHORITY_UNKNOWN:
            return BitbucketServerError(
                Code.CERTIFICATE_AUTHORITY_UNKNOWN,
                f"The chain ends with {_name(top.issuer)}.",
                facts={"ca_certificates": pem_of([top])} if is_ca(top) else {},
            )
    return fault


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME) or name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return _printable(str(common[0].value) if common else name.rfc4514_string())


def _alternative_names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [_printable(str(name.value)) for name in list(names)[:5]]


def _printable(text: str) -> str:
    """Return the server's *text* without the characters that would confuse a terminal."""
    return "".join(character for character in text if character.isprintable())[:100]
