"""Redirects are not followed, and the environment plays no part."""

import dataclasses

import pytest

from tests.raw_server import answer, answering
from tests.security.rows import row

from .asking import (
    FORBIDDEN,
    NAME,
    get,
    pem,
    problem,
)


@row(75)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["https://{forbidden}/y", "https://{name}:{port}/y", "//{forbidden}/y", "http://{name}:{port}/x", "/y"]
)
def test_redirects_are_reported_and_never_followed(serve, route, forbidden, status, location):
    def redirect(peer):
        while peer.read():
            target = location.format(forbidden=f"{FORBIDDEN}:{server.port}", name=NAME, port=server.port)
            peer.send(answer(b"", f"{status} Elsewhere", f"Location: {target}"))

    server = serve(redirect)
    listener = forbidden(server)
    assert get(server, route).status == status
    assert len(server.requests) == 1
    assert not listener.peers


@row(76)
def test_the_environment_leads_nowhere(serve, route, forbidden, monkeypatch, tmp_path, other_authority):
    server = serve(answering())
    listener = forbidden(server)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(variable, f"http://{FORBIDDEN}:{server.port}")
    (tmp_path / "netrc").write_text("default login somebody password something\n")
    (tmp_path / "foreign.pem").write_text(pem(other_authority))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "foreign.pem"))
    assert get(server, route).body == b"hello"
    assert "authorization" not in server.requests[0].lower()
    assert not listener.peers


@row(76)
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_makes_nobody_trusted(serve, route, authority, monkeypatch, tmp_path, variable):
    (tmp_path / "own.pem").write_text(pem(authority))
    monkeypatch.setenv(variable, str(tmp_path / "own.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    server = serve(answering())
    assert problem(server, dataclasses.replace(route, ca_certificates="")).code == "certificate_authority_unknown"
