"""Which servers are trusted."""

import dataclasses
import os
import ssl
import warnings
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from social_bitbucket_server.transport import breaker
from tests.raw_server import RawServer, answering
from tests.security.rows import row

from .asking import (
    HERE,
    NAME,
    get,
    pem,
    problem,
    server_context,
)

YEAR = timedelta(days=365)


@row(77)
@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda own, other: own.issue_cert("another.test"), "certificate_for_another_name"),
        (lambda own, other: own.issue_cert(HERE), "certificate_for_another_name"),
        (
            lambda own, other: own.issue_cert(NAME, not_after=datetime.now(UTC) - timedelta(days=1)),
            "certificate_expired",
        ),
        (
            lambda own, other: own.issue_cert(
                NAME, not_before=datetime.now(UTC) + YEAR, not_after=datetime.now(UTC) + YEAR * 2
            ),
            "certificate_expired",
        ),
        (lambda own, other: other.issue_cert(NAME), "certificate_authority_unknown"),
        (lambda own, other: trustme.CA().issue_cert(NAME), "certificate_authority_unknown"),
    ],
    ids=["another name", "an address", "expired", "not yet valid", "a foreign CA", "an unknown CA"],
)
def test_a_certificate_that_does_not_hold_is_named_and_nothing_is_sent(
    serve, route, authority, other_authority, make, code
):
    server = serve(answering(), certificate=make(authority, other_authority))
    refused = problem(server, route)
    assert refused.code == code
    assert refused.facts["cause"]
    assert len(server.peers) == 1
    assert server.requests == []


@pytest.mark.socket
@row(77)
def test_a_self_signed_certificate_is_named(route, private_key, tmp_path):
    (tmp_path / "both.pem").write_text(private_key.pem() + private_key.certificate(NAME))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with RawServer(answering(), HERE, context=context) as server:
        assert problem(server, route).code == "certificate_self_signed"
        assert server.requests == []


@pytest.mark.socket
def test_an_old_tls_version_is_named(route, authority):
    context = server_context(authority.issue_cert(NAME))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with RawServer(answering(), HERE, context=context) as server:
        assert problem(server, route).code == "tls_too_old"


def test_a_bundle_is_given_by_its_path_and_a_changed_one_is_noticed(serve, route, authority, other_authority, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(pem(other_authority))
    route = dataclasses.replace(route, ca_certificates="", verify=str(bundle))
    server = serve(answering())
    assert problem(server, route).code == "certificate_authority_unknown"
    bundle.write_text(pem(authority))
    os.utime(bundle, ns=(1, 1))
    assert get(server, route).status == 200


def test_the_ca_of_one_integration_counts_for_no_other(serve, route, other_authority):
    server = serve(answering())
    others = dataclasses.replace(route, ca_certificates=pem(other_authority))
    assert get(server, route).status == 200
    assert problem(server, others).code == "certificate_authority_unknown"
    assert get(server, route).status == 200


def test_failures_by_one_integrations_certificates_do_not_shut_others_out(serve, route, other_authority, monkeypatch):
    monkeypatch.setattr(breaker, "SECONDS_OPEN", 600)
    server = serve(answering())
    others = dataclasses.replace(route, ca_certificates=pem(other_authority))
    for _ in range(3):
        assert problem(server, others).code == "certificate_authority_unknown"
    assert problem(server, others).code == "server_overloaded"
    assert get(server, route).status == 200
