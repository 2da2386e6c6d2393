"""RSA key pairs: make one, read one as people paste it, sign with it, show its public half."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING, NoReturn

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from .problems import BitbucketServerError
from .secret import opaque

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

DEFAULT_BITS = 3072
BITS = (2048, 3072, 4096)
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
_LONGEST_TEXT = 64 * 1024
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
        """Read an RSA public key: PEM, its bare base64, or a certificate.

        Raises ``public_key_invalid`` with a reason that names what was given instead.
        """
        try:
            return _public_half(_read_public(_plain(text)))
        except BitbucketServerError as error:
            raise BitbucketServerError("public_key_invalid", error.reason, parameter="public_key") from None

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
        return _pem("PUBLIC KEY", self.base64)


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
                "setting_invalid", "A new key has 2048, 3072 or 4096 bits, no other number.", parameter="bits"
            )
        return cls(rsa.generate_private_key(_EXPONENT, bits))

    @classmethod
    @opaque
    def read(cls, text: str | bytes, passphrase: str | None = None) -> PrivateKey:
        """Read an RSA private key as people paste it or as a file holds it.

        PEM in PKCS#1 or PKCS#8, with any line ends, indentation, quotes or text around it, with newlines written as
        ``\\n`` or collapsed to spaces; the bare base64 or the DER of the key; the base64 of the whole PEM. *passphrase*
        opens a key that is encrypted. Raises the problems that begin with ``private_key_``; none of them, nor a
        traceback's variables in this module, holds the key.
        """
        try:
            return cls(_read_private(_plain(text), passphrase))
        except BitbucketServerError as error:
            raise BitbucketServerError(error.code, error.reason, parameter="private_key") from None

    @property
    def bits(self) -> int:
        """The size."""
        return self.public.bits

    def sign_sha1(self, message: bytes) -> bytes:
        """The RSASSA-PKCS1-v1_5 signature of *message* with SHA-1: OAuth's RSA-SHA1, all that Bitbucket accepts.

        Raises ``sha1_forbidden``.
        """
        return _sign_sha1(self._key, message)

    def pem(self) -> str:
        """The private key in clear, as PKCS#8 PEM: for sealing it, or for a file that only its owner can read."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode("ascii")

    def certificate(self, common_name: str, made: datetime | None = None) -> str:
        """A self-signed certificate of the public half, as PEM, valid for ten years from *made* (default: now).

        Raises ``setting_invalid`` when *common_name* is not a name of 1 to 64 bytes.
        """
        if not (0 < len(common_name.encode(errors="replace")) <= 64 and common_name.isprintable()):
            raise BitbucketServerError(
                "setting_invalid",
                "A certificate's common name has 1 to 64 bytes, and no control characters.",
                parameter="common_name",
            )
        made = made or datetime.now(UTC)
        from cryptography import x509  # here and below where it is needed: to import it takes as long as all the rest
        from cryptography.x509.oid import NameOID

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
    """Try an RSA-SHA1 signature, with a key that everybody knows. Raises ``sha1_forbidden``."""
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
        raise BitbucketServerError("sha1_forbidden") from None


def new_consumer_key() -> str:
    """A random consumer key: 40 characters of ``0-9a-f``, which a double click selects as a whole."""
    return secrets.token_hex(20)


@dataclass(frozen=True, slots=True)
class _Block:
    """One block of PEM. *body* is ``None`` where the END line is missing."""

    label: str
    body: str | None = field(repr=False)


# Word processors turn hyphens into dashes, and a careless selection loses some. The repetitions are bounded, so that
# no text makes the search slow.
_DASHES = "[-\u2010-\u2015\u2212]{2,8}"
_MARKER = re.compile(rf"{_DASHES} ?(?P<edge>BEGIN|END) (?P<label>[A-Z0-9 ]{{1,40}}?) ?{_DASHES}")
_LITERAL_NEWLINE = re.compile(r"\\{1,4}[rn]")
# Backslashes, quotes straight and typographic, and characters without width.
_NOISE = dict.fromkeys(
    map(ord, "\\\"'`\u00ab\u00b4\u00bb\u2018\u2019\u201a\u201c\u201d\u201e\u200b\u200c\u200d\u2060\ufeff")
)
_TRADITIONAL_ENCRYPTION = re.compile(
    r"\s*Proc-Type:\s*4,\s*ENCRYPTED\s+DEK-Info:\s*(?P<cipher>[A-Z0-9-]+),\s*(?P<iv>[0-9A-Fa-f]+)\s+(?P<body>.*)",
    re.DOTALL,
)
_SSH_PUBLIC_KEY = re.compile(r"\s*(?:ssh-|ecdsa-|sk-)")
_OPENSSH = b"openssh-key-v1\0"
_PRIVATE_BEGINNING = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01\x00", re.DOTALL)
_PKCS1_BEGINNING = re.compile(rb"\x30\x82..\x02\x01\x00(?=\x02)", re.DOTALL)
_BASE64_BEGINNINGS = ("MII", base64.b64encode(b"-----BEGIN ").decode("ascii")[:12])
_KINDS = (
    (ec.EllipticCurvePrivateKey, "It is an EC key."),
    (ed25519.Ed25519PrivateKey, "It is an Ed25519 key."),
    (ed448.Ed448PrivateKey, "It is an Ed448 key."),
    (dsa.DSAPrivateKey, "It is a DSA key."),
)


