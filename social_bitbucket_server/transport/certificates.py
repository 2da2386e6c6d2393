"""X.509 certificates as people paste them or files hold them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ..crypto import pasted
from ..problems import BitbucketServerError, Code

UNREADABLE = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""The exceptions that cryptography raises for certificates that no CA would issue."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LABELS = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})


def read_certificates(given: str | bytes) -> list[x509.Certificate]:
    """Read the certificates in *given*: PEM with text around it, DER, PKCS#7, the base64 of any, and all of them in
    what :func:`~.crypto.pasted.unwrapped` takes apart.

    Raises ``ca_certificate_invalid`` with a reason that names what was given instead.
    """
    if not given.strip():
        raise _invalid("It is empty.")
    if len(given) > pasted.LONGEST:
        raise _invalid(f"It is longer than {pasted.LONGEST} characters.")
    text = pasted.as_text(given)
    _refuse_private_key(text)
    return pasted.read_unwrapped(given, text, _certificates_in, _invalid)


def pem_of(certificates: Iterable[x509.Certificate]) -> str:
    """Return *certificates* as clean PEM, one after the other."""
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


def ends_of(pem: str) -> tuple[datetime, ...]:
    """Return when each certificate in *pem*, clean PEM, ends. An empty text has none."""
    ends = []
    for certificate in x509.load_pem_x509_certificates(pem.encode()) if pem else ():
        # 1970 at the earliest. Python has no year 0, which a certificate may name. Nor does it have the first hours of
        # the year 1 in time zones where it is still the year 0.
        try:
            ends.append(max(certificate.not_valid_after_utc, _EPOCH))
        except ValueError:
            ends.append(_EPOCH)
    return tuple(ends)


def _refuse_private_key(text: str) -> None:
    if "PRIVATE KEY" in text:
        raise _invalid("It contains a private key, which belongs on the server alone. Treat that key as disclosed.")


def _certificates_in(text: str) -> list[x509.Certificate]:
    _refuse_private_key(text)
    blocks = list(pasted.blocks(text))
    if not blocks:
        return _in_der(pasted.decode_base64(text) or b"")
    found: list[x509.Certificate] = []
    for block in blocks:
        if block.label in _LABELS or block.label in {"PKCS7", "CMS"}:
            if block.body is None:
                raise _invalid("An END line is missing.")
            found += _in_der(pasted.decode_base64(block.body) or b"", trailing=block.label == "TRUSTED CERTIFICATE")
    if found:
        return found
    labels = {block.label for block in blocks}
    if any("REQUEST" in label for label in labels):
        raise _invalid("It is a request for a certificate, not a certificate.")
    if any("PUBLIC KEY" in label for label in labels):
        raise _invalid("It is a public key, not a certificate.")
    raise _invalid("It is PEM, but holds no certificate.")


def _in_der(data: bytes, *, trailing: bool = False) -> list[x509.Certificate]:
    """Read what *data* is; with *trailing*, OpenSSL's own notes may follow the certificate."""
    if trailing and data[:2] == b"\x30\x82":
        data = data[: 4 + int.from_bytes(data[2:4])]
    try:
        return [x509.load_der_x509_certificate(data)]
    except (ValueError, x509.InvalidVersion):
        pass
    try:
        found = pkcs7.load_der_pkcs7_certificates(data)
    except (ValueError, UnsupportedAlgorithm):
        found = []
    if not found:
        raise _invalid(
            "It is not a certificate in PEM, from BEGIN CERTIFICATE to END CERTIFICATE, in DER or in PKCS#7."
        )
    return found


def _invalid(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.CA_CERTIFICATE_INVALID, reason, parameter="ca_certificates")
