import base64
import os
import ssl
from urllib.parse import quote

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from social_bitbucket_server.crypto import LONGEST
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import read_ca_certificates, ssl_context, trust


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca(authority):
    return authority.cert_pem.bytes().decode()


def reason(text):
    with pytest.raises(BitbucketServerError) as caught:
        read_ca_certificates(text)
    assert caught.value.code == "ca_certificate_invalid"
    assert caught.value.parameter == "ca_certificates"
    return caught.value.reason


def test_a_ca_certificate_comes_back_clean(ca):
    assert read_ca_certificates(f"Here it is:\r\n\r\n{ca}\n-- \nYour admin") == ca


def test_several_may_follow_each_other(ca):
    other = trustme.CA().cert_pem.bytes().decode()
    assert read_ca_certificates(ca + "\n" + other) == ca + other


def test_an_intermediate_ca_is_one(authority):
    intermediate = authority.create_child_ca()
    assert read_ca_certificates(intermediate.cert_pem.bytes().decode())


def test_a_servers_own_certificate_is_refused_by_name(authority):
    leaf = authority.issue_cert("bb-a.test").cert_chain_pems[0].bytes().decode()
    assert "server's own certificate" in reason(leaf)


def test_a_servers_own_certificate_is_left_out_of_its_chain(authority, ca):
    leaf = authority.issue_cert("bb-a.test").cert_chain_pems[0].bytes().decode()
    assert read_ca_certificates(leaf + ca) == read_ca_certificates(ca + leaf) == ca


def der(ca):
    return ssl.PEM_cert_to_DER_cert(ca)


def pkcs7_of(ca, encoding=Encoding.DER):
    return pkcs7.serialize_certificates([x509.load_pem_x509_certificate(ca.encode())], encoding)


WRITTEN = {
    "DER": der,
    "base64 of DER": lambda ca: base64.b64encode(der(ca)).decode(),
    "base64 of PEM": lambda ca: base64.b64encode(ca.encode()).decode(),
    "PKCS#7": pkcs7_of,
    "PKCS#7 in PEM": lambda ca: pkcs7_of(ca, Encoding.PEM),
    "UTF-16": lambda ca: ca.encode("utf-16"),
    "UTF-16 without its mark": lambda ca: ca.encode("utf-16-le"),
    "literal newlines": lambda ca: ca.replace("\n", "\\n"),
    "lost backslashes": lambda ca: ca.replace("\n", "n"),
    "spaces": lambda ca: ca.replace("\n", " "),
    "indented and quoted": lambda ca: '"' + ca.replace("\n", "\n  ") + '"',
    "dashes": lambda ca: ca.replace("-----", "\u2013\u2013\u2013"),
    "percent-encoded": lambda ca: quote(ca),
    "a Kubernetes ConfigMap": lambda ca: f"data:\n  ca.crt: {base64.b64encode(ca.encode()).decode()}\n",
    "X509 CERTIFICATE": lambda ca: ca.replace("CERTIFICATE", "X509 CERTIFICATE"),
    "TRUSTED CERTIFICATE": lambda ca: (
        "-----BEGIN TRUSTED CERTIFICATE-----\n"
        + base64.b64encode(der(ca) + b"0\x00").decode()
        + "\n-----END TRUSTED CERTIFICATE-----\n"
    ),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_a_ca_certificate_is_read_however_it_is_written(ca, tmp_path, way):
    written = WRITTEN[way](ca)
    assert read_ca_certificates(written) == ca
    file = tmp_path / "ca"
    file.write_bytes(written if isinstance(written, bytes) else written.encode())
    (trusted,) = ssl_context(str(file)).get_ca_certs(binary_form=True)
    assert trusted == der(ca)


def test_a_certificate_that_a_server_signed_itself_is_its_own_ca(private_key):
    certificate = private_key.certificate("bb-a.test")
    assert read_ca_certificates(certificate) == certificate


def test_a_private_key_is_refused_and_not_repeated(authority, ca):
    key = authority.private_key_pem.bytes().decode()
    told = reason(ca + key)
    assert "private key" in told
    assert key.splitlines()[1] not in told


@pytest.mark.parametrize(
    "text",
    [
        "bitbucket.example.com",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        "\ud800",
        "\x00",
    ],
)
def test_what_is_no_certificate_is_refused(text):
    assert "not a certificate" in reason(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "It is empty."),
        (" \n", "It is empty."),
        ("/etc/ssl/company.pem", "path of a file"),
        ("${COMPANY_CA}", "placeholder"),
        (b"\xfe\xed\xfe\xed" + bytes(200), "Java keystore"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----", "request"),
    ],
)
def test_what_is_pasted_instead_of_a_certificate_is_named(text, says):
    assert says in reason(text)


