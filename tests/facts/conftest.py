"""One Bitbucket of each version for all tests of a process."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.sandbox.conftest import pem, public_pem

from .plugin import concerns
from .server import real_bitbucket, sandbox_as_bitbucket


@pytest.fixture(scope="session")
def facts_key(request):
    """Return a key pair. The sandbox takes a small one, which signs quickly."""
    return rsa.generate_private_key(65537, 2048 if request.config.getoption("bitbucket") else 1024)


@pytest.fixture(scope="session")
def servers(facts_key):
    """Start a Bitbucket of each version at its first use."""
    with ExitStack() as stack:

        @cache
        def start(name):
            begin = real_bitbucket if "://" in name else sandbox_as_bitbucket
            return stack.enter_context(begin(name, public_pem(facts_key), pem(facts_key)))

        yield start


@pytest.fixture
def bitbucket(request, servers):
    return servers(request.param)


@pytest.fixture(autouse=True)
def version(request):
    """Skip what is not about the version of a real server."""
    mark = request.node.get_closest_marker("fact")
    if mark is not None and request.config.getoption("bitbucket"):
        found = request.getfixturevalue("bitbucket").version
        if not concerns(mark, found):
            pytest.skip(f"It is not about Bitbucket {'.'.join(map(str, found))}.")


@pytest.fixture
def caller(bitbucket):
    """A program with an application link."""
    return bitbucket.linked


@pytest.fixture
def token(bitbucket):
    """An access token of the program's person."""
    return bitbucket.signed_in["oauth_token"]