def _plain(text: str | bytes) -> str:
    """What was given, as text in which newlines are newlines."""
    if len(text) > _LONGEST_TEXT:
        raise BitbucketServerError("private_key_unreadable", "It is longer than 64 KiB.")
    return _LITERAL_NEWLINE.sub("\n", text if isinstance(text, str) else _decode_text(text))


def _decode_text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if b"BEGIN " in data:
            return data.decode("latin-1")
        return base64.b64encode(data).decode("ascii")  # DER


def _blocks(text: str) -> Iterator[_Block]:
    markers = list(_MARKER.finditer(text))
    for marker, following in zip_longest(markers, markers[1:]):
        if marker["edge"] == "BEGIN":
            is_whole = following is not None and following["edge"] == "END"
            yield _Block(marker["label"], text[marker.end() : following.start()] if is_whole else None)


def _decode_base64(text: str) -> bytes | None:
    characters = "".join(text.translate(_NOISE).split()).rstrip("=")
    try:
        return base64.b64decode(characters + "=" * (-len(characters) % 4), validate=True)
    except ValueError:
        return None


def _read_private(text: str, passphrase: str | None) -> rsa.RSAPrivateKey:
    if not text.translate(_NOISE).strip():
        raise BitbucketServerError("private_key_missing")
    blocks = list(_blocks(text))
    private = {block.body: block for block in blocks if block.label.endswith("PRIVATE KEY")}
    if len(private) > 1:
        raise BitbucketServerError("private_key_unreadable", f"There are {len(private)} private keys; give one.")
    if private:
        return _strong(_private_block(next(iter(private.values())), passphrase))
    if blocks:
        raise _other_block(blocks[0].label)
    return _strong(_private_base64(text, passphrase))


def _private_block(block: _Block, passphrase: str | None) -> PrivateKeyTypes:
    if block.label == "OPENSSH PRIVATE KEY":
        raise BitbucketServerError("private_key_openssh")
    if block.label in {"EC PRIVATE KEY", "DSA PRIVATE KEY"}:
        raise BitbucketServerError("private_key_not_rsa", f"It is {_article(block.label.split()[0])} key.")
    if block.body is None:
        raise BitbucketServerError("private_key_truncated", "Its END line is missing.")
    encrypted = _TRADITIONAL_ENCRYPTION.match(block.body)
    der = _decode_base64(encrypted["body"] if encrypted else block.body)
    if not der:
        raise BitbucketServerError("private_key_truncated", "What stands between its BEGIN and END lines is damaged.")
    if encrypted is None:
        return _private_der(der, passphrase, "private_key_truncated")
    pem = _pem(
        block.label,
        base64.b64encode(der).decode("ascii"),
        f"Proc-Type: 4,ENCRYPTED\nDEK-Info: {encrypted['cipher']},{encrypted['iv']}\n\n",
    ).encode("ascii")
    return _decrypt(lambda password: serialization.load_pem_private_key(pem, password), passphrase)


def _private_base64(text: str, passphrase: str | None) -> PrivateKeyTypes:
    if _SSH_PUBLIC_KEY.match(text.translate(_NOISE)):
        raise BitbucketServerError("private_key_is_public")
    if "PuTTY-User-Key-File" in text:
        raise BitbucketServerError(
            "private_key_unreadable", "It is in PuTTY's format; export it from PuTTYgen in OpenSSH's old format."
        )
    der = _decode_base64(text)
    if der is None:
        is_part = "PRIVATE KEY" in text or text.translate(_NOISE).strip().startswith(_BASE64_BEGINNINGS)
        raise BitbucketServerError("private_key_truncated" if is_part else "private_key_unreadable")
    if b"-----BEGIN " in der:
        return _read_private(_plain(der), passphrase)
    return _private_der(
        der, passphrase, "private_key_truncated" if _PRIVATE_BEGINNING.match(der) else "private_key_unreadable"
    )


def _private_der(der: bytes, passphrase: str | None, otherwise: str) -> PrivateKeyTypes:
    """The private key in *der*. Raises what it is instead, or else the problem *otherwise*."""
    if der.startswith(_OPENSSH):
        raise BitbucketServerError("private_key_openssh")
    try:
        return serialization.load_der_private_key(der, None)
    except TypeError:
        # How cryptography says that the key is encrypted.
        return _decrypt(lambda password: serialization.load_der_private_key(der, password), passphrase)
    except (UnsupportedAlgorithm, InternalError):
        raise BitbucketServerError("private_key_forbidden" if _is_whole(der) else "private_key_not_rsa") from None
    except ValueError:
        raise BitbucketServerError("private_key_forbidden") if _is_whole(der) else _other_der(der, otherwise) from None


