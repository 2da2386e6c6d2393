"""Client certificates: what a gateway in front of Bitbucket is shown, with the key that proves it."""

from __future__ import annotations

import re
import secrets
import ssl
import tempfile
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from ..crypto import Secret, opaque, pasted
from ..problems import BitbucketServerError, Code
from .certificates import pem_of, read_certificates

_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z ]{0,20}PRIVATE KEY)-----.{1,65536}?-----END \1-----", re.DOTALL)
_TLSKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion)


class ClientCertificate(NamedTuple):
    """A *certificate* with those of the CAs between it and a root, and its *key*, both as clean PEM."""

    certificate: str
    key: Secret


@opaque
def read_client_certificate(certificate: str, key: str) -> ClientCertificate:
    """Read a client certificate and its private key as people paste them, or as one file holds both.

    Both may be PEM or the base64 of DER, the certificates PKCS#7, too, and either wrapped as
    :func:`~.crypto.pasted.unwrapped` takes it apart. The certificate of the key comes first in what is returned. Raises
    ``client_certificate_invalid``, ``client_key_invalid``, ``client_key_encrypted``, and ``client_key_mismatch`` where
    the key is not the certificate's. No traceback holds the key.
    """
    chain = _chain(_checked(certificate, Code.CLIENT_CERTIFICATE_INVALID, "client_certificate"))
    private = _private_key(_checked(key, Code.CLIENT_KEY_INVALID, "client_key"))
    try:
        own = [one for one in chain if _public_bytes(one) == _public_bytes(private)][:1]
    except _UNREADABLE:
        raise _invalid_certificate("TLS does not use public keys of its kind.") from None
    if not own:
        raise BitbucketServerError(Code.CLIENT_KEY_MISMATCH, parameter="client_key")
    chain = own + [one for one in chain if one not in own]  # PKCS#7 has them in no order
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    found = ClientCertificate(pem_of(chain), Secret(pem))
    load_client_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), found.certificate, found.key)
    return found


@opaque
def load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Let *context* show *certificate* where a server asks for one. Both are clean PEM.

    OpenSSL reads them from a file alone. The key is encrypted there, with a password that is forgotten at once. Raises
    ``client_certificate_invalid``, and ``setting_invalid`` where no temporary file can be made.
    """
    password = secrets.token_bytes(32).hex().encode()
    try:
        private = load_pem_private_key(key.encode(), None)
        sealed = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "client.pem")
            path.write_bytes(certificate.encode() + b"\n" + sealed)
            context.load_cert_chain(path, password=password)
    except (ssl.SSLError, *_UNREADABLE) as error:
        cause = getattr(error, "reason", None) or "not PEM"
        raise _invalid_certificate(f"OpenSSL refuses it together with its key ({cause}).") from None
    except OSError:
        raise BitbucketServerError(
            Code.SETTING_INVALID,
            "There is no room for a temporary file to load it from.",
            parameter="client_certificate",
        ) from None
    # Apache asks for certificates of single addresses after the handshake.
    context.post_handshake_auth = True


def _checked(text: str, code: Code, parameter: str) -> str:
    """Return *text* with real newlines: environment variables often have ``\\n`` in their place."""
    if len(text) > pasted.LONGEST:
        raise BitbucketServerError(code, f"It is longer than {pasted.LONGEST} characters.", parameter=parameter)
    return pasted.as_text(text)


def _chain(text: str) -> list[x509.Certificate]:
    problem = None
    for candidate in pasted.unwrapped(text):
        certificates = _PRIVATE_KEY.sub("", candidate)
        try:
            return read_certificates(certificates)
        except BitbucketServerError as error:
            has_key = certificates != candidate
            reason = "There is no certificate beside the private key." if has_key else error.reason
            problem = problem or _invalid_certificate(reason)
    raise problem or _invalid_certificate("")


def _private_key(text: str) -> _TLSKey:
    for candidate in pasted.unwrapped(text):
        key = _key_in(candidate)
        if key is not None:
            return key
    named = pasted.named(text, text)
    raise _invalid_key(named[1] if named else "It is not a private key in PEM.")


def _key_in(text: str) -> _TLSKey | None:
    """Return the private key in *text*, or ``None`` where there is none."""
    block = _PRIVATE_KEY.search(text)
    if block is None:
        return _key_in_der(pasted.decode_base64(text) or b"")
    if "ENCRYPTED" in block[0]:
        raise _encrypted_key()
    if block[1].startswith("OPENSSH"):
        raise _invalid_key("It is in OpenSSH's format. Convert a copy with 'ssh-keygen -p -m PEM -f FILE'.")
    try:
        key = load_pem_private_key(block[0].encode(), None)
    except TypeError:  # how cryptography says that the key is encrypted
        raise _encrypted_key() from None
    except _UNREADABLE:
        raise _invalid_key("What stands between its BEGIN and END lines is damaged, or of another kind.") from None
    return _usable(key)


def _key_in_der(der: bytes) -> _TLSKey | None:
    try:
        key = load_der_private_key(der, None)
    except TypeError:  # as above
        raise _encrypted_key() from None
    except _UNREADABLE:
        return None
    return _usable(key)


def _usable(key: PrivateKeyTypes) -> _TLSKey:
    if not isinstance(key, _TLSKey):
        raise _invalid_key("It is not an RSA, EC, Ed25519 or Ed448 key.")
    return key


def _public_bytes(holder: _TLSKey | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _invalid_certificate(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.CLIENT_CERTIFICATE_INVALID, reason, parameter="client_certificate")


def _invalid_key(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.CLIENT_KEY_INVALID, reason, parameter="client_key")


def _encrypted_key() -> BitbucketServerError:
    return BitbucketServerError(Code.CLIENT_KEY_ENCRYPTED, parameter="client_key")
