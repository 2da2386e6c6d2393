"""A key pair for an application under test."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_BITS = 2048


@cache
def key_pair_for_tests() -> tuple[str, str]:
    """Return a private and a public key as PEM. They are made once, because that takes longer than most tests."""
    key = rsa.generate_private_key(65537, _BITS)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
