"""RSA key pairs: make one, read one, sign with it, show its public half.

:mod:`.pem` reads keys as people paste them.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from ..problems import BitbucketServerError, Code
from . import pem
from .secret import opaque

DEFAULT_BITS = 3072
BITS = (pem.LEAST_BITS, 3072, 4096)
"""The sizes of which key pairs are made. Others, larger than the first, can be read."""

_EXPONENT = 65537
_KNOWN_P = int(
    "c80589da5a91a4f915c761f6f2e484f4cce5c49c4a18f0ffba605d3daa17ef11a1450020c4345701df8bbe65d10cb3b2"
    "09dbedeb59dcae672c54cad23c7ca2d0d6fa8603ca8d05e864bc04cbd913698bdb6f9f81ddb2e182c87c9a671894269e"
    "4c276a24d1318b8da0c8914ad968a84cd5e459e8e6948d8595dbe2c6815eafbd",
    16,
)
_KNOWN_Q = int(
    "c43de0592951906753906118b277411737065a289008268372552f5b7578e0a0dc2bdbbd603f26d69c06d2e93c47ce6d"
    "fc03504c2ad2cd491089c9d169fa3782fa1ef5df9579708afc0373c4fb5a923af8b4ac0b5324c8d51d7e9857a0d1355b"
    "dea29c95f65225af57c3cced257b11abee638d10c347750e2a070b31bd726d97",
    16,
)
_TEN_YEARS = timedelta(days=3652)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half of a key pair that Bitbucket gets.

    *bits*: the size. *der*: the key itself, as X.509's SubjectPublicKeyInfo.
    """

    bits: int
    der: bytes = field(repr=False)

    @classmethod
    @opaque
    def read(cls, text: str | bytes) -> PublicKey:
        """Read an RSA public key: PEM, its bare base64, a certificate, a line of OpenSSH's, JWK or XML.

        Raises ``public_key_invalid`` with a reason that names what was given instead.
        """
        try:
            return _public_half(pem.read_public(text))
        except BitbucketServerError as error:
            raise BitbucketServerError(Code.PUBLIC_KEY_INVALID, error.reason, parameter="public_key") from None

    @property
    def fingerprint(self) -> str:
        """``SHA256:`` and the unpadded base64 of the key's SHA-256, by which people compare keys."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.der).digest()).decode("ascii").rstrip("=")

    @property
    def base64(self) -> str:
        """The key as base64 on one line, without PEM's markers."""
        return base64.b64encode(self.der).decode("ascii")

    @property
    def pem(self) -> str:
        """The key as PEM, ``PUBLIC KEY``, with a newline at the end."""
        return pem.encode("PUBLIC KEY", self.base64)


class PrivateKey:
    """An RSA private key that was parsed once.

    It shows its size and fingerprint and nothing else: it cannot be pickled or copied, and :meth:`pem` is the only
    way out. Two are equal when their public halves are.
    """

    __slots__ = ("_key", "public")

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key
        self.public = _public_half(key.public_key())

    @classmethod
    def generate(cls, bits: int = DEFAULT_BITS) -> PrivateKey:
        """Make a key pair. Raises ``setting_invalid`` when *bits* is not one of :data:`BITS`."""
        if bits not in BITS:
            raise BitbucketServerError(
                Code.SETTING_INVALID, "A new key has 2048, 3072 or 4096 bits, no other number.", parameter="bits"
            )
        return cls(rsa.generate_private_key(_EXPONENT, bits))

    @classmethod
    @opaque
    def read(cls, text: str | bytes, passphrase: str | None = None) -> PrivateKey:
        """Read an RSA private key as people paste it or as a file holds it.

        PEM in PKCS#1 or PKCS#8, with any line ends, indentation, quotes or text around it, with newlines written as
        ``\\n`` or collapsed to spaces; the bare base64 or the DER of the key; the base64 of the whole PEM, also within
        a Kubernetes Secret or a variable; JWK; .NET's XML. *passphrase* opens a key that is encrypted. Raises the
        problems that begin with ``private_key_``. Neither they nor the variables of their traceback hold the key.
        """
        try:
            return cls(pem.read_private(text, passphrase))
        except BitbucketServerError as error:
            raise BitbucketServerError(error.code, error.reason, parameter="private_key") from None

    @property
    def bits(self) -> int:
        """The size."""
        return self.public.bits

    def sign_sha1(self, message: bytes) -> bytes:
        """Return the RSASSA-PKCS1-v1_5 signature of *message* with SHA-1: OAuth's RSA-SHA1, all that Bitbucket accepts.

        Raises ``sha1_forbidden``.
        """
        return _sign_sha1(self._key, message)

    def pem(self) -> str:
        """Return the private key in clear, as PKCS#8 PEM. Seal it, or write it to a file for its owner alone."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode("ascii")

    def certificate(self, common_name: str, made: datetime | None = None) -> str:
        """Return a self-signed certificate of the public half, as PEM, valid for ten years from *made* (default: now).

        Raises ``setting_invalid`` when *common_name* is not a name of 1 to 64 bytes.
        """
        if not (0 < len(common_name.encode(errors="replace")) <= 64 and common_name.isprintable()):
            raise BitbucketServerError(
                Code.SETTING_INVALID,
                "A certificate's common name has 1 to 64 bytes, and no control characters.",
                parameter="common_name",
            )
        made = made or datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = x509.CertificateBuilder(
            issuer_name=name,
            subject_name=name,
            public_key=self._key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=made,
            not_valid_after=made + _TEN_YEARS,
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def __repr__(self) -> str:
        return f"<PrivateKey {self.bits} bits {self.public.fingerprint}>"

    def __eq__(self, other: object) -> bool:
        return self.public == other.public if isinstance(other, PrivateKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.public)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A private key is not pickled or copied.")


@cache
def refuse_forbidden_sha1() -> None:
    """Try an RSA-SHA1 signature with a public test key. Raises ``sha1_forbidden``."""
    private = pow(_EXPONENT, -1, (_KNOWN_P - 1) * (_KNOWN_Q - 1))
    numbers = rsa.RSAPrivateNumbers(
        _KNOWN_P,
        _KNOWN_Q,
        private,
        rsa.rsa_crt_dmp1(private, _KNOWN_P),
        rsa.rsa_crt_dmq1(private, _KNOWN_Q),
        rsa.rsa_crt_iqmp(_KNOWN_P, _KNOWN_Q),
        rsa.RSAPublicNumbers(_EXPONENT, _KNOWN_P * _KNOWN_Q),
    )
    _sign_sha1(numbers.private_key(), b"")


def _sign_sha1(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    try:
        return key.sign(message, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - RFC 5849 fixes the hash
    except (UnsupportedAlgorithm, InternalError):
        # By the policy of this machine's OpenSSL: RHEL 9 and later, or FIPS mode.
        raise BitbucketServerError(Code.SHA1_FORBIDDEN) from None


def new_consumer_key() -> str:
    """Return a random consumer key: 40 characters of ``0-9a-f``, which a double click selects as a whole."""
    return secrets.token_hex(20)


def _public_half(key: rsa.RSAPublicKey) -> PublicKey:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(key.key_size, der)
