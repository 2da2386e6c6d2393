"""RSA key pairs: what is made, what is read, what is refused by name, and what never leaks."""

import base64
import copy
import functools
import json
import pickle
import re
import shutil
import string
import subprocess
import traceback
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, pkcs7
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from social_bitbucket_server.crypto import BITS, PrivateKey, PublicKey, new_consumer_key, refuse_forbidden_sha1
from social_bitbucket_server.crypto import rsa as keys
from social_bitbucket_server.problems import BitbucketServerError

pytestmark = pytest.mark.as_shipped  # the keys here are made once for all tests of the module
PASSPHRASE = "correct horse"


@functools.cache
def private_key():
    return PrivateKey.generate(2048)


@functools.cache
def another_key():
    return PrivateKey.generate(2048)


def pem():
    return private_key().pem()


N = (1 << 2048) + 1


def pkcs1(*numbers):
    """Return the DER of a private key with these numbers."""
    content = b"\x02\x01\x00"
    for number in numbers:
        value = number.to_bytes(number.bit_length() // 8 + 1)
        content += b"\x02\x82" + len(value).to_bytes(2) + value
    return b"\x30\x82" + len(content).to_bytes(2) + content


@functools.cache
def parsed():
    return serialization.load_pem_private_key(pem().encode(), None)


def dump(key, encoding=Encoding.PEM, form=PrivateFormat.PKCS8, encryption=None):
    return key.private_bytes(encoding, form, encryption or NoEncryption())


def traditional():
    return dump(parsed(), form=PrivateFormat.TraditionalOpenSSL).decode()


def encrypted(form=PrivateFormat.PKCS8, encoding=Encoding.PEM):
    return dump(parsed(), encoding, form, serialization.BestAvailableEncryption(PASSPHRASE.encode()))


def body(text):
    """Return PEM without its markers, on one line."""
    return "".join(line for line in text.splitlines() if "-----" not in line)


def base64_of(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def public_der(form=PublicFormat.SubjectPublicKeyInfo):
    return parsed().public_key().public_bytes(Encoding.DER, form)


def public_pem(form):
    return parsed().public_key().public_bytes(Encoding.PEM, form).decode()


def ssh_line(key):
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " jane@example.com"


@functools.cache
def signing_request():
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Acme")])
    return x509.CertificateSigningRequestBuilder(name).sign(parsed(), hashes.SHA256())


def certificate_der():
    return x509.load_pem_x509_certificate(private_key().certificate("Acme").encode()).public_bytes(Encoding.DER)


def wrapped(kind, data):
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(data).decode()}-----END {kind}-----\n"


@functools.cache
def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def dsa_key():
    return dsa.generate_private_key(1024)


@functools.cache
def short_key(bits):
    return rsa.generate_private_key(65537, bits)


@functools.cache
def exponent_three_key():
    return rsa.generate_private_key(3, 2048)


def flipped(data, position):
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def unknown_curve():
    """Return a PKCS#8 EC key whose curve has an object identifier that nobody assigned."""
    der = dump(ec_key(), Encoding.DER)
    return base64_of(der.replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f")))


def refusal(text, passphrase=None):
    with pytest.raises(BitbucketServerError) as caught:
        PrivateKey.read(text, passphrase)
    return caught.value


def key_fragments(text):
    """Return every piece of 16 characters of the key in *text*, so that no part of it goes unnoticed."""
    characters = body(text)
    return {characters[start : start + 16] for start in range(0, len(characters) - 16, 16)}


# Making


@pytest.mark.parametrize("bits", BITS)
def test_a_key_pair_of_each_offered_size_is_made(bits):
    key = PrivateKey.generate(bits)

    assert (key.bits, key.public.bits) == (bits, bits)


def test_a_key_pair_has_3072_bits_by_default():
    assert PrivateKey.generate().bits == 3072


def test_the_public_exponent_is_65537():
    assert parsed().public_key().public_numbers().e == 65537


@pytest.mark.parametrize("bits", [0, 512, 1024, 2047, 2049, 8192])
def test_a_key_pair_of_another_size_is_not_made(bits):
    with pytest.raises(BitbucketServerError) as caught:
        PrivateKey.generate(bits)

    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", "bits")


def test_a_consumer_key_is_short_plain_and_random():
    consumer_keys = {new_consumer_key() for _ in range(10_000)}

    assert len(consumer_keys) == 10_000
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{32,64}", consumer_key) for consumer_key in consumer_keys)


# Showing the public half


def test_the_public_half_is_shown_as_pem():
    shown = private_key().public.pem

    assert serialization.load_pem_public_key(shown.encode()).public_numbers() == parsed().public_key().public_numbers()
    assert shown.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert shown.endswith("\n-----END PUBLIC KEY-----\n")


def test_the_public_half_is_shown_exactly_as_others_write_pem():
    assert private_key().public.pem == public_pem(PublicFormat.SubjectPublicKeyInfo)


def test_the_public_half_is_shown_as_base64_on_one_line():
    assert private_key().public.base64 == base64_of(public_der())


def test_the_fingerprint_is_the_sha256_of_the_public_key():
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public_der())

    assert private_key().public.fingerprint == "SHA256:" + base64_of(digest.finalize()).rstrip("=")


def test_a_certificate_begins_with_its_marker():
    assert private_key().certificate("Acme").startswith("-----BEGIN CERTIFICATE-----\n")


def test_a_certificate_is_signed_by_its_own_key_with_sha256():
    certificate = x509.load_pem_x509_certificate(private_key().certificate("Acme").encode())

    certificate.verify_directly_issued_by(certificate)
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)


