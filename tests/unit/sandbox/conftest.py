"""A sandbox as Bitbucket 7.6 below a context path, and a program that is linked with it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from social_bitbucket_server.sandbox import Sandbox

from .calling import Caller
from .visiting import Visitor


@pytest.fixture(scope="session")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def other_rsa_key():
    return rsa.generate_private_key(65537, 2048)


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def public_key(rsa_key):
    return public_pem(rsa_key)


@pytest.fixture
def sandbox():
    with Sandbox(context="/bitbucket", version="7.6.0") as sandbox:
        yield sandbox


@pytest.fixture
def new_sandbox():
    """One with the dialog that came with 7.20, and without a context path."""
    with Sandbox(version="7.21") as sandbox:
        yield sandbox


@pytest.fixture
def caller(sandbox, rsa_key):
    sandbox.link(consumer_key="acme", public_key=public_pem(rsa_key), name="Acme")
    return Caller(sandbox.url, "acme", pem(rsa_key))


@pytest.fixture
def impostor(caller, other_rsa_key):
    """Knows the consumer key, but not the private key."""
    return Caller(caller.url, "acme", pem(other_rsa_key))


@pytest.fixture
def other_caller(sandbox, other_rsa_key):
    """Another program that is linked with the same server."""
    sandbox.link(consumer_key="other", public_key=public_pem(other_rsa_key))
    return Caller(sandbox.url, "other", pem(other_rsa_key))


@pytest.fixture
def visitor(sandbox):
    with Visitor(sandbox.url) as visitor:
        yield visitor


@pytest.fixture
def new_visitor(new_sandbox):
    with Visitor(new_sandbox.url) as visitor:
        yield visitor
