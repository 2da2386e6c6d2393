"""Reads public keys in the forms that Bitbucket's form takes, and refuses the others by name."""

from __future__ import annotations

import base64
import binascii
import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_MARKED = re.compile(r"\s*-----BEGIN PUBLIC KEY-----(.*)-----END PUBLIC KEY-----\s*", re.DOTALL)
_OTHERS = {
    _CERTIFICATE: "There is text before the certificate; it must start with its BEGIN line.",
    "PRIVATE KEY-----": "It is a private key, which must stay where it was made.",
    "BEGIN RSA PUBLIC KEY": "It is an RSA PUBLIC KEY (PKCS#1); it must be a PUBLIC KEY or a certificate.",
    "ssh-rsa ": "It is an SSH key; it must be a PUBLIC KEY or a certificate.",
}


class UnreadablePublicKeyError(ValueError):
    """Error for a text that is no public key that the server could use. Its message says why."""


def read_public_key(text: str) -> RSAPublicKey:
    """Read a PEM certificate, a PEM ``PUBLIC KEY`` or its bare base64.

    Raises :class:`UnreadablePublicKeyError` for everything else.
    """
    if not text.strip():
        raise UnreadablePublicKeyError("It is empty.")
    if text.startswith(_CERTIFICATE):
        try:
            key: object = x509.load_pem_x509_certificate(text.encode()).public_key()
        except (ValueError, UnsupportedAlgorithm):
            raise UnreadablePublicKeyError("It begins like a certificate, but cannot be read as one.") from None
    else:
        for marker, name in _OTHERS.items():
            if marker in text:
                raise UnreadablePublicKeyError(name)
        marked = _MARKED.fullmatch(text)
        try:
            key = load_der_public_key(base64.b64decode("".join((marked[1] if marked else text).split()), validate=True))
        except (binascii.Error, ValueError, UnsupportedAlgorithm):
            raise UnreadablePublicKeyError("It is neither a certificate nor a public key.") from None
    if not isinstance(key, RSAPublicKey):
        raise UnreadablePublicKeyError("It is not an RSA key.")
    return key
