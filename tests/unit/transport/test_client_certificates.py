"""Client certificates as people give them."""

import base64
import ssl
import traceback
from functools import cache
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from social_bitbucket_server.crypto import LONGEST, Secret
from social_bitbucket_server.integration import integration_from_fields, single_oauth2_integration
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import read_client_certificate, ssl_context
from social_bitbucket_server.transport.client_certificates import load_client_certificate
from tests.client_certificates import issue


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def given(authority):
    return issue(authority)


def problem(call, *arguments):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments)
    return caught.value


@cache
def pem(make, encryption=None, form=serialization.PrivateFormat.PKCS8):
    chosen = serialization.BestAvailableEncryption(encryption) if encryption else serialization.NoEncryption()
    return make().private_bytes(serialization.Encoding.PEM, form, chosen).decode()


def encoded(make, encryption=None):
    return "".join(pem(make, encryption).splitlines()[1:-1])


def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    "paste",
    [
        lambda text: text,
        lambda text: f"Here it is:\r\n\r\n{text}\n-- \nYour admin",
        lambda text: text.replace("\n", "\\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "".join(text.splitlines()[1:-1]),
        lambda text: f"data: {base64.b64encode(text.encode()).decode()}",
        quote,
    ],
)
def test_what_people_paste_becomes_clean_pem(given, paste):
    read = read_client_certificate(paste(given.client_certificate), paste(given.client_key))
    assert read == tuple(given)
    assert isinstance(read.key, Secret)
    assert given.client_key.splitlines()[1] not in repr(read)


def test_one_text_may_hold_both(given):
    both = given.client_key + given.client_certificate
    read = read_client_certificate(both, both)
    assert read == tuple(given)
    assert "PRIVATE KEY" not in read.certificate


def test_files_may_be_der(fields, given, tmp_path):
    for name, text in given._asdict().items():
        (tmp_path / name).write_bytes(base64.b64decode("".join(text.splitlines()[1:-1])))
    files = {f"{name}_file": tmp_path / name for name in given._fields}
    found = integration_from_fields("a", fields | files)
    assert (found.server.client_certificate, found.server.client_key) == given


def test_certificates_may_be_pkcs7(authority, given):
    chain = [x509.load_pem_x509_certificate(each.encode()) for each in (given[0], authority.cert_pem.bytes().decode())]
    text = pkcs7.serialize_certificates(chain, serialization.Encoding.PEM).decode()
    assert read_client_certificate(text, given.client_key).certificate.startswith(given.client_certificate)


def test_pkcs12_comes_with_the_command_that_converts_it(fields, given, tmp_path):
    path = tmp_path / "client.p12"
    key = serialization.load_pem_private_key(given.client_key.encode(), None)
    certificate = x509.load_pem_x509_certificate(given.client_certificate.encode())
    encryption = serialization.BestAvailableEncryption(b"secret")
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"client", key, certificate, None, encryption))
    refused = problem(integration_from_fields, "a", fields | {"client_certificate_file": path, "client_key_file": path})
    assert (refused.code, refused.parameter) == ("client_certificate_invalid", "client_certificate_file")
    assert "openssl pkcs12 -in FILE -nodes" in refused.reason


def test_a_key_in_a_file_is_named_as_the_file(fields, given, tmp_path):
    (tmp_path / "client.key").write_text(pem(ec_key))
    shown = {"client_certificate": given.client_certificate, "client_key_file": tmp_path / "client.key"}
    refused = problem(integration_from_fields, "a", fields | shown)
    assert (refused.code, refused.parameter) == ("client_key_mismatch", "client_key_file")


def test_intermediate_certificates_follow(authority):
    intermediate = authority.create_child_ca()
    assert issue(intermediate).client_certificate.count("BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize(
    ("certificate", "key", "code", "words"),
    [
        ("", None, "client_certificate_invalid", "empty"),
        (lambda: pem(ec_key), None, "client_certificate_invalid", "no certificate beside the private key"),
        ("nothing", None, "client_certificate_invalid", "not a certificate in PEM"),
        ("x" * (LONGEST + 1), None, "client_certificate_invalid", "longer than"),
        (None, "", "client_key_invalid", "not a private key in PEM"),
        (None, "x" * (LONGEST + 1), "client_key_invalid", "longer than"),
        (None, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "client_key_invalid", "damaged"),
        (None, lambda: encoded(ec_key, b"secret"), "client_key_encrypted", ""),
        (None, "/etc/client.key", "client_key_invalid", "path of a file"),
        (None, lambda: pem(ec_key)[:-40], "client_key_invalid", "not a private key in PEM"),
        (None, lambda: pem(lambda: dsa.generate_private_key(2048)), "client_key_invalid", "RSA, EC"),
        (
            None,
            lambda: pem(ec_key, form=serialization.PrivateFormat.OpenSSH),
            "client_key_invalid",
            "ssh-keygen -p -m PEM",
        ),
        (None, lambda: pem(ec_key, b"secret"), "client_key_encrypted", ""),
        (
            None,
            lambda: pem(ec_key, b"secret", serialization.PrivateFormat.TraditionalOpenSSL),
            "client_key_encrypted",
            "",
        ),
        (None, lambda: pem(ec_key), "client_key_mismatch", ""),
        (None, lambda: pem(ed25519.Ed25519PrivateKey.generate), "client_key_mismatch", ""),
    ],
)
def test_what_cannot_be_used_is_said(given, certificate, key, code, words):
    if callable(certificate):
        certificate = certificate()
    certificate = given.client_certificate if certificate is None else certificate
    key = given.client_key if key is None else key() if callable(key) else key
    refused = problem(read_client_certificate, certificate, key)
    assert refused.code == code
    assert words in refused.reason
    assert refused.parameter == ("client_certificate" if "certificate" in code else "client_key")
    assert refused.__cause__ is refused.__context__ is None


