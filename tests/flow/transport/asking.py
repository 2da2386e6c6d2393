"""A server at an address of this worker alone, and how it is asked."""

import os
import ssl

import pytest

from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import default_transport
from tests.raw_server import answer

NAME = "bb-a.test"
CONFIRMED = answer(b"oauth_token=T&oauth_token_secret=S&oauth_callback_confirmed=true")


def loopback(last):
    """An address of this machine that is used by no other worker of the same test run."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return f"127.0.{worker + 1}.{last}"


HERE = loopback(2)
FORBIDDEN = loopback(3)


def which(addresses):
    """The name of a parameter, the same for every worker."""
    return ", ".join(addresses).replace(HERE, "the server's").replace(FORBIDDEN, "another")


def pem(authority):
    return authority.cert_pem.bytes().decode()


def server_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def url(server, name=NAME, scheme="https"):
    return f"{scheme}://{name}:{server.port}/x"


def get(server, route, *, timeout=60.0, headers=None, scheme="https", **options):
    address = url(server, scheme=scheme)
    return default_transport().send("GET", address, headers or {}, route=route, timeout=timeout, **options)


def problem(server, route, **options):
    with pytest.raises(BitbucketServerError) as caught:
        get(server, route, **options)
    return caught.value


def in_silence(peer):
    peer.read()
    peer.wait()
