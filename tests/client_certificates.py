"""Client certificates, and servers that want one."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import trustme

from social_bitbucket_server.transport import read_client_certificate

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Shown(NamedTuple):
    """A client certificate as PEM, with its key."""

    client_certificate: str
    client_key: str


def issue(authority: trustme.CA, *, days: int = 1) -> Shown:
    """Issue a client certificate that is valid for so many *days*."""
    ends = datetime.now(UTC) + timedelta(days=days)
    begins = ends - timedelta(days=30)
    leaf = authority.issue_cert("application.example", not_before=begins, not_after=ends)
    chain = "".join(blob.bytes().decode() for blob in leaf.cert_chain_pems)
    return Shown(*read_client_certificate(chain, leaf.private_key_pem.bytes().decode()))


def wanting(
    context: ssl.SSLContext, authority: trustme.CA, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    """Let a server's *context* speak *version*, and nothing with clients that *authority* issued no certificate for."""
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context