def test_a_certificate_carries_the_given_name():
    certificate = x509.load_pem_x509_certificate(private_key().certificate("Acmé Packages").encode())

    assert certificate.subject.rfc4514_string() == "CN=Acmé Packages"
    assert certificate.issuer == certificate.subject


def test_a_certificate_is_valid_for_ten_years():
    made = datetime(2028, 2, 29, 12, 0, tzinfo=UTC)
    certificate = x509.load_pem_x509_certificate(private_key().certificate("Acme", made).encode())

    assert certificate.not_valid_before_utc == made
    assert certificate.not_valid_after_utc == datetime(2038, 2, 28, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("name", ["", "x" * 65, "é" * 33, "a\nb", "\udcff"])
def test_a_certificate_is_not_made_for_a_name_that_it_cannot_carry(name):
    with pytest.raises(BitbucketServerError) as caught:
        private_key().certificate(name)

    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", "common_name")


# Signing


def test_a_signature_is_rsa_sha1():
    signature = private_key().sign_sha1(b"message")

    parsed().public_key().verify(signature, b"message", padding.PKCS1v15(), hashes.SHA1())


FORBIDDEN = [UnsupportedAlgorithm("sha1 is not supported"), InternalError("Unknown OpenSSL error", [])]


@pytest.mark.parametrize("error", FORBIDDEN, ids=lambda error: type(error).__name__)
def test_a_machine_that_forbids_sha1_is_named_so(monkeypatch, error):
    def forbid():
        raise error

    PrivateKey.read(pem()).sign_sha1(b"x")
    refuse_forbidden_sha1.__wrapped__()
    monkeypatch.setattr(keys.hashes, "SHA1", forbid)
    for sign in (lambda: PrivateKey.read(pem()).sign_sha1(b"x"), refuse_forbidden_sha1.__wrapped__):
        with pytest.raises(BitbucketServerError) as refused:
            sign()
        assert refused.value.code == "sha1_forbidden"


@pytest.mark.parametrize("error", [*FORBIDDEN, ValueError("invalid")], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("private_format", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_whole_key_that_the_machine_refuses_is_no_damaged_one(monkeypatch, error, private_format):
    def refuse(*_):
        raise error

    text = dump(parsed(), form=private_format)
    monkeypatch.setattr(keys.serialization, "load_der_private_key", refuse)
    assert refusal(text).code == "private_key_forbidden"


@pytest.mark.program
def test_openssl_verifies_a_signature_with_the_public_key_that_is_shown(tmp_path, must_be_there):
    must_be_there(shutil.which("openssl") is not None, "openssl")
    (tmp_path / "signature").write_bytes(private_key().sign_sha1(b"message"))
    (tmp_path / "public.pem").write_text(private_key().public.pem)

    verified = subprocess.run(
        ["openssl", "dgst", "-sha1", "-verify", "public.pem", "-signature", "signature"],
        input=b"message",
        cwd=tmp_path,
        check=False,
        capture_output=True,
    )

    assert verified.returncode == 0, verified.stderr


# Reading what people paste

READABLE = {
    "PKCS#8": pem,
    "PKCS#1": traditional,
    "PKCS#1 labelled as PKCS#8": lambda: traditional().replace("RSA ", ""),
    "PKCS#8 labelled as PKCS#1": lambda: pem().replace("PRIVATE", "RSA PRIVATE"),
    "END line of another label": lambda: pem().replace("END PRIVATE", "END RSA PRIVATE"),
    "CRLF": lambda: pem().replace("\n", "\r\n"),
    "CR": lambda: pem().replace("\n", "\r"),
    "no newline at the end": lambda: pem().rstrip(),
    "trailing spaces": lambda: pem().replace("\n", "  \t\n"),
    "indentation": lambda: "\n".join("    " + line for line in pem().splitlines()),
    "blank lines": lambda: "\n\n" + pem().replace("\n", "\n\n"),
    "no-break spaces": lambda: pem().replace("\n", "\u00a0\n\u00a0"),
    "byte order mark": lambda: "\ufeff" + pem(),
    "zero-width spaces": lambda: pem().replace("\n", "\u200b\n"),
    "straight quotes": lambda: f'"{pem()}"',
    "apostrophes": lambda: f"'{pem()}'",
    "typographic quotes": lambda: f"\u201c{pem()}\u201d",
    "a quoted string on each line": lambda: "\n".join(f'"{line}\\n"' for line in pem().splitlines()),
    "literal \\n": lambda: pem().replace("\n", "\\n"),
    "literal \\r\\n in quotes": lambda: '"' + pem().replace("\n", "\\r\\n") + '"',
    "literal \\\\n, escaped twice": lambda: pem().replace("\n", "\\\\n"),
    "continued lines": lambda: pem().replace("\n", "\\\n"),
    "an assignment": lambda: f'PRIVATE_KEY="{pem()}"',
    "collapsed to spaces": lambda: pem().replace("\n", " "),
    "collapsed to nothing": lambda: pem().replace("\n", ""),
    "typographic dashes": lambda: pem().replace("-----", "\u2014\u2013"),
    "lost hyphens": lambda: "--" + pem().strip().strip("-") + "--",
    "base64 of PKCS#8": lambda: body(pem()),
    "base64 of PKCS#1": lambda: body(traditional()),
    "base64 on many lines": lambda: "\n".join(pem().splitlines()[1:-1]),
    "base64 in quotes": lambda: f'"{body(pem())}"',
    "base64 without padding": lambda: body(pem()).rstrip("="),
    "base64 of the whole PEM": lambda: base64_of(pem()),
    "base64 of the whole PEM, on many lines": lambda: base64.encodebytes(pem().encode()).decode(),
    "base64 of PEM with CRLF": lambda: base64_of(pem().replace("\n", "\r\n")),
    "text around": lambda: f"Bag Attributes\n    friendlyName: acme\nKey Attributes: <none>\n{pem()}Regards, Jane\n",
    "a certificate after it": lambda: pem() + private_key().certificate("Acme"),
    "a certificate before it": lambda: private_key().certificate("Acme") + pem(),
    "the public key before it": lambda: private_key().public.pem + pem(),
    "the same key twice": lambda: pem() + pem(),
    "bytes": lambda: pem().encode(),
    "bytes with a byte order mark": lambda: pem().encode("utf-8-sig"),
    "bytes in UTF-16": lambda: pem().encode("utf-16"),
    "bytes in another encoding": lambda: b"friendlyName: Schl\xfcssel\n" + pem().encode(),
    "DER in PKCS#8": lambda: dump(parsed(), Encoding.DER),
    "DER in PKCS#1": lambda: dump(parsed(), Encoding.DER, PrivateFormat.TraditionalOpenSSL),
}


@pytest.mark.parametrize("how", READABLE)
def test_a_private_key_is_read_as_it_is_pasted(how):
    assert PrivateKey.read(READABLE[how]()) == private_key()


@pytest.mark.parametrize("how", READABLE)
def test_a_passphrase_that_is_not_needed_does_no_harm(how):
    assert PrivateKey.read(READABLE[how](), PASSPHRASE) == private_key()


ENCRYPTED = {
    "PKCS#8": lambda: encrypted().decode(),
    "PKCS#1": lambda: encrypted(PrivateFormat.TraditionalOpenSSL).decode(),
    "PKCS#8 on one line": lambda: encrypted().decode().replace("\n", " "),
    "PKCS#1 on one line": lambda: encrypted(PrivateFormat.TraditionalOpenSSL).decode().replace("\n", " "),
    "PKCS#1 with literal \\r\\n": lambda: encrypted(PrivateFormat.TraditionalOpenSSL).decode().replace("\n", "\\r\\n"),
    "base64 of PKCS#8": lambda: body(encrypted().decode()),
    "base64 of the whole PEM": lambda: base64_of(encrypted()),
    "DER": lambda: encrypted(encoding=Encoding.DER),
}


@pytest.mark.parametrize("how", ENCRYPTED)
def test_an_encrypted_private_key_is_read_with_its_passphrase(how):
    assert PrivateKey.read(ENCRYPTED[how](), PASSPHRASE) == private_key()


@pytest.mark.parametrize("passphrase", [None, "", "wrong", "\udcff"])
@pytest.mark.parametrize("how", ENCRYPTED)
def test_an_encrypted_private_key_is_not_read_without_its_passphrase(how, passphrase):
    assert refusal(ENCRYPTED[how](), passphrase).code == "private_key_encrypted"


@pytest.mark.parametrize(("passphrase", "word"), [(None, "No"), ("wrong", "not the right one")])
def test_a_missing_passphrase_and_a_wrong_one_are_told_apart(passphrase, word):
    assert word in refusal(encrypted(), passphrase).reason


def test_what_is_written_is_read_again():
    assert PrivateKey.read(private_key().pem()).pem() == private_key().pem()


# Refusing by name

REFUSED = {
    "nothing": ("private_key_missing", lambda: ""),
    "no bytes": ("private_key_missing", lambda: b""),
    "white space": ("private_key_missing", lambda: " \r\n\t\ufeff"),
    "literal newlines": ("private_key_missing", lambda: "\\n\\r\\n"),
    "empty quotes": ("private_key_missing", lambda: '""'),
    "the public key": ("private_key_is_public", lambda: private_key().public.pem),
    "the public key in PKCS#1": ("private_key_is_public", lambda: public_pem(PublicFormat.PKCS1)),
    "the public key's base64": ("private_key_is_public", lambda: private_key().public.base64),
    "the public key's PKCS#1 base64": ("private_key_is_public", lambda: base64_of(public_der(PublicFormat.PKCS1))),
    "the public key's DER": ("private_key_is_public", public_der),
    "an EC public key": (
        "private_key_is_public",
        lambda: base64_of(ec_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    ),
    "an ssh-rsa line": ("private_key_is_public", lambda: ssh_line(parsed())),
    "an ecdsa line": ("private_key_is_public", lambda: " " + ssh_line(ec_key())),
    "an SSH2 public key": (
        "private_key_is_public",
        lambda: "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----",
    ),
    "the public key labelled as private": (
        "private_key_is_public",
        lambda: private_key().public.pem.replace("PUBLIC", "PRIVATE"),
    ),
    "a certificate": ("private_key_is_certificate", lambda: private_key().certificate("Acme")),
    "a certificate's base64": ("private_key_is_certificate", lambda: base64_of(certificate_der())),
    "a trusted certificate": ("private_key_is_certificate", lambda: wrapped("TRUSTED CERTIFICATE", b"x")),
    "a signing request": (
        "private_key_is_certificate",
        lambda: signing_request().public_bytes(Encoding.PEM).decode(),
    ),
    "a signing request's base64": (
        "private_key_is_certificate",
        lambda: base64_of(signing_request().public_bytes(Encoding.DER)),
    ),
    "an EC key": ("private_key_not_rsa", lambda: dump(ec_key())),
    "an EC key in its own format": (
        "private_key_not_rsa",
        lambda: dump(ec_key(), form=PrivateFormat.TraditionalOpenSSL),
    ),
    "an EC key with its parameters": (
        "private_key_not_rsa",
        lambda: wrapped("EC PARAMETERS", b"\x06\x08") + dump(ec_key(), form=PrivateFormat.TraditionalOpenSSL).decode(),
    ),
    "an EC key's base64": ("private_key_not_rsa", lambda: base64_of(dump(ec_key(), Encoding.DER))),
    "an EC key on an unknown curve": ("private_key_not_rsa", unknown_curve),
    "an Ed25519 key": ("private_key_not_rsa", lambda: dump(ed25519.Ed25519PrivateKey.generate())),
    "an Ed448 key": ("private_key_not_rsa", lambda: dump(ed448.Ed448PrivateKey.generate())),
    "an X25519 key": ("private_key_not_rsa", lambda: dump(x25519.X25519PrivateKey.generate())),
    "a DSA key": ("private_key_not_rsa", lambda: dump(dsa_key())),
    "a DSA key in its own format": (
        "private_key_not_rsa",
        lambda: dump(dsa_key(), form=PrivateFormat.TraditionalOpenSSL),
    ),
    "an OpenSSH key": ("private_key_openssh", lambda: dump(parsed(), form=PrivateFormat.OpenSSH)),
    "an OpenSSH key's base64": (
        "private_key_openssh",
        lambda: body(dump(parsed(), form=PrivateFormat.OpenSSH).decode()),
    ),
    "1024 bits": ("private_key_weak", lambda: dump(short_key(1024))),
    "1536 bits": ("private_key_weak", lambda: dump(short_key(1536), form=PrivateFormat.TraditionalOpenSSL)),
    "exponent 3": ("private_key_weak", lambda: dump(exponent_three_key())),
    "no END line": ("private_key_truncated", lambda: pem()[:800]),
    "a cut END line": ("private_key_truncated", lambda: pem().rstrip()[:-20]),
    "no END line, then a certificate": (
        "private_key_truncated",
        lambda: pem()[:800] + "\n" + private_key().certificate("Acme"),
    ),
    "no BEGIN line": ("private_key_truncated", lambda: pem()[40:]),
    "markers alone": ("private_key_truncated", lambda: wrapped("PRIVATE KEY", b"")),
    "a missing line": ("private_key_truncated", lambda: pem().replace(pem().splitlines()[5] + "\n", "")),
    "a foreign character": ("private_key_truncated", lambda: pem().replace("A", "*", 1)),
    "a changed byte": ("private_key_truncated", lambda: base64_of(flipped(dump(parsed(), Encoding.DER), 700))),
    "a prime that is 1": ("private_key_truncated", lambda: base64_of(pkcs1(N, 65537, 3, 1, N, 1, 1, 1))),
    "a cut base64": ("private_key_truncated", lambda: body(pem())[:800]),
    "a cut base64 of one character too many": ("private_key_truncated", lambda: body(pem())[:801]),
    "a cut base64 of the whole PEM": ("private_key_truncated", lambda: base64_of(pem())[:1000]),
    "a cut base64 of the whole PEM, one character too many": (
        "private_key_truncated",
        lambda: base64_of(pem())[:1001],
    ),
    "a cut encrypted key": (
        "private_key_truncated",
        lambda: wrapped("ENCRYPTED PRIVATE KEY", encrypted(encoding=Encoding.DER)[:-50]),
    ),
    "two private keys": ("private_key_unreadable", lambda: pem() + another_key().pem()),
    "a sentence": ("private_key_unreadable", lambda: "the key is in the safe"),
    "a word": ("private_key_unreadable", lambda: "password"),
    "JSON": ("private_key_unreadable", lambda: '{"kty": "RSA", "n": "AQAB"}'),
    "a PuTTY key": ("private_key_in_container", lambda: "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\n"),
    "a PGP key": ("private_key_unreadable", lambda: wrapped("PGP PRIVATE KEY BLOCK", b"x")),
    "PKCS#7": (
        "private_key_unreadable",
        lambda: pkcs7.serialize_certificates([x509.load_der_x509_certificate(certificate_der())], Encoding.PEM),
    ),
    "random bytes": ("private_key_unreadable", lambda: bytes(range(128, 256))),
    "too long a text": ("private_key_unreadable", lambda: pem() + " " * 64 * 1024),
    "too many bytes": ("private_key_unreadable", lambda: pem().encode() + b"\0" * 64 * 1024),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_usable_private_key_is_refused_by_name(what):
    code, text = REFUSED[what]

    error = refusal(text())

    assert (error.code, error.parameter) == (code, "private_key")


@pytest.mark.parametrize("what", [*REFUSED, *ENCRYPTED])
def test_a_refusal_holds_nothing_of_the_key(what):
    text = REFUSED[what][1]() if what in REFUSED else ENCRYPTED[what]()
    error = refusal(text, "wrong passphrase")

    shown = f"{error} {error!r} {error.args} {vars(error)}"

    assert "wrong passphrase" not in shown
    assert not [fragment for fragment in key_fragments(pem()) if fragment in shown]
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:800],
        lambda text: text.replace("A", "*", 1),
        lambda text: body(text)[:800],
        lambda text: base64_of(text)[:1000],
        lambda text: text + another_key().pem(),
    ],
)
def test_a_traceback_with_local_variables_holds_nothing_of_the_key(damage):
    try:
        PrivateKey.read(damage(pem()))
    except BitbucketServerError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    assert "BitbucketServerError" in shown
    assert not [fragment for fragment in key_fragments(pem()) if fragment in shown]


@pytest.mark.parametrize(
    ("key", "word"),
    [
        (ec_key, "EC"),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
        (ed448.Ed448PrivateKey.generate, "Ed448"),
        (dsa_key, "DSA"),
    ],
)
def test_the_reason_names_the_kind_of_key(key, word):
    assert word in refusal(dump(key())).reason


def test_the_reason_names_the_size_of_a_weak_key():
    assert "1024 bits" in refusal(dump(short_key(1024))).reason


_ANYTHING = st.text(st.characters(codec=None), max_size=400)
_PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "-----BEGIN PRIVATE KEY-----",
                "-----END PRIVATE KEY-----",
                "-----BEGIN RSA PRIVATE KEY-----",
                "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n",
                "-----BEGIN CERTIFICATE-----",
                "-----END CERTIFICATE-----",
                "\\n",
                "\n",
                "ssh-rsa ",
                "MII",
                "LS0tLS1CRUdJTiBQ",
            ]
        ),
        st.text(string.ascii_letters + string.digits + "+/=", max_size=80),
        st.binary(max_size=60).map(base64_of),
    ),
    max_size=8,
).map("".join)


