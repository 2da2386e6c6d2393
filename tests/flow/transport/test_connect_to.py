"""Connections that go to another host and port than the URL's, which everything else keeps."""

import dataclasses
import socket

import pytest

from social_bitbucket_server.integration import BaseURLRules, ConnectTo, ServerURL
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import PUBLIC_ONLY, default_transport
from tests.raw_server import answering
from tests.tunnel import Tunnel

from .asking import FORBIDDEN, HERE, NAME, server_context, which

INSIDE = "inside.test"
URL = f"https://{NAME}:8443/x"
"""As browsers see it. Nothing listens there."""


@pytest.fixture(autouse=True)
def names(names):
    """Only the name inside leads anywhere."""
    names.addresses = {INSIDE: [HERE], NAME: socket.gaierror(-2, "Name or service not known")}
    return names


@pytest.fixture
def shown_names():
    """The names that clients asked for in TLS."""
    return []


@pytest.fixture
def server(serve, authority, shown_names):
    """Shows a certificate for the URL's name."""
    server = serve(answering())
    server.context = server_context(authority.issue_cert(NAME))
    server.context.sni_callback = lambda _socket, name, _context: shown_names.append(name)
    return server


@pytest.fixture
def inside(route, server):
    """The way to the server by its name inside."""
    return dataclasses.replace(route, connect_to=ConnectTo(INSIDE, server.port))


def get(route):
    return default_transport().send("GET", URL, {}, route=route, timeout=60.0)


def problem(route):
    with pytest.raises(BitbucketServerError) as caught:
        get(route)
    return caught.value


def test_the_names_in_tls_and_http_stay_the_urls(inside, server, names, shown_names):
    assert get(inside).body == b"hello"
    assert names.asked == [f"{INSIDE}."]
    assert shown_names == [NAME]
    assert f"Host: {NAME}:8443\r\n" in server.requests[0]
    assert server.requests[0].startswith("GET /x ")


@pytest.mark.parametrize("proxied", [False, True])
def test_a_certificate_for_the_name_that_is_connected_to_is_not_enough(serve, inside, server, authority, proxied):
    server.context = server_context(authority.issue_cert(INSIDE))
    if proxied:
        proxy = serve(Tunnel((HERE, server.port)), tls=False)
        inside = dataclasses.replace(inside, proxy=f"http://{HERE}:{proxy.port}")
    assert problem(inside).code == "certificate_for_another_name"
    assert server.requests == []


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize(
    "addresses", [[FORBIDDEN], [HERE, FORBIDDEN], ["10.0.0.1"], ["169.254.169.254"], ["::1"]], ids=which
)
def test_the_policy_concerns_the_addresses_that_are_connected_to(serve, inside, server, names, addresses, proxied):
    tunnel = Tunnel((HERE, server.port))
    if proxied:
        inside = dataclasses.replace(inside, proxy=f"http://{HERE}:{serve(tunnel, tls=False).port}")
    names.addresses = {INSIDE: addresses, NAME: ["93.184.215.14"]}
    refused = problem(inside)
    assert (refused.code, refused.facts["host"]) == ("address_blocked", INSIDE)
    assert not server.peers
    assert not tunnel.asked


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[fd00:ec2::254]"])
def test_an_address_is_no_way_around_the_policy(route, host):
    elsewhere = dataclasses.replace(route, policy=PUBLIC_ONLY, connect_to=ConnectTo.parse(f"{host}:443"))
    assert problem(elsewhere).code == "address_blocked"


def test_a_proxy_is_asked_for_the_address_that_was_checked(serve, inside, server, shown_names):
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    proxied = dataclasses.replace(inside, proxy=f"http://{HERE}:{proxy.port}")
    for _ in range(2):
        assert get(proxied).body == b"hello"
    (asked,) = tunnel.asked
    assert asked.startswith(f"CONNECT {HERE}:{server.port} HTTP/1.")
    assert shown_names == [NAME]
    assert f"Host: {NAME}:8443\r\n" in server.requests[0]


def test_a_proxy_is_asked_for_the_name_that_is_connected_to_where_there_is_no_policy(serve, inside, server, names):
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    assert get(dataclasses.replace(inside, policy=None, proxy=f"http://{HERE}:{proxy.port}")).body == b"hello"
    assert tunnel.asked[0].startswith(f"CONNECT {INSIDE}:{server.port} HTTP/1.")
    assert INSIDE not in names.asked


def test_each_way_has_connections_and_failures_of_its_own(serve, inside, server, names, authority):
    other = serve(answering())
    ways = [inside, dataclasses.replace(inside, connect_to=ConnectTo(INSIDE, other.port))]
    for way in ways * 2:
        assert get(way).body == b"hello"
    assert [len(server.peers), len(other.peers)] == [1, 1]
    nowhere = dataclasses.replace(inside, connect_to=ConnectTo("nowhere.test", 443))
    names.addresses["nowhere.test"] = []
    assert [problem(nowhere).code for _ in range(4)] == ["connection_failed"] * 3 + ["server_overloaded"]
    assert get(inside).body == b"hello"


def test_without_tls_a_proxy_cannot_be_told_another_host(route, server, client):
    http = ServerURL.parse(f"http://{NAME}", BaseURLRules(plain_http_hosts=None))
    inside = client(server, connect_to=ConnectTo(INSIDE, server.port)).integration.server
    inside = dataclasses.replace(inside, url=http)
    assert inside.route_for("acme-1").connect_to == ConnectTo(INSIDE, server.port)
    with pytest.raises(BitbucketServerError) as caught:
        dataclasses.replace(inside, proxies={"http": "http://proxy.example:3128"}).route_for("acme-1")
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", "connect_to")