def _is_whole(der: bytes) -> bool:
    """Return whether *der* has a whole RSA private key in it, whatever OpenSSL says of it: its numbers fit together
    (RFC 8017, appendix A.1.2)."""
    beginning = _PKCS1_BEGINNING.search(der)
    numbers = list(_integers(der[beginning.end() :])) if beginning else []
    if len(numbers) < 8 or not all(numbers):
        return False
    modulus, exponent, private, p, q, private_p, private_q, inverse = numbers[:8]
    return (
        modulus == p * q
        and (exponent * private) % (p - 1) == (exponent * private) % (q - 1) == 1
        and (private_p, private_q) == (private % (p - 1), private % (q - 1))
        and inverse * q % p == 1
    )


def _integers(der: bytes) -> Iterator[int]:
    """Yield the integers that *der* begins with."""
    while len(der) > 2 and der[0] == 0x02:
        length, size = der[1], 0
        if length > 0x80:
            size = length - 0x80
            length = int.from_bytes(der[2 : 2 + size])
        yield int.from_bytes(der[2 + size : 2 + size + length])
        der = der[2 + size + length :]


def _decrypt(load: Callable[[bytes], PrivateKeyTypes], passphrase: str | None) -> PrivateKeyTypes:
    if not passphrase:
        raise BitbucketServerError("private_key_encrypted", "No passphrase was given.")
    try:
        return load(passphrase.encode())
    except (ValueError, UnsupportedAlgorithm, InternalError):
        raise BitbucketServerError(
            "private_key_encrypted", "The passphrase is not the right one, or the encryption not a usual one."
        ) from None


def _strong(key: PrivateKeyTypes) -> rsa.RSAPrivateKey:
    if not isinstance(key, rsa.RSAPrivateKey):
        reason = next((reason for kind, reason in _KINDS if isinstance(key, kind)), "")
        raise BitbucketServerError("private_key_not_rsa", reason)
    weakness = _weakness(key.public_key())
    if weakness:
        raise BitbucketServerError("private_key_weak", weakness)
    return key


def _weakness(key: rsa.RSAPublicKey) -> str:
    if key.key_size < BITS[0]:
        return f"It has {key.key_size} bits."
    exponent = key.public_numbers().e
    return f"Its public exponent is {exponent}." if exponent < _EXPONENT else ""


def _other_block(label: str) -> BitbucketServerError:
    """What is wrong with PEM that holds no private key, but a block called *label*."""
    if label.endswith("PUBLIC KEY"):
        return BitbucketServerError("private_key_is_public")
    if label.endswith("CERTIFICATE REQUEST"):
        return BitbucketServerError("private_key_is_certificate", "It is a request for one, to be exact.")
    if label.endswith("CERTIFICATE"):
        return BitbucketServerError("private_key_is_certificate")
    if label.startswith("PGP "):
        return BitbucketServerError("private_key_unreadable", "It belongs to PGP.")
    return BitbucketServerError("private_key_unreadable", "It is PEM, but holds something else.")


def _other_der(der: bytes, otherwise: str) -> BitbucketServerError:
    """What is wrong with *der*, which holds no private key that can be read."""
    from cryptography import x509

    for load, label in (
        (serialization.load_der_public_key, "PUBLIC KEY"),
        (x509.load_der_x509_certificate, "CERTIFICATE"),
        (x509.load_der_x509_csr, "CERTIFICATE REQUEST"),
    ):
        try:
            load(der)
        except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
            continue
        return _other_block(label)
    return BitbucketServerError(otherwise)


def _read_public(text: str) -> rsa.RSAPublicKey:
    blocks = list(_blocks(text))
    der = _decode_base64((blocks[0].body or "") if blocks else text) or b""
    if "PRIVATE KEY" in text or _PRIVATE_BEGINNING.match(der):
        raise _invalid_public_key("It is the private key, which nobody else should see.")
    key = _public_der(der)
    if not isinstance(key, rsa.RSAPublicKey):
        raise _invalid_public_key("It is not an RSA public key, or not a whole one.")
    weakness = _weakness(key)
    if weakness:
        raise _invalid_public_key(weakness)
    return key


def _invalid_public_key(reason: str) -> BitbucketServerError:
    return BitbucketServerError("public_key_invalid", reason)


def _public_der(der: bytes) -> PublicKeyTypes | None:
    try:
        return serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        pass
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return None


def _public_half(key: rsa.RSAPublicKey) -> PublicKey:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(key.key_size, der)


def _pem(label: str, characters: str, headers: str = "") -> str:
    lines = "\n".join(characters[start : start + 64] for start in range(0, len(characters), 64))
    return f"-----BEGIN {label}-----\n{headers}{lines}\n-----END {label}-----\n"


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "AEIOU" else f"a {word}"