@st.composite
def _damaged(draw):
    text = draw(st.sampled_from([pem, traditional, lambda: body(pem()), lambda: base64_of(pem())]))()
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 200)))
    return text[:start] + draw(st.text(max_size=20)) + text[end:]


@given(st.one_of(_ANYTHING, _PIECES, _damaged(), st.binary(max_size=400)), st.sampled_from([None, "x"]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_anything_is_either_read_or_refused(text, passphrase):
    try:
        key = PrivateKey.read(text, passphrase)
    except BitbucketServerError as error:
        assert error.code.startswith("private_key_")  # noqa: PT017 - both outcomes are right
    else:
        assert key == private_key()


@pytest.mark.parametrize("text", ["-" * 60_000, "--BEGIN " + " " * 60_000, "\\" * 60_000, "--BEGIN A" * 6_000])
def test_a_text_made_to_slow_the_search_down_is_refused(text):
    assert refusal(text).code in {"private_key_missing", "private_key_unreadable", "private_key_truncated"}


# Reading public keys


@pytest.mark.parametrize(
    "text",
    [
        lambda: private_key().public.pem,
        lambda: private_key().public.pem.replace("\n", "\\n"),
        lambda: private_key().public.pem.encode(),
        lambda: private_key().public.base64,
        lambda: public_pem(PublicFormat.PKCS1),
        lambda: private_key().certificate("Acme"),
        lambda: base64_of(certificate_der()),
        public_der,
    ],
    ids=["PEM", "literal newlines", "bytes", "base64", "PKCS#1", "certificate", "certificate's base64", "DER"],
)
def test_a_public_key_is_read_in_every_form_in_which_it_is_shown(text):
    assert PublicKey.read(text()) == private_key().public


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (lambda: "", "It is empty."),
        (lambda: "nonsense", "not an RSA public key"),
        (lambda: "x" * 64 * 1024 + "x", "64 KiB"),
        (lambda: private_key().public.pem[:300], "not a whole one"),
        (lambda: dump(ec_key()).decode(), "private key"),
        (pem, "private key"),
        (lambda: body(pem()), "private key"),
        (
            lambda: ec_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "an EC key",
        ),
        (lambda: short_key(1024).public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1), "1024 bits"),
        (lambda: exponent_three_key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1), "exponent is 3"),
    ],
)
def test_what_is_no_usable_public_key_is_refused_with_a_reason(text, word):
    with pytest.raises(BitbucketServerError) as caught:
        PublicKey.read(text())

    assert (caught.value.code, caught.value.parameter) == ("public_key_invalid", "public_key")
    assert word in caught.value.reason


