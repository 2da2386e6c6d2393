"""Keys and tokens at rest, and the key pairs themselves."""

from __future__ import annotations

from ..mutant import Mutant
from ..subject import Subject
from ..suites import Group

_KEY_RING = "social_bitbucket_server/crypto/ring.py"
_KEYS = "social_bitbucket_server/crypto/rsa.py"
_PEM = "social_bitbucket_server/crypto/pem.py"
_SEALED = "social_bitbucket_server/organizations/sealing.py"
_CURRENT = "social_bitbucket_server/django/sealed_keys.py"
_TOKENS = "social_bitbucket_server/account/tokens.py"

_MUTANTS = (
    Mutant(
        "a record opens for every key id of its integration",
        _KEY_RING,
        "json.dumps([_VERSION, purpose, integration_id, key_id])",
        "json.dumps([_VERSION, purpose, integration_id])",
    ),
    Mutant(
        "a record opens for another purpose",
        _KEY_RING,
        "json.dumps([_VERSION, purpose, integration_id, key_id])",
        "json.dumps([_VERSION, integration_id, key_id])",
    ),
    Mutant(
        "a record opens where integration and key id are the same text joined",
        _KEY_RING,
        'json.dumps([_VERSION, purpose, integration_id, key_id]).encode("ascii")',
        '"".join((_VERSION, purpose, integration_id, key_id)).encode()',
    ),
    Mutant(
        "records are sealed with the oldest key of the ring",
        _KEY_RING,
        "newest, cipher = next(iter(self._ciphers.items()))",
        "newest, cipher = next(reversed(self._ciphers.items()))",
    ),
    Mutant(
        "every record is sealed with the same nonce",
        _KEY_RING,
        "nonce = os.urandom(_NONCE_BYTES)",
        "nonce = bytes(_NONCE_BYTES)",
    ),
    Mutant(
        "a damaged record is taken for one that is sealed with the newest key already",
        _KEY_RING,
        """        plaintext = self.open(record, purpose=purpose, integration_id=integration_id, key_id=key_id)
        if self.is_newest(record):
            return record
""",
        """        if self.is_newest(record):
            return record
        plaintext = self.open(record, purpose=purpose, integration_id=integration_id, key_id=key_id)
""",
    ),
    Mutant(
        "a ring may have keys of 128 bits",
        _KEY_RING,
        "if key is None or len(key) != _KEY_BYTES:",
        "if key is None or len(key) not in {16, _KEY_BYTES}:",
    ),
    Mutant(
        "a ring may have a key of zeros",
        _KEY_RING,
        """        if not any(key):
            raise _invalid(f"Key {number} is all zeros.")
""",
        "",
    ),
    Mutant(
        "a ring may have the same key twice",
        _KEY_RING,
        """        if key in keys.values():
            raise _invalid(f"Key {number} is the same as another one.")
""",
        "",
    ),
    Mutant(
        "a record that was changed opens, because base64 is read in several ways",
        _KEY_RING,
        "return data if _encode(data) == text else None",
        "return data",
    ),
    Mutant(
        "an RSA key with the public exponent 3 is accepted",
        _PEM,
        'return f"Its public exponent is {exponent}." if exponent < _LEAST_EXPONENT else ""',
        'return f"Its public exponent is {exponent}." if exponent < 3 else ""',
    ),
    Mutant(
        "an RSA key of 1024 bits is accepted",
        _PEM,
        "if key.key_size < LEAST_BITS:",
        "if key.key_size < LEAST_BITS // 2:",
    ),
    Mutant(
        "a key pair of any size is made",
        _KEYS,
        "        if bits not in BITS:",
        "        if bits < BITS[0]:",
    ),
    Mutant(
        "a private key that was pasted as the public one is refused without saying so",
        _PEM,
        'if "PRIVATE KEY" in text or _PRIVATE_BEGINNING.match(der):',
        "if _PRIVATE_BEGINNING.match(der):",
    ),
    Mutant(
        "a certificate's common name may have 65 bytes",
        _KEYS,
        'if not (0 < len(common_name.encode(errors="replace")) <= 64 and common_name.isprintable()):',
        'if not (0 < len(common_name.encode(errors="replace")) <= 65 and common_name.isprintable()):',
    ),
    Mutant(
        "a new consumer key has half its length",
        _KEYS,
        "return secrets.token_hex(20)",
        "return secrets.token_hex(10)",
    ),
    Mutant(
        "a private key stays opened after another ring took the place of its own",
        _CURRENT,
        "def current() -> SealedKeys:",
        "@lru_cache\ndef current() -> SealedKeys:",
    ),
    Mutant(
        "private keys and client secrets are sealed for one purpose",
        _SEALED,
        '_CLIENT_SECRET = "integration-client-secret"',
        '_CLIENT_SECRET = "integration-private-key"',
    ),
    Mutant(
        "a token is sent to another server after the base URL was changed",
        _TOKENS,
        """        if token.server != str(integration.server.url):
            raise BitbucketServerError(Code.TOKEN_MISSING, "The integration's base URL was changed.")
""",
        "",
    ),
    Mutant(
        "a token that ends in a moment is used",
        _TOKENS,
        "self.expires_at - 60 <= time.time()",
        "self.expires_at <= time.time()",
    ),
    Mutant(
        "a token is renewed after the time for it has passed",
        _TOKENS,
        "(self.renewable_until is None or time.time() < self.renewable_until)",
        "(self.renewable_until is None or time.time() < self.renewable_until + 86400)",
    ),
    Mutant(
        "the time until which a token can be renewed is read from the wrong field",
        _TOKENS,
        'fields["renewable_until"],',
        'fields["expires_at"],',
    ),
    Mutant(
        "the scope of a token is forgotten in the database",
        _TOKENS,
        'fields.get("scope", ""),',
        'fields.get("scopes", ""),',
    ),
    Mutant(
        "a token is said to be sealed anew whenever it was looked at",
        _TOKENS,
        "    return resealed != record\n",
        "    return resealed is not None\n",
    ),
)

_TESTS = (
    Group(
        ("tests/unit/crypto/test_ring.py", "tests/unit/account/test_tokens.py", "tests/unit/account/test_rest.py"),
        about=(
            _KEY_RING,
            _TOKENS,
        ),
    ),
    Group(("tests/unit/crypto/test_keys.py",), about=(_KEYS, _PEM)),
    Group(("tests/unit/cli/test_command_line.py",), "key", about=(_KEYS, _PEM)),
    Group(
        ("tests/frameworks/django/test_many_organizations.py", "tests/frameworks/django/test_commands.py"),
        "key or ring or record or secret",
        about=(
            _CURRENT,
            _KEY_RING,
            _SEALED,
        ),
    ),
    Group(
        ("tests/unit/organizations/test_sealing.py", "tests/unit/flask/organizations/test_integrations.py"),
        about=(
            _KEY_RING,
            _SEALED,
        ),
    ),
    Group(("tests/flow/test_calling_bitbucket.py",), about=(_TOKENS,)),
    Group(("tests/flow/test_rechecks.py", "tests/frameworks/django/test_rechecks.py"), about=(_TOKENS,)),
    Group(
        ("tests/security/test_secrets.py",),
        "not django and not flask",
    ),
)

SUBJECT = Subject("key ring", _MUTANTS, _TESTS)
