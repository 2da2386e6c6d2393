import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from social_bitbucket_server.sandbox.oauth1.public_keys import UnreadablePublicKeyError, read_public_key

from .conftest import pem, public_pem


def certificate(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Acme")])
    made = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, made, made + dt.timedelta(days=3650))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.fixture(scope="session")
def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


def test_a_certificate_is_read(rsa_key):
    assert read_public_key(certificate(rsa_key)) == rsa_key.public_key()


@pytest.mark.parametrize("change", [str.strip, lambda text: f"\n {text}", lambda text: text.replace("\n", "\r\n")])
def test_a_public_key_is_read_with_and_without_space_around(rsa_key, change):
    assert read_public_key(change(public_pem(rsa_key))) == rsa_key.public_key()


@pytest.mark.parametrize("joint", ["\n", ""])
def test_bare_base64_is_read(rsa_key, joint):
    assert read_public_key(joint.join(public_pem(rsa_key).splitlines()[1:-1])) == rsa_key.public_key()


def refusal(text):
    with pytest.raises(UnreadablePublicKeyError) as caught:
        read_public_key(text)
    return str(caught.value)


def test_a_certificate_must_start_with_its_begin_line(rsa_key):
    assert "must start with its BEGIN line" in refusal(f"\n{certificate(rsa_key)}")


def test_a_damaged_certificate_is_refused(rsa_key):
    assert "cannot be read" in refusal(certificate(rsa_key).replace("M", "N"))


def test_pkcs_1_is_refused_by_name(rsa_key):
    old = rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
    assert "RSA PUBLIC KEY" in refusal(old)


def test_an_ssh_key_is_refused_by_name(rsa_key):
    assert "SSH" in refusal(rsa_key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def test_a_private_key_is_refused_by_name(rsa_key):
    assert "private key" in refusal(pem(rsa_key))


def test_elliptic_curves_are_refused(ec_key):
    assert refusal(public_pem(ec_key)) == refusal(certificate(ec_key)) == "It is not an RSA key."


@pytest.mark.parametrize("text", ["garbage", "QUJD", "-----BEGIN PUBLIC KEY-----\nQUJD\n-----END PUBLIC KEY-----", "ü"])
def test_anything_else_is_refused(text):
    assert refusal(text) == "It is neither a certificate nor a public key."