def test_an_encrypted_key_comes_with_the_command_that_decrypts_it(given):
    refused = problem(read_client_certificate, given.client_certificate, pem(ec_key, b"secret"))
    assert "openssl pkey -in client.key -out client-plain.key" in refused.problem.remedy


def test_the_certificate_of_the_key_becomes_the_first(authority, given):
    other = authority.cert_pem.bytes().decode()
    read = read_client_certificate(other + given.client_certificate, given.client_key)
    assert read.certificate == given.client_certificate + other


def test_without_room_for_a_file_it_is_no_fault_of_the_certificate(given, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert problem(load_client_certificate, context, *given).code == "setting_invalid"


@pytest.mark.parametrize(
    "make",
    [
        lambda fields, given, key: integration_from_fields("a", fields | {**given._asdict(), "client_key": key}),
        lambda fields, given, key: ssl_context(True, "", given.client_certificate, Secret(key)),
        lambda fields, given, key: read_client_certificate(given.client_certificate, key),
    ],
    ids=["fields", "context", "read"],
)
def test_no_traceback_holds_the_key(fields, given, make):
    key = pem(ec_key)
    with pytest.raises(BitbucketServerError) as caught:
        make(fields, given, key)
    own = [
        frame.f_locals
        for frame, _ in traceback.walk_tb(caught.value.__traceback__)
        if "social_bitbucket" in frame.f_code.co_filename
    ]
    assert own
    assert not any(key.splitlines()[1] in repr(variables) for variables in own)


# In settings


@pytest.fixture
def fields(private_key):
    return {"url": "https://h.example", "consumer_key": "c", "private_key": private_key.pem()}


def test_settings_have_them_as_text_or_as_files(fields, given, tmp_path):
    (tmp_path / "client.pem").write_text(given.client_certificate)
    (tmp_path / "client.key").write_text(given.client_key)
    files = {"client_certificate_file": tmp_path / "client.pem", "client_key_file": str(tmp_path / "client.key")}
    for chosen in (given._asdict(), files, {**files, "client_certificate": given.client_certificate}):
        found = integration_from_fields("a", fields | chosen)
        assert (found.server.client_certificate, found.server.client_key) == given
        assert given.client_key.splitlines()[1] not in repr(found)
        settings = {"URL": "https://h.example", "KEY": "c", "SECRET": "s"}
        settings |= {name.upper(): value for name, value in chosen.items()}
        by_oauth2 = single_oauth2_integration(lambda name, default=None, known=settings: known.get(name, default))
        assert by_oauth2.server.client_key == given.client_key


def test_a_renewed_file_is_read_at_once(fields, authority, tmp_path):
    both = tmp_path / "client.pem"
    files = {"client_certificate_file": both, "client_key_file": both}
    for shown in (issue(authority), issue(authority)):
        both.write_text(shown.client_certificate + shown.client_key)
        assert integration_from_fields("a", fields | files).server.client_certificate == shown.client_certificate


def test_one_without_the_other_is_missing(fields, given):
    for name, value in given._asdict().items():
        refused = problem(integration_from_fields, "a", fields | {name: value})
        assert refused.code == "setting_missing"
        assert refused.parameter == next(other for other in given._fields if other != name)


@pytest.mark.parametrize("path", ["/nowhere/client.pem", "a\0b", 1.5])
def test_a_file_that_cannot_be_read_is_told(fields, path):
    refused = problem(integration_from_fields, "a", fields | {"client_key_file": path})
    assert (refused.code, refused.parameter) == ("setting_invalid", "client_key_file")


def test_a_key_in_the_place_of_its_path_is_not_shown(fields, given):
    refused = problem(integration_from_fields, "a", fields | {"client_key_file": given.client_key})
    assert (refused.code, refused.parameter) == ("setting_invalid", "client_key_file")
    assert given.client_key.splitlines()[1] not in str(refused)
    assert refused.__cause__ is None


def test_text_that_organizations_enter_is_never_a_path(fields, given, tmp_path):
    path = tmp_path / "client.pem"
    path.write_text(given.client_certificate + given.client_key)
    entered = {"client_certificate": str(path), "client_key": str(path)}
    assert problem(integration_from_fields, "a", fields | entered).code == "client_certificate_invalid"
    assert problem(integration_from_fields, "a", fields | {"client_key": SimpleNamespace()}).code == "setting_invalid"
