"""Keys as other programs write and wrap them, and what holds no key."""

import base64
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from social_bitbucket_server.crypto import PrivateKey, PublicKey
from social_bitbucket_server.crypto.pasted import unwrapped
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport.certificates import read_certificates
from tests.prepared import KeyPool

KEY = KeyPool().take()
PEM = KEY.pem()
RAW = serialization.load_pem_private_key(PEM.encode(), None)
PKCS1 = RAW.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
).decode()
DER = base64.b64decode("".join(PEM.splitlines()[1:-1]))
SSH = RAW.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
PUBLIC = KEY.public.pem
NUMBERS = RAW.private_numbers()


def numbered(value):
    """Return no id of a value that differs between the processes that run the tests."""
    return "" if isinstance(value, bytes) or len(str(value)) > 60 else None


def once(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def wrapped(text, width=76):
    return "\n".join(text[start : start + width] for start in range(0, len(text), width))


def jwk(*names):
    values = {
        "n": NUMBERS.public_numbers.n,
        "e": NUMBERS.public_numbers.e,
        "d": NUMBERS.d,
        "p": NUMBERS.p,
        "q": NUMBERS.q,
    }
    chosen = {name: values[name].to_bytes((values[name].bit_length() + 7) // 8) for name in names}
    return {"kty": "RSA"} | {name: base64.urlsafe_b64encode(data).decode().rstrip("=") for name, data in chosen.items()}


def xml():
    names = {"Modulus": NUMBERS.public_numbers.n, "Exponent": 65537, "P": NUMBERS.p, "Q": NUMBERS.q, "D": NUMBERS.d}
    parts = (f"<{name}>{once(value.to_bytes((value.bit_length() + 7) // 8))}</{name}>" for name, value in names.items())
    return f"<RSAKeyValue>{''.join(parts)}</RSAKeyValue>"


SECRET = f"""apiVersion: v1
kind: Secret
metadata:
  name: bitbucket
type: kubernetes.io/tls
data:
  tls.crt: {once("-----BEGIN CERTIFICATE-----" + chr(10) + "AAAA" * 20)}
  tls.key: {once(PEM)}
"""


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"data:\n  key: |\n    {wrapped(once(PEM)).replace(chr(10), chr(10) + '    ')}\n  other: x\n",
        json.dumps({"data": {"private_key": once(PEM)}}),
        f"BITBUCKET_PRIVATE_KEY={once(PEM)}\n",
        f'export BITBUCKET_PRIVATE_KEY="{once(PEM)}"',
        f"BITBUCKET_PRIVATE_KEY={once(DER)}",
        once(once(PEM)),
        wrapped(once(wrapped(once(PEM)))),
        once(once(DER)),
        quote(PEM, safe=""),
        quote_plus(PEM),
        quote(once(PEM), safe=""),
        PEM.replace("\n", "n"),
        PEM.replace("\n", "rn"),
        PKCS1.replace("\n", "n"),
        f"KEY={PEM.replace(chr(10), 'n')}",
        json.dumps(jwk("n", "e", "d", "p", "q")),
        json.dumps({"keys": [jwk("n", "e", "d")]}),
        xml(),
        PEM.encode("utf-16"),
        once(PEM.encode("utf-16")),
        PEM.encode("utf-16-le"),
        PEM.encode("utf-16-be"),
        once(DER).replace("+", "-").replace("/", "_"),
    ],
    ids=numbered,
)
def test_a_private_key_is_taken_out_of_what_it_is_wrapped_in(text):
    assert PrivateKey.read(text) == KEY


@pytest.mark.parametrize("newline", ["n", "rn"])
@pytest.mark.parametrize("last", ["AAAr", "AAAn", "AArn", "AAA="])
def test_lost_backslashes_take_no_letter_of_the_last_line_with_them(newline, last):
    text = newline.join(["-----BEGIN PRIVATE KEY-----", "A" * 64, last, "-----END PRIVATE KEY-----"])
    _, mended = unwrapped(text)
    assert mended.splitlines()[1:3] == ["A" * 64, last]


JAVA_KEYSTORE = b"\xfe\xed\xfe\xed" + bytes(range(256))
PKCS12 = pkcs12.serialize_key_and_certificates(b"x", RAW, None, None, serialization.NoEncryption())


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        (PKCS12, "private_key_in_container", "openssl pkcs12 -in FILE"),
        (once(PKCS12), "private_key_in_container", "openssl pkcs12 -in FILE"),
        (JAVA_KEYSTORE, "private_key_in_container", "keytool -importkeystore"),
        ("PuTTY-User-Key-File-3: ssh-rsa\n", "private_key_in_container", "puttygen FILE"),
        (f"data:\n  key.p12: {once(PKCS12)}\n", "private_key_in_container", "openssl pkcs12 -in FILE"),
        (f"data:\n  key.jks: {once(JAVA_KEYSTORE)}\n", "private_key_in_container", "keytool -importkeystore"),
        (once("PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none"), "private_key_in_container", "puttygen FILE"),
        ("$ANSIBLE_VAULT;1.1;AES256\n6233\n", "private_key_in_container", "ansible-vault decrypt"),
        ("key: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6233\n", "private_key_in_container", "ansible-vault decrypt"),
        ("key: ENC[AES256_GCM,data:abc,iv:x,tag:y,type:str]\n", "private_key_in_container", "sops decrypt"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "private_key_in_container", "git lfs pull"),
        ("-----BEGIN PGP MESSAGE-----\nx\n-----END PGP MESSAGE-----", "private_key_in_container", "gpg --decrypt"),
        ("kind: SealedSecret\nspec: {}\n", "private_key_in_container", "kubectl get secret"),
        ("/etc/app/bitbucket.pem", "private_key_is_path", "path"),
        ("bitbucket.pem", "private_key_is_path", "path"),
        ("~/keys/bitbucket", "private_key_is_path", "path"),
        ("file:///run/secrets/key", "private_key_is_path", "path"),
        ("C:\\keys\\bitbucket", "private_key_is_path", "path"),
        ("C:/keys/bitbucket", "private_key_is_path", "path"),
        ("$HOME/keys/bitbucket", "private_key_is_path", "path"),
        ("%USERPROFILE%\\bitbucket", "private_key_is_path", "path"),
        ("@/run/secrets/key", "private_key_is_path", "path"),
        ("${BITBUCKET_KEY}", "private_key_not_filled_in", "placeholder"),
        ('"$BITBUCKET_KEY"', "private_key_not_filled_in", "placeholder"),
        ("%BITBUCKET_KEY%", "private_key_not_filled_in", "placeholder"),
        ("{{ .Values.key }}", "private_key_not_filled_in", "placeholder"),
        ("vault:secret/data/acme#key", "private_key_not_filled_in", "placeholder"),
        ("op://vault/item/key", "private_key_not_filled_in", "placeholder"),
        ("arn:aws:secretsmanager:eu-west-1:1:secret:x", "private_key_not_filled_in", "placeholder"),
        ("@Microsoft.KeyVault(SecretUri=https://x)", "private_key_not_filled_in", "placeholder"),
        ("<your private key>", "private_key_not_filled_in", "placeholder"),
        ("changeme", "private_key_not_filled_in", "placeholder"),
        ("your-private-key", "private_key_not_filled_in", "placeholder"),
        ("${{ secrets.KEY }}", "private_key_not_filled_in", "placeholder"),
        ("{key}", "private_key_not_filled_in", "placeholder"),
        ("@@KEY@@", "private_key_not_filled_in", "placeholder"),
        ("[REDACTED]", "private_key_not_filled_in", "placeholder"),
        ("ENC(x2Fz)", "private_key_not_filled_in", "placeholder"),
        ("hashivault://secret/key", "private_key_not_filled_in", "reference"),
        ("s3://bucket/key.pem", "private_key_not_filled_in", "reference"),
        (json.dumps({"kty": "EC"}), "private_key_not_rsa", "JWK"),
        (json.dumps(jwk("n", "e")), "private_key_is_public", ""),
        (json.dumps(jwk("n", "e", "d") | {"d": "AQAB"}), "private_key_truncated", "do not fit together"),
        ("correct horse battery staple", "private_key_unreadable", ""),
    ],
    ids=numbered,
)
def test_what_holds_no_key_that_can_be_read_is_named(text, code, says):
    with pytest.raises(BitbucketServerError) as caught:
        PrivateKey.read(text)
    assert caught.value.code == code
    assert says in caught.value.reason


