"""RSA keys that are written as their numbers: JWK (RFC 7517) and .NET's XML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import rsa

from ..problems import BitbucketServerError, Code
from .pasted import decode_base64

_LARGEST = 16384 // 8
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


def rsa_numbers(text: str) -> dict[str, int] | None:
    """Return the numbers of an RSA key in *text*, by the names of JWK; ``None`` where it holds none.

    Raises ``private_key_not_rsa`` for a JWK of another kind, and ``private_key_truncated`` for a damaged number.
    """
    texts = _of_jwk(text) if "{" in text else {_NAMES_IN_XML[name]: value for name, value in _XML.findall(text)}
    if not texts or not {"n", "e"} <= texts.keys():
        return None
    return {name: _number(value) for name, value in texts.items()}


def _of_jwk(text: str) -> Mapping[str, str]:
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
    data = decode_base64(text.replace("-", "+").replace("_", "/")) or b""
    if not 0 < len(data) <= _LARGEST:
        raise BitbucketServerError(Code.PRIVATE_KEY_TRUNCATED, "One of its numbers is damaged.")
    return int.from_bytes(data)


def public_key_of(numbers: Mapping[str, int]) -> rsa.RSAPublicKey:
    """Return the public key. Raises ``private_key_truncated`` for numbers of no key."""
    try:
        return rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key()
    except ValueError:
        raise _misfit() from None


def private_key_of(numbers: Mapping[str, int]) -> rsa.RSAPrivateKey:
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
        raise _misfit() from None


def _misfit() -> BitbucketServerError:
    return BitbucketServerError(Code.PRIVATE_KEY_TRUNCATED, "Its numbers do not fit together.")
