"""Servers, names and routes for the transport."""

from contextlib import ExitStack
from ipaddress import ip_address
from types import SimpleNamespace

import pytest
import trustme

from social_bitbucket_server.integration import Integration, Server, ServerURL
from social_bitbucket_server.oauth import Client
from social_bitbucket_server.transport import AddressPolicy, Route
from tests.raw_server import RawServer, answering

from .asking import FORBIDDEN, HERE, NAME, pem, server_context


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def other_authority():
    return trustme.CA()


@pytest.fixture
def serve(authority):
    """Start a server at an address of this worker, for the length of the test."""
    with ExitStack() as stack:

        def start(behaviour, host=HERE, port=0, *, certificate=None, tls=True):
            certificate = certificate or authority.issue_cert(NAME)
            context = server_context(certificate) if tls else None
            return stack.enter_context(RawServer(behaviour, host, port, context))

        yield start


@pytest.fixture
def names(transport):
    """Resolve each name as its entry in ``addresses`` says, and keep the names that were looked up in ``asked``. An
    entry is a list of addresses, an exception to raise, or a function that returns the list."""
    known = SimpleNamespace(asked=[], addresses={NAME: [HERE]})

    def resolve(name):
        known.asked.append(name)
        found = known.addresses[name.rstrip(".")]
        if isinstance(found, BaseException):
            raise found
        return [ip_address(address) for address in (found() if callable(found) else found)]

    transport.resolver = resolve
    return known


@pytest.fixture
def route(authority, names):
    return Route(ca_certificates=pem(authority), policy=AddressPolicy(test_addresses=frozenset({ip_address(HERE)})))


@pytest.fixture
def forbidden(serve):
    """Start a listener at another address with a server's port, which nobody must reach."""
    return lambda server: serve(answering(), FORBIDDEN, server.port, tls=False)


@pytest.fixture
def client(route, private_key):
    """A client of the server given."""

    def make(server, **options):
        integration = Integration(
            id="acme-1",
            server=Server(
                ServerURL.parse(f"https://{NAME}:{server.port}"),
                ca_certificates=route.ca_certificates,
                timeout=60,
                address_policy=route.policy,
                **options,
            ),
            consumer_key="the-consumer",
            private_key=private_key,
            namespace="ns",
        )
        return Client(integration)

    return make
