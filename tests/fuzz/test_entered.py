"""Fuzz tests of what people enter, paste and configure: base URLs, keys, certificates, key rings."""

import base64

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_private_key,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from social_bitbucket_server.crypto import KeyRing, PrivateKey, PublicKey
from social_bitbucket_server.integration import ORGANIZATION_RULES, BaseURLRules, ConnectTo, ServerURL
from social_bitbucket_server.transport import read_ca_certificates, read_client_certificate
from tests.client_certificates import issue
from tests.fuzz.examples import NOISE, fuzzed, mutated, ours

# cryptography reads such certificates, and announces that it will refuse them.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive:UserWarning")

URLS = [
    "https://bitbucket.example.com",
    "HTTPS://BB.Example.com:443/bitbucket/",
    "https://bb.example.com:8443/a/b~c",
    "http://localhost:7990",
    "https://127.0.0.1:7990/bitbucket",
    "https://[::1]:7990/x",
    "https://[2001:db8::1%25eth0]/",
    "https://user:password@bb.example.com@127.0.0.1\\x",
    "https://0x7f.1/",
    "https://xn--bcher-kva.example",
    "https://bb.example.com:65536/",
    "https://bb.example.com/a/../b",
]
RULES = (BaseURLRules(), BaseURLRules(plain_http_hosts=None), ORGANIZATION_RULES)


@fuzzed
@given(text=mutated(URLS) | NOISE)
def test_base_urls(text):
    for rules in RULES:
        url = ours(ServerURL.parse, text, rules)
        if url is None:
            continue
        assert ServerURL.parse(str(url), rules) == url
        foreign = parse_url(str(url))
        assert (foreign.scheme, foreign.host, foreign.port, foreign.path or "") == (
            url.scheme,
            url.host,
            url.port,
            url.path,
        )
        for address in (url.request_token, url.access_token, url.whoami, url.user("a/../b"), url.users("a&b#c")):
            assert address.startswith(str(url) + "/")
            assert parse_url(address).host == url.host


ENCRYPTED = """\
-----BEGIN RSA PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,00

AAAA
-----END RSA PRIVATE KEY-----
"""


