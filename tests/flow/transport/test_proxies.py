"""Through a proxy: the address that was checked, and the certificate of the name."""

import dataclasses
import socket

import pytest

from social_bitbucket_server.problems import BitbucketServerError
from tests.raw_server import answering
from tests.tunnel import Tunnel

from .asking import (
    CONFIRMED,
    FORBIDDEN,
    HERE,
    NAME,
    get,
    in_silence,
    problem,
    which,
)


def test_a_proxy_is_asked_for_the_address_that_was_checked_and_carries_tls_for_the_name(serve, client):
    server = serve(answering(CONFIRMED))
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    through = client(server, proxies={"https": f"http://{HERE}:{proxy.port}"})
    for _ in range(2):
        assert through.request_token("https://app.example/") == "T"
    (asked,) = tunnel.asked
    assert asked.startswith(f"CONNECT {HERE}:{server.port} HTTP/1.")
    assert "oauth" not in asked.lower()
    assert "proxy-authorization" not in asked.lower()
    assert f"Host: {NAME}:{server.port}\r\n" in server.requests[0]


def test_a_proxy_is_asked_for_the_name_where_there_is_no_policy(serve, route, names):
    server = serve(answering())
    names.addresses[NAME] = socket.gaierror(-2, "Name or service not known")
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    operators = dataclasses.replace(route, policy=None, proxy=f"http://{HERE}:{proxy.port}")
    assert get(server, operators).body == b"hello"
    assert tunnel.asked[0].startswith(f"CONNECT {NAME}:{server.port} HTTP/1.")


@pytest.mark.parametrize("key", ["https", f"https://{NAME}", "all", f"all://{NAME}"])
def test_a_proxy_is_chosen_by_the_keys_that_requests_knows(serve, client, key):
    server = serve(answering(CONFIRMED))
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    client(server, proxies={"http": "http://127.0.0.1:9", key: f"{HERE}:{proxy.port}"}).request_token(
        "https://app.example/"
    )
    assert len(tunnel.asked) == 1


def test_a_proxy_is_logged_in_to_with_the_name_in_its_address(serve, client):
    server = serve(answering(CONFIRMED))
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    client(server, proxies={"https": f"http://us%40er:pass@{HERE}:{proxy.port}"}).request_token("https://app.example/")
    assert "\r\nproxy-authorization: Basic dXNAZXI6cGFzcw==\r\n" in tunnel.asked[0]


@pytest.mark.parametrize("addresses", [[FORBIDDEN], [HERE, FORBIDDEN], ["10.0.0.1"]], ids=which)
def test_a_proxy_is_never_asked_for_an_address_that_is_not_permitted(serve, client, names, addresses):
    server = serve(answering(CONFIRMED))
    tunnel = Tunnel((HERE, server.port))
    proxy = serve(tunnel, tls=False)
    names.addresses[NAME] = addresses
    with pytest.raises(BitbucketServerError) as caught:
        client(server, proxies={"https": f"http://{HERE}:{proxy.port}"}).request_token("https://app.example/")
    assert caught.value.code == "address_blocked"
    assert not proxy.peers


@pytest.mark.parametrize("found", [socket.gaierror(-2, "Name or service not known"), []], ids=["unknown", "nothing"])
def test_a_proxy_is_never_asked_for_a_name_that_could_not_be_checked(serve, client, names, found):
    server = serve(answering(CONFIRMED))
    proxy = serve(Tunnel((HERE, server.port)), tls=False)
    names.addresses[NAME] = found
    with pytest.raises(BitbucketServerError) as caught:
        client(server, proxies={"https": f"http://{HERE}:{proxy.port}"}).request_token("https://app.example/")
    assert caught.value.code == "connection_failed"
    assert not proxy.peers


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_refuses_is_a_failed_connection(serve, client, status):
    server = serve(answering(CONFIRMED))
    proxy = serve(Tunnel((HERE, server.port), status), tls=False)
    with pytest.raises(BitbucketServerError) as caught:
        client(server, proxies={"https": f"http://{HERE}:{proxy.port}"}).request_token("https://app.example/")
    assert caught.value.code == "connection_failed"
    assert not server.peers


def test_a_certificate_is_checked_through_a_proxy_as_well(serve, client, other_authority):
    server = serve(answering(CONFIRMED), certificate=other_authority.issue_cert(NAME))
    proxy = serve(Tunnel((HERE, server.port)), tls=False)
    with pytest.raises(BitbucketServerError) as caught:
        client(server, proxies={"https": f"http://{HERE}:{proxy.port}"}).request_token("https://app.example/")
    assert caught.value.code == "certificate_authority_unknown"
    assert server.requests == []


def test_a_proxy_that_stalls_is_left_when_time_is_up(serve, route, client):
    server = serve(answering(CONFIRMED))
    proxy = serve(in_silence, tls=False)
    stalled = dataclasses.replace(route, proxy=f"http://{HERE}:{proxy.port}")
    assert problem(server, stalled, timeout=0.3).code == "timeout"
    assert proxy.is_left_alone()


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1080", "ftp://127.0.0.1", "http://[::1", "http://a:b:c"])
def test_a_proxy_of_another_kind_is_a_setting_that_cannot_be_used(serve, route, address):
    refused = problem(serve(answering()), dataclasses.replace(route, proxy=address))
    assert (refused.code, refused.parameter) == ("setting_invalid", "proxies")
