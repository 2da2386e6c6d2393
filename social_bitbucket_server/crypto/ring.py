"""Private keys at rest: sealed by a ring of keys that the operator keeps apart from the database."""

from __future__ import annotations

import base64
import json
import os
import re
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..problems import BitbucketServerError, Code
from .secret import opaque

_VERSION = "v1"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID = re.compile(r"[1-9][0-9]{0,8}")


class KeyRing:
    """A ring of AES-256 keys, newest first: the first one seals, every one opens.

    To rotate, put a new key in front, pass every stored record through :meth:`reseal`, and take the old key off. The
    ring shows the ids of its keys and nothing else, and cannot be pickled or copied.
    """

    __slots__ = ("_ciphers",)

    def __init__(self, keys: dict[int, bytes]) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}

    @classmethod
    @opaque
    def parse(cls, text: str) -> KeyRing:
        """Read a ring as it is configured: ``2:<base64>,1:<base64>``, each key 32 bytes.

        Raises ``key_ring_invalid`` with a reason that says which entry is wrong, and never holds a key.
        """
        try:
            return cls(_keys(text))
        except BitbucketServerError as error:
            raise BitbucketServerError(error.code, error.reason, parameter="key_ring") from None

    @staticmethod
    def generate() -> str:
        """Return the text of a new ring with one random key, whose id is 1."""
        return "1:" + _encode(os.urandom(_KEY_BYTES))

    @opaque
    def seal(self, plaintext: bytes, *, purpose: str, integration_id: str, key_id: str) -> str:
        """Encrypt *plaintext* with the newest key.

        The record opens for the same *purpose*, *integration_id* and *key_id* only, so that it is of no use in
        another place of the database.
        """
        newest, cipher = next(iter(self._ciphers.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = cipher.encrypt(nonce, plaintext, _context(purpose, integration_id, key_id))
        return f"{_VERSION}.{newest}.{_encode(nonce)}.{_encode(sealed)}"

    @opaque
    def open(self, record: str, *, purpose: str, integration_id: str, key_id: str) -> bytes:
        """Decrypt a *record* that :meth:`seal` made. Raises ``sealed_key_unopenable``."""
        cipher_id, nonce, sealed = _parts(record)
        cipher = self._ciphers.get(cipher_id)
        if cipher is None:
            raise _unopenable(f"The ring has no key {cipher_id}.")
        try:
            return cipher.decrypt(nonce, sealed, _context(purpose, integration_id, key_id))
        except InvalidTag:
            raise _unopenable(
                f"The ring's key {cipher_id} is another one, or the record was changed or belongs elsewhere."
            ) from None

    @opaque
    def reseal(self, record: str, *, purpose: str, integration_id: str, key_id: str) -> str:
        """Return *record* itself if the newest key sealed it, or else a new record that this key seals.

        Raises ``sealed_key_unopenable``.
        """
        plaintext = self.open(record, purpose=purpose, integration_id=integration_id, key_id=key_id)
        if self.is_newest(record):
            return record
        return self.seal(plaintext, purpose=purpose, integration_id=integration_id, key_id=key_id)

    def is_newest(self, record: str) -> bool:
        """Return whether the newest key sealed *record*. Raises ``sealed_key_unopenable`` for another text."""
        return _parts(record)[0] == next(iter(self._ciphers))

    def __repr__(self) -> str:
        return f"<KeyRing {', '.join(map(str, self._ciphers))}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A key ring is not pickled or copied.")


def _keys(text: str) -> dict[int, bytes]:
    if not text.strip():
        raise _invalid("It is empty.")
    keys: dict[int, bytes] = {}
    for position, entry in enumerate(text.split(","), start=1):
        number, colon, encoded = entry.strip().partition(":")
        if not colon:
            raise _invalid(f"Entry {position} is not of the form number:key.")
        if not _ID.fullmatch(number):
            raise _invalid(f"What stands before the colon of entry {position} is not an integer from 1 on.")
        key = _decode(encoded)
        if key is None or len(key) != _KEY_BYTES:
            raise _invalid(f"Key {number} is not the base64 of {_KEY_BYTES} bytes.")
        if not any(key):
            raise _invalid(f"Key {number} is all zeros.")
        if int(number) in keys:
            raise _invalid(f"There are two keys {number}.")
        if key in keys.values():
            raise _invalid(f"Key {number} is the same as another one.")
        keys[int(number)] = key
    return keys


def _parts(record: str) -> tuple[int, bytes, bytes]:
    version, *parts = record.split(".")
    if version == _VERSION and len(parts) == 3 and _ID.fullmatch(parts[0]):
        nonce, sealed = map(_decode, parts[1:])
        if nonce is not None and len(nonce) == _NONCE_BYTES and sealed is not None:
            return int(parts[0]), nonce, sealed
    raise _unopenable("The record is not one that a key ring made.")


def _context(purpose: str, integration_id: str, key_id: str) -> bytes:
    """Return the associated data. It is a JSON list, because joined text could be the same for different parts."""
    return json.dumps([_VERSION, purpose, integration_id, key_id]).encode("ascii")


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes | None:
    """Return the bytes in *text*, or ``None`` if it is not their canonical base64."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if _encode(data) == text else None


def _invalid(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.KEY_RING_INVALID, reason, parameter="KEY_RING")


def _unopenable(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.SEALED_KEY_UNOPENABLE, reason, parameter="encryption_key")