def test_a_public_key_is_refused(private_key):
    assert "not a certificate" in reason(private_key.public.pem)


def test_half_a_certificate_is_refused(ca):
    assert "END line is missing" in reason(ca[: len(ca) // 2])


@pytest.mark.parametrize(
    ("original", "damaged"),
    [
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"),
        (b"\x06\x03\x55\x1d\x0e", b"\x06\x03\x55\x1d\x13"),
    ],
    ids=["a version that does not exist", "an extension that stands twice"],
)
def test_a_damaged_certificate_is_refused(ca, original, damaged):
    der = ssl.PEM_cert_to_DER_cert(ca)
    assert original in der
    assert reason(ssl.DER_cert_to_PEM_cert(der.replace(original, damaged, 1)))


def test_too_much_text_is_refused_unread(ca):
    assert str(LONGEST) in reason(ca * 100 + " " * LONGEST)


def test_verification_is_on_whatever_is_trusted(ca, tmp_path):
    (tmp_path / "bundle.pem").write_text(ca)
    for context in (ssl_context(True), ssl_context(True, ca), ssl_context(str(tmp_path / "bundle.pem"))):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_pasted_certificates_are_trusted_alone(ca):
    assert len(ssl_context(True, ca).get_ca_certs()) == 1


def test_a_bundle_is_trusted_alone_and_read_again_when_it_changes(ca, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(ca)
    before = ssl_context(str(bundle))
    assert len(before.get_ca_certs()) == 1
    assert ssl_context(str(bundle)) is before
    bundle.write_text(ca + trustme.CA().cert_pem.bytes().decode())
    os.utime(bundle, ns=(1, 1))
    assert len(ssl_context(str(bundle)).get_ca_certs()) == 2


def test_a_bundle_in_the_place_of_another_one_is_read_though_it_is_as_old(ca, tmp_path):
    bundle, new = tmp_path / "bundle.pem", tmp_path / "new.pem"
    bundle.write_text(ca)
    new.write_text(trustme.CA().cert_pem.bytes().decode())
    for file in (bundle, new):
        os.utime(file, ns=(1, 1))
    before = ssl_context(str(bundle)).get_ca_certs()
    os.replace(new, bundle)
    assert ssl_context(str(bundle)).get_ca_certs() != before


def test_a_directory_of_certificates_can_be_the_bundle(tmp_path):
    assert ssl_context(str(tmp_path)).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("", "It is empty."), ("nonsense", "not a certificate")]
)
def test_a_bundle_that_cannot_be_read_is_a_setting_that_cannot_be_used(tmp_path, content, says):
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(BitbucketServerError) as caught:
        ssl_context(str(bundle))
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", "verify")
    assert says in caught.value.reason
    assert str(bundle) in caught.value.reason


@pytest.mark.parametrize("separator", ["\n", "\\n"])
def test_the_text_of_a_certificate_where_its_path_belongs_is_named(ca, separator):
    with pytest.raises(BitbucketServerError, match="must be the path of a file"):
        ssl_context(ca.replace("\n", separator))


def test_stored_certificates_that_openssl_does_not_read_are_a_problem_with_a_name():
    with pytest.raises(BitbucketServerError) as caught:
        ssl_context(True, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    assert caught.value.code == "ca_certificate_invalid"


def test_the_machines_trust_is_not_changed_by_the_environment(ca, tmp_path, monkeypatch):
    (tmp_path / "own.pem").write_text(ca)
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(variable, str(tmp_path / "own.pem"))
    trust._ssl_context.cache_clear()
    subjects = [entry["subject"] for entry in ssl_context(True).get_ca_certs()]
    (own,) = ssl_context(True, ca).get_ca_certs()
    assert own["subject"] not in subjects
