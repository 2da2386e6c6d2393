"""A gateway in front of Bitbucket that wants a client certificate."""

import dataclasses
import gc
import ssl

import pytest

from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import ssl_context
from tests.client_certificates import VERSIONS, issue, wanting
from tests.raw_server import answer, answering
from tests.tunnel import Tunnel

from .asking import HERE, NAME, get, problem, server_context

YEAR_AGO = -365


@pytest.fixture
def gateway(serve, authority, other_authority):
    """Start a server that lets in whom the other authority issued a certificate for."""

    def start(version=ssl.TLSVersion.TLSv1_3, behaviour=None):
        server = serve(behaviour or answering())
        server.context = wanting(server_context(authority.issue_cert(NAME)), other_authority, version)
        return server

    return start


def showing(route, certificate):
    return dataclasses.replace(route, **certificate._asdict())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_is_shown_where_the_server_asks_for_one(gateway, route, other_authority, version):
    server = gateway(version)
    shown = showing(route, issue(other_authority))
    for _ in range(2):
        assert get(server, shown).status == 200
    assert len(server.peers) == 1


def test_a_server_that_asks_for_none_gets_none(serve, route, other_authority):
    assert get(serve(answering()), showing(route, issue(other_authority))).status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_where_none_is_configured_it_is_missing(gateway, route, version):
    server = gateway(version)
    for _ in range(3):
        assert problem(server, route, fresh=True).code == "client_certificate_missing"
    assert server.requests == []


def test_it_is_shown_through_a_proxy_and_missed_there(serve, gateway, route, other_authority):
    server = gateway(ssl.TLSVersion.TLSv1_2)
    proxy = serve(Tunnel((HERE, server.port)), tls=False)
    proxied = dataclasses.replace(route, proxy=f"http://{HERE}:{proxy.port}")
    assert problem(server, proxied).code == "client_certificate_missing"
    assert get(server, showing(proxied, issue(other_authority))).status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_one_that_is_not_trusted_is_refused(gateway, route, authority, version):
    server = gateway(version)
    foreign = showing(route, issue(authority))
    for _ in range(3):
        refused = problem(server, foreign, fresh=True)
        assert (refused.code, refused.reason) == ("client_certificate_refused", "")
    assert server.requests == []


@pytest.mark.parametrize("version", VERSIONS)
def test_one_that_is_over_is_refused_with_its_date(gateway, route, other_authority, version):
    refused = problem(gateway(version), showing(route, issue(other_authority, days=YEAR_AGO)))
    assert refused.code == "client_certificate_refused"
    assert refused.reason.startswith("It was valid until 20")


def test_failures_count_as_those_of_other_certificates(gateway, route):
    server = gateway()
    codes = [problem(server, route).code for _ in range(4)]
    assert codes == ["client_certificate_missing"] * 3 + ["server_overloaded"]
    assert len(server.peers) == 3


def test_no_cipher_in_common_is_no_missing_certificate(serve, route, authority):
    server = serve(answering())
    server.context = server_context(authority.issue_cert(NAME))
    server.context.maximum_version = ssl.TLSVersion.TLSv1_2
    server.context.set_ciphers("AES128-GCM-SHA256")
    assert problem(server, route).code == "tls_weak"


def test_each_certificate_has_connections_of_its_own(gateway, route, authority, other_authority):
    server = gateway()
    assert get(server, showing(route, issue(other_authority))).status == 200
    assert problem(server, route).code == "client_certificate_missing"
    assert problem(server, showing(route, issue(authority))).code == "client_certificate_refused"
    assert len(server.peers) == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("<html><head><title>400 No required SSL certificate was sent</title></head>", "client_certificate_missing"),
        ("<html><head><title>400 The SSL certificate error</title></head>", "client_certificate_refused"),
    ],
)
def test_a_page_of_nginx_says_the_same(serve, client, body, code):
    page = answer(body.encode(), "400 Bad Request", "Content-Type: text/html")
    with pytest.raises(BitbucketServerError) as caught:
        client(serve(answering(page))).request_token("https://app.example/")
    assert caught.value.code == code


def test_no_key_is_left_on_the_disk_or_in_a_representation(route, other_authority, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    written = []
    load = ssl.SSLContext.load_cert_chain

    def look(context, path, **options):
        written.append(path.read_text())
        load(context, path, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", look)
    shown = showing(route, issue(other_authority))
    ssl_context(shown.verify, shown.ca_certificates, shown.client_certificate, shown.client_key)
    gc.collect()
    assert len(written) == 2
    assert all("BEGIN ENCRYPTED PRIVATE KEY" in text for text in written)
    assert list(tmp_path.iterdir()) == []
    assert shown.client_key.splitlines()[1] not in repr(shown) + "".join(written)