# Bytes of DER, and what takes their place: an unknown algorithm, an unknown version, and the same extension again.
OTHER_ALGORITHM = (bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d010163"))
OTHER_VERSION = (bytes.fromhex("a003020102"), bytes.fromhex("a003020109"))
SAME_EXTENSION = (bytes.fromhex("551d13"), bytes.fromhex("551d0e"))


def der_of(pem):
    return base64.b64decode("".join(pem.splitlines()[1:-1]))


@pytest.fixture(scope="session")
def pasted_keys(private_key, other_private_key):
    pem = private_key.pem()
    key = load_der_private_key(der_of(pem), None)
    return [
        pem,
        pem.replace("\n", "\\n"),
        pem.replace("\n", " "),
        "".join(pem.splitlines()[1:-1]),
        base64.b64encode(pem.encode()).decode(),
        pem + other_private_key.pem(),
        private_key.public.pem,
        private_key.public.base64,
        private_key.certificate("x"),
        trustme.CA().private_key_pem.bytes().decode(),
        ENCRYPTED,
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode(),
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n",
    ]


@fuzzed
@given(data=st.data())
def test_private_keys(pasted_keys, data):
    text = data.draw(mutated(pasted_keys) | NOISE)
    passphrase = data.draw(st.none() | st.text(max_size=5))
    key = ours(PrivateKey.read, text, passphrase)
    assert key is None or key.bits >= 2048


@fuzzed
@given(data=st.data())
def test_private_keys_in_files(pasted_keys, data):
    content = data.draw(st.binary(max_size=300) | mutated(pasted_keys).map(lambda text: text.encode(errors="replace")))
    ours(PrivateKey.read, data.draw(st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"])) + content)


@fuzzed
@given(data=st.data())
def test_private_keys_in_der(private_key, data):
    der = der_of(private_key.pem())
    ours(PrivateKey.read, bitten(data, data.draw(st.sampled_from([der, der.replace(*OTHER_ALGORITHM)]))))


@fuzzed
@given(data=st.data())
def test_public_keys(pasted_keys, data):
    key = ours(PublicKey.read, data.draw(mutated(pasted_keys) | NOISE))
    assert key is None or key.bits >= 2048


@pytest.fixture(scope="session")
def public_keys_in_der(private_key):
    certificate = der_of(private_key.certificate("x"))
    return [
        private_key.public.der,
        private_key.public.der.replace(*OTHER_ALGORITHM),
        certificate,
        certificate.replace(*OTHER_ALGORITHM),
        certificate.replace(*OTHER_VERSION),
    ]


@fuzzed
@given(data=st.data())
def test_public_keys_in_der(public_keys_in_der, data):
    der = bitten(data, data.draw(st.sampled_from(public_keys_in_der)))
    ours(PublicKey.read, base64.b64encode(der).decode())


@pytest.fixture(scope="session")
def ca_certificates():
    authority = trustme.CA()
    child = authority.create_child_ca()
    pems = [authority.cert_pem, child.cert_pem, *authority.issue_cert("bb-a.test").cert_chain_pems]
    return [pem.bytes().decode() for pem in pems]


@fuzzed
@given(data=st.data())
def test_ca_certificates(ca_certificates, data):
    clean = ours(read_ca_certificates, data.draw(mutated([*ca_certificates, "".join(ca_certificates)]) | NOISE))
    assert clean is None or read_ca_certificates(clean) == clean


@pytest.fixture(scope="session")
def shown_certificate():
    return issue(trustme.CA())


@fuzzed
@given(data=st.data())
def test_client_certificates(shown_certificate, data):
    given = [data.draw(mutated([text, "".join(shown_certificate)]) | NOISE) for text in shown_certificate]
    clean = ours(read_client_certificate, *given)
    assert clean is None or read_client_certificate(*clean) == clean


PLACES = ["bb.example.com:8443", "BB.Example:443", "10.0.0.5:7990", "[::1]:443", "user@bb.example.com:1", "bb:65536"]


@fuzzed
@given(typed=mutated(PLACES) | NOISE, rules=st.sampled_from(RULES))
def test_where_connections_go(typed, rules):
    clean = ours(ConnectTo.parse, typed, rules)
    assert clean is None or ConnectTo.parse(str(clean), rules) == clean
    assert clean is None or not set(clean.host) & set("@/\\?#% \n")


@pytest.fixture(scope="session")
def ca_certificates_in_der(ca_certificates, private_key):
    authority, *others = map(der_of, ca_certificates)
    of_a_key = der_of(private_key.certificate("x"))
    return [authority, *others, authority.replace(*OTHER_VERSION), authority.replace(*SAME_EXTENSION), of_a_key]


@fuzzed
@given(data=st.data())
def test_ca_certificates_in_der(ca_certificates_in_der, data):
    der = data.draw(st.sampled_from(ca_certificates_in_der))
    body = base64.encodebytes(bitten(data, der)).decode()
    ours(read_ca_certificates, f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")


def bitten(data, der):
    """Draw *der* with a few other bytes in it, and perhaps without its end."""
    changed = bytearray(der[: data.draw(st.integers(0, len(der)) | st.just(len(der)))])
    assume(changed)
    for _ in range(data.draw(st.integers(0, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed)


RING = KeyRing.generate()
OTHER_RING = KeyRing.generate().replace("1:", "2:", 1)


@fuzzed
@given(text=mutated([RING, f"{OTHER_RING},{RING}", f" {RING} , 3:"]) | NOISE)
def test_key_rings(text):
    ring = ours(KeyRing.parse, text)
    assert (
        ring is None
        or ring.open(
            ring.seal(b"x", purpose="p", integration_id="i", key_id="k"), purpose="p", integration_id="i", key_id="k"
        )
        == b"x"
    )


SEALED = KeyRing.parse(RING).seal(b"the secret", purpose="p", integration_id="i", key_id="k")


SAME_BYTES = f"{SEALED[:-2]}{chr(ord(SEALED[-2]) + 1)}="  # base64 that a decoder takes, and no encoder writes


@fuzzed
@given(record=mutated([SEALED, SEALED.replace("v1.1.", "v1.2."), SAME_BYTES, "v1.1.."]) | NOISE)
def test_sealed_records(record):
    opened = ours(KeyRing.parse(RING).open, record, purpose="p", integration_id="i", key_id="k")
    assert opened is None or (opened, record) == (b"the secret", SEALED)
    ours(KeyRing.parse(RING).reseal, record, purpose="p", integration_id="i", key_id="k")