# Keeping it to itself


@pytest.mark.parametrize("show", [repr, str, ascii, "{}".format, lambda key: repr({"key": [key]})])
def test_a_private_key_shows_its_size_and_fingerprint_only(show):
    shown = show(private_key())

    assert f"<PrivateKey 2048 bits {private_key().public.fingerprint}>" in shown
    assert not [fragment for fragment in key_fragments(pem()) if fragment in shown]


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars])
def test_a_private_key_cannot_be_taken_out_in_passing(take):
    with pytest.raises(TypeError):
        take(private_key())


def test_private_keys_are_equal_when_their_public_halves_are():
    assert PrivateKey.read(traditional()) == private_key()
    assert hash(PrivateKey.read(traditional())) == hash(private_key())
    assert private_key() != another_key()
    assert private_key() != private_key().public


def of_an_impossible_version():
    der = x509.load_pem_x509_certificate(private_key().certificate("x").encode()).public_bytes(Encoding.DER)
    return base64.b64encode(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01", 1)).decode()


@pytest.mark.parametrize(
    ("read", "code"), [(PublicKey.read, "public_key_invalid"), (PrivateKey.read, "private_key_unreadable")]
)
def test_a_certificate_of_an_impossible_version_is_refused(read, code):
    with pytest.raises(BitbucketServerError) as caught:
        read(of_an_impossible_version())
    assert caught.value.code == code