def rfc4716():
    body = wrapped(SSH.split()[1], 70)
    return f'---- BEGIN SSH2 PUBLIC KEY ----\nComment: "2048-bit RSA"\n{body}\n---- END SSH2 PUBLIC KEY ----\n'


@pytest.mark.parametrize(
    "text",
    [
        SSH,
        f"{SSH} jane@example\n",
        f'from="10.0.0.1" {SSH}',
        rfc4716(),
        json.dumps(jwk("n", "e")),
        once(PUBLIC),
        once(SSH),
        SSH.encode(),
    ],
    ids=numbered,
)
def test_a_public_key_is_read_as_other_programs_write_it(text):
    assert PublicKey.read(text) == KEY.public


ED25519 = ed25519.Ed25519PrivateKey.generate().public_key()
SHORT = rsa.generate_private_key(65537, 1024).public_key()


def openssh(key):
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (openssh(ED25519), "It is an Ed25519 key"),
        (openssh(SHORT), "It has 1024 bits."),
        (SSH[:200], "not a whole one"),
        ("/etc/app/bitbucket.pub.pem", "path"),
        ("${PUBLIC_KEY}", "placeholder"),
        ("", "It is empty."),
        ("-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----", "openssl req -in FILE"),
        (json.dumps(jwk("n", "e", "d")), "private key"),
    ],
    ids=numbered,
)
def test_what_is_no_usable_public_key_is_named(text, says):
    with pytest.raises(BitbucketServerError) as caught:
        PublicKey.read(text)
    assert (caught.value.code, says in caught.value.reason) == ("public_key_invalid", True)


@pytest.mark.parametrize(
    "text", ["A" * 65536, "%0A" * 20000, "{{" * 30000, "AAAA\n" * 13000, "-----BEGIN A-----n" * 3000]
)
def test_no_text_wraps_without_end(text):
    with pytest.raises(BitbucketServerError):
        PrivateKey.read(text)


@pytest.mark.parametrize(
    "text",
    [
        " " * 60_000 + "x",
        "'" + "\n" * 60_000 + "'x",
        "<D>" + " " * 60_000,
        "<D>" * 20_000,
        "---- BEGIN SSH2 PUBLIC KEY ----" + "\n" * 60_000 + "!",
    ],
    ids=numbered,
)
@pytest.mark.parametrize("read", [PrivateKey.read, PublicKey.read, read_certificates])
def test_nothing_takes_long_to_read(text, read):
    began = time.process_time()
    with pytest.raises(BitbucketServerError):
        read(text)
    assert time.process_time() - began < 5
