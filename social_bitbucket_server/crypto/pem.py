"""RSA keys as people paste them: PEM with whatever happened to it, its wrappings, JWK (RFC 7517), .NET's XML, and other
kinds of keys.

What people paste instead of a key is named. :mod:`.pasted` takes wrappings apart.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from ..problems import BitbucketServerError, Code
from . import pasted

LEAST_BITS = 2048
"""The size of the smallest key that can be read."""

_LEAST_EXPONENT = 65537
_TRADITIONAL_ENCRYPTION = re.compile(
    r"\s*Proc-Type:\s*4,\s*ENCRYPTED\s+DEK-Info:\s*(?P<cipher>[A-Z0-9-]+),\s*(?P<iv>[0-9A-Fa-f]+)\s+(?P<body>.*)",
    re.DOTALL,
)
_LARGEST_NUMBER = 16384 // 8  # bytes
_XML = re.compile(r"<(Modulus|Exponent|P|Q|DP|DQ|InverseQ|D)>([A-Za-z0-9+/=\s]{1,8000})</")
_NAMES_IN_XML = {
    "Modulus": "n",
    "Exponent": "e",
    "D": "d",
    "P": "p",
    "Q": "q",
    "DP": "dp",
    "DQ": "dq",
    "InverseQ": "qi",
}
_SSH_LINE = re.compile(r"\b(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\w{1,20}) AAAA[A-Za-z0-9+/]{20,}={0,2}")
_RFC4716 = re.compile(
    r"---- BEGIN SSH2 PUBLIC KEY ----\s{1,8}(?:[A-Za-z-]{1,64}:[^\n]*\n)*"
    r"(?P<body>[A-Za-z0-9+/=\s]+)---- END SSH2 PUBLIC KEY"
)
_SSH_PUBLIC_KEY = re.compile(r"\s*(?:ssh-|ecdsa-|sk-)")
_OPENSSH = b"openssh-key-v1\0"
_PRIVATE_BEGINNING = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01\x00", re.DOTALL)
_LONGEST_PKCS8_HEAD = 64  # bytes in front of the key; a container has more
_PKCS1_BEGINNING = re.compile(rb"\x30\x82..\x02\x01\x00(?=\x02)", re.DOTALL)
_VAGUE = frozenset({Code.PRIVATE_KEY_UNREADABLE, Code.PRIVATE_KEY_TRUNCATED})
"""Problems that say nothing if the text only wraps something else."""
_BASE64_BEGINNINGS = ("MII", base64.b64encode(b"-----BEGIN ").decode("ascii")[:12])
_KINDS = (
    (ec.EllipticCurvePrivateKey, "It is an EC key."),
    (ed25519.Ed25519PrivateKey, "It is an Ed25519 key."),
    (ed448.Ed448PrivateKey, "It is an Ed448 key."),
    (dsa.DSAPrivateKey, "It is a DSA key."),
)


def read_private(given: str | bytes, passphrase: str | None) -> rsa.RSAPrivateKey:
    """Return the RSA private key in *given*, which may be wrapped. *passphrase*: opens a key that is encrypted.

    Raises the problems that begin with ``private_key_``. Of several it is that of the text itself, unless that says
    nothing.
    """
    text = _checked(given)
    problem = BitbucketServerError(Code.PRIVATE_KEY_UNREADABLE)
    for candidate in pasted.unwrapped(text):
        try:
            return _read_private(candidate, passphrase)
        except BitbucketServerError as error:
            if problem.code in _VAGUE and not (problem.reason and error.code in _VAGUE):
                problem = error
    if problem.code in _VAGUE:
        named = pasted.named(given, text)
        if named is not None:
            raise BitbucketServerError(*named)
    raise problem


def _checked(text: str | bytes) -> str:
    if len(text) > pasted.LONGEST:
        raise BitbucketServerError(Code.PRIVATE_KEY_UNREADABLE, "It is longer than 64 KiB.")
    return pasted.as_text(text)


def _read_private(text: str, passphrase: str | None) -> rsa.RSAPrivateKey:
    if pasted.is_empty(text):
        raise BitbucketServerError(Code.PRIVATE_KEY_MISSING)
    blocks = list(pasted.blocks(text))
    private = {block.body: block for block in blocks if block.label.endswith("PRIVATE KEY")}
    if len(private) > 1:
        raise BitbucketServerError(Code.PRIVATE_KEY_UNREADABLE, f"There are {len(private)} private keys; give one.")
    if private:
        return _strong(_private_block(next(iter(private.values())), passphrase))
    if blocks:
        raise _other_block(blocks[0].label)
    return _strong(_private_base64(text, passphrase))


def _private_block(block: pasted.Block, passphrase: str | None) -> PrivateKeyTypes:
    if block.label == "OPENSSH PRIVATE KEY":
        raise BitbucketServerError(Code.PRIVATE_KEY_OPENSSH)
    if block.label in {"EC PRIVATE KEY", "DSA PRIVATE KEY"}:
        raise BitbucketServerError(Code.PRIVATE_KEY_NOT_RSA, f"It is {_article(block.label.split()[0])} key.")
    if block.body is None:
        raise BitbucketServerError(Code.PRIVATE_KEY_TRUNCATED, "Its END line is missing.")
    encrypted = _TRADITIONAL_ENCRYPTION.match(block.body)
    der = pasted.decode_base64(encrypted["body"] if encrypted else block.body)
    if not der:
        raise BitbucketServerError(
            Code.PRIVATE_KEY_TRUNCATED, "What stands between its BEGIN and END lines is damaged."
        )
    if encrypted is None:
        return _private_der(der, passphrase, Code.PRIVATE_KEY_TRUNCATED)
    pem = encode(
        block.label,
        base64.b64encode(der).decode("ascii"),
        f"Proc-Type: 4,ENCRYPTED\nDEK-Info: {encrypted['cipher']},{encrypted['iv']}\n\n",
    ).encode("ascii")
    return _decrypt(lambda password: serialization.load_pem_private_key(pem, password), passphrase)


def _private_base64(text: str, passphrase: str | None) -> PrivateKeyTypes:
    if _SSH_PUBLIC_KEY.match(text.translate(pasted.NOISE)):
        raise BitbucketServerError(Code.PRIVATE_KEY_IS_PUBLIC)
    numbers = _rsa_numbers(text)
    if numbers is not None:
        return _private_key_of(numbers)
    der = pasted.decode_base64(text)
    if der is None:
        is_part = "PRIVATE KEY" in text or text.translate(pasted.NOISE).strip().startswith(_BASE64_BEGINNINGS)
        raise BitbucketServerError(Code.PRIVATE_KEY_TRUNCATED if is_part else Code.PRIVATE_KEY_UNREADABLE)
    if b"-----BEGIN " in der:
        return _read_private(pasted.as_text(der), passphrase)
    return _private_der(
        der, passphrase, Code.PRIVATE_KEY_TRUNCATED if _PRIVATE_BEGINNING.match(der) else Code.PRIVATE_KEY_UNREADABLE
    )


def _private_der(der: bytes, passphrase: str | None, otherwise: Code) -> PrivateKeyTypes:
    """Return the private key in *der*. Raises the problem of what *der* is instead. *otherwise* is the default code."""
    if der.startswith(_OPENSSH):
        raise BitbucketServerError(Code.PRIVATE_KEY_OPENSSH)
    try:
        return serialization.load_der_private_key(der, None)
    except TypeError:
        # How cryptography says that the key is encrypted.
        return _decrypt(lambda password: serialization.load_der_private_key(der, password), passphrase)
    except (UnsupportedAlgorithm, InternalError):
        raise BitbucketServerError(Code.PRIVATE_KEY_FORBIDDEN if _is_whole(der) else Code.PRIVATE_KEY_NOT_RSA) from None
    except ValueError:
        raise (
            BitbucketServerError(Code.PRIVATE_KEY_FORBIDDEN) if _is_whole(der) else _other_der(der, otherwise)
        ) from None


def _is_whole(der: bytes) -> bool:
    """Return whether *der* has a whole RSA private key in it, whatever OpenSSL says of it: its numbers fit together
    (RFC 8017, appendix A.1.2)."""
    beginning = _PKCS1_BEGINNING.search(der[:_LONGEST_PKCS8_HEAD])
    numbers = list(_integers(der[beginning.end() :])) if beginning else []
    if len(numbers) < 8 or not all(numbers):
        return False
    modulus, exponent, private, p, q, private_p, private_q, inverse = numbers[:8]
    return (
        min(p, q) > 1
        and modulus == p * q
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
        raise BitbucketServerError(Code.PRIVATE_KEY_ENCRYPTED, "No passphrase was given.")
    try:
        return load(passphrase.encode())
    except (ValueError, UnsupportedAlgorithm, InternalError):
        raise BitbucketServerError(
            Code.PRIVATE_KEY_ENCRYPTED, "The passphrase is not the right one, or the encryption not a usual one."
        ) from None


def _strong(key: PrivateKeyTypes) -> rsa.RSAPrivateKey:
    if not isinstance(key, rsa.RSAPrivateKey):
        reason = next((reason for kind, reason in _KINDS if isinstance(key, kind)), "")
        raise BitbucketServerError(Code.PRIVATE_KEY_NOT_RSA, reason)
    weakness = _weakness(key.public_key())
    if weakness:
        raise BitbucketServerError(Code.PRIVATE_KEY_WEAK, weakness)
    return key


def _weakness(key: rsa.RSAPublicKey) -> str:
    if key.key_size < LEAST_BITS:
        return f"It has {key.key_size} bits."
    exponent = key.public_numbers().e
    return f"Its public exponent is {exponent}." if exponent < _LEAST_EXPONENT else ""


def _other_block(label: str) -> BitbucketServerError:
    """Return the problem of PEM that holds no private key, but a block called *label*."""
    if label.endswith("PUBLIC KEY"):
        return BitbucketServerError(Code.PRIVATE_KEY_IS_PUBLIC)
    if label.endswith("CERTIFICATE REQUEST"):
        return BitbucketServerError(Code.PRIVATE_KEY_IS_CERTIFICATE, "It is a request for one, to be exact.")
    if label.endswith("CERTIFICATE"):
        return BitbucketServerError(Code.PRIVATE_KEY_IS_CERTIFICATE)
    if label.startswith("PGP ") and label != "PGP MESSAGE":
        return BitbucketServerError(Code.PRIVATE_KEY_UNREADABLE, "It belongs to PGP.")
    if label in {"PGP MESSAGE", "AGE ENCRYPTED FILE"}:
        return BitbucketServerError(Code.PRIVATE_KEY_UNREADABLE)
    return BitbucketServerError(Code.PRIVATE_KEY_UNREADABLE, "It is PEM, but holds something else.")


def _other_der(der: bytes, otherwise: Code) -> BitbucketServerError:
    """Return the problem of *der*, which holds no readable private key. *otherwise* is the default code."""
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


def read_public(given: str | bytes) -> rsa.RSAPublicKey:
    """Return the RSA public key in *given*, which may be wrapped.

    Raises a problem whose reason names what was given instead.
    """
    text = _checked(given)
    if pasted.is_empty(text):
        raise _invalid_public_key("It is empty.")
    return pasted.read_unwrapped(given, text, _read_public, _invalid_public_key)


def _read_public(text: str) -> rsa.RSAPublicKey:
    blocks = list(pasted.blocks(text))
    der = pasted.decode_base64((blocks[0].body or "") if blocks else text) or b""
    if "PRIVATE KEY" in text or _PRIVATE_BEGINNING.match(der):
        raise _invalid_public_key("It is the private key, which nobody else should see.")
    label = blocks[0].label if blocks else ""
    if label.endswith("CERTIFICATE REQUEST"):
        command = "'openssl req -in FILE -pubkey -noout'"
        raise _invalid_public_key(f"It is a request for a certificate. Give what {command} prints.")
    if label.startswith("PGP "):
        raise _invalid_public_key("It belongs to PGP.")
    key = _ssh_public(text) or _public_der(der) or _public_numbers(text)
    if not isinstance(key, rsa.RSAPublicKey):
        kinds = ((ec.EllipticCurvePublicKey, "EC"), (ed25519.Ed25519PublicKey, "Ed25519"), (dsa.DSAPublicKey, "DSA"))
        name = next((name for kind, name in kinds if isinstance(key, kind)), None)
        if name is None:
            raise _invalid_public_key("It is not an RSA public key, or not a whole one.")
        raise _invalid_public_key(f"It is {_article(name)} key, and Bitbucket takes RSA keys.")
    weakness = _weakness(key)
    if weakness:
        raise _invalid_public_key(weakness)
    return key


def _ssh_public(text: str) -> PublicKeyTypes | None:
    """Read a line of OpenSSH's, as in ``id_rsa.pub`` and ``authorized_keys``, or a file of RFC 4716."""
    line = _SSH_LINE.search(text)
    body = line[0] if line else None
    rfc4716 = _RFC4716.search(text)
    if rfc4716:
        body = "ssh-rsa " + "".join(rfc4716["body"].split())
    if body is None:
        return None
    try:
        return serialization.load_ssh_public_key(body.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None


def _public_numbers(text: str) -> PublicKeyTypes | None:
    try:
        numbers = _rsa_numbers(text) or {}
        key = rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key() if numbers else None
    except (BitbucketServerError, ValueError):
        return None
    if "d" in numbers:
        raise _invalid_public_key("It is the private key, which nobody else should see.")
    return key


def _invalid_public_key(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.PUBLIC_KEY_INVALID, reason)


def _public_der(der: bytes) -> PublicKeyTypes | None:
    try:
        return serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        pass
    try:
        return x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return None


def encode(label: str, characters: str, headers: str = "") -> str:
    """Return a block of PEM. *characters*: its base64 on one line. *headers*: the lines before it, or nothing."""
    lines = "\n".join(characters[start : start + 64] for start in range(0, len(characters), 64))
    return f"-----BEGIN {label}-----\n{headers}{lines}\n-----END {label}-----\n"


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "AEIOU" else f"a {word}"


def _rsa_numbers(text: str) -> dict[str, int] | None:
    """Return the numbers of an RSA key in *text*, by the names of JWK; ``None`` where it holds none.

    Raises ``private_key_not_rsa`` for a JWK of another kind, and ``private_key_truncated`` for a damaged number.
    """
    texts = _of_jwk(text) if "{" in text else {_NAMES_IN_XML[name]: value for name, value in _XML.findall(text)}
    if not texts or not {"n", "e"} <= texts.keys():
        return None
    return {name: _number(value) for name, value in texts.items()}


def _of_jwk(text: str) -> dict[str, str]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    keys = document.get("keys") if isinstance(document, dict) else None
    key = keys[0] if isinstance(keys, list) and keys else document
    if not isinstance(key, dict) or "kty" not in key:
        return {}
    if key["kty"] != "RSA":
        raise BitbucketServerError(Code.PRIVATE_KEY_NOT_RSA, "It is a JWK of another kind.")
    names = _NAMES_IN_XML.values()
    return {name: value for name, value in key.items() if name in names and isinstance(value, str)}


def _number(text: str) -> int:
    data = pasted.decode_base64(text.replace("-", "+").replace("_", "/")) or b""
    if not 0 < len(data) <= _LARGEST_NUMBER:
        raise BitbucketServerError(Code.PRIVATE_KEY_TRUNCATED, "One of its numbers is damaged.")
    return int.from_bytes(data)


def _private_key_of(numbers: dict[str, int]) -> rsa.RSAPrivateKey:
    """Return the private key. Raises ``private_key_is_public`` where its numbers are missing, and
    ``private_key_truncated`` for numbers of no key."""
    if "d" not in numbers:
        raise BitbucketServerError(Code.PRIVATE_KEY_IS_PUBLIC)
    e, n, d = numbers["e"], numbers["n"], numbers["d"]
    try:
        p, q = (numbers["p"], numbers["q"]) if {"p", "q"} <= numbers.keys() else rsa.rsa_recover_prime_factors(n, e, d)
        return rsa.RSAPrivateNumbers(
            p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(e, n)
        ).private_key()
    except (ValueError, ZeroDivisionError):
        raise BitbucketServerError(Code.PRIVATE_KEY_TRUNCATED, "Its numbers do not fit together.") from None
