"""Through a proxy: the address that was checked, and the certificate of the name."""

import dataclasses
import socket

import pytest

from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import default_transport
from tests.raw_server import answer, answering
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


REFUSALS = [
    ("403 Forbidden", (), "proxy_destination_refused", "It answered with status 403."),
    ("502 Bad Gateway", (), "proxy_destination_refused", "It answered with status 502."),
    ("407 Proxy Authentication Required", (), "proxy_credentials_refused", ""),
    ("407 x", ['Proxy-Authenticate: Basic realm="NTLM"'], "proxy_credentials_refused", "It offers Basic."),
    (
        "407 x",
        ["Proxy-Authenticate: Negotiate", "Proxy-Authenticate: NTLM"],
        "proxy_credentials_refused",
        "It offers Negotiate, NTLM. This application logs in to proxies with Basic alone.",
    ),
    ("407 x", ["Proxy-Authenticate: <b>"], "proxy_credentials_refused", ""),
]


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize(("status", "headers", "code", "reason"), REFUSALS)
def test_why_a_proxy_refuses_is_told(serve, route, names, scheme, status, headers, code, reason):
    proxy = serve(answering(answer(b"no", status, *headers)), tls=False)
    through = dataclasses.replace(route, policy=None, proxy=f"http://{HERE}:{proxy.port}")
    with pytest.raises(BitbucketServerError) as caught:
        default_transport().send("GET", f"{scheme}://{NAME}/x", {}, route=through)
    assert (caught.value.code, caught.value.reason, caught.value.parameter) == (code, reason, "proxies")
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("headers", [["X-AREQUESTID: @1"], ["Content-Type: application/json"]])
def test_what_bitbucket_refuses_through_a_proxy_is_no_refusal_of_the_proxy(serve, route, headers):
    proxy = serve(answering(answer(b"{}", "403 Forbidden", *headers)), tls=False)
    through = dataclasses.replace(route, policy=None, proxy=f"http://{HERE}:{proxy.port}")
    assert default_transport().send("GET", f"http://{NAME}/x", {}, route=through).status == 403


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("fault", ["down", "unknown", "no proxy"])
def test_a_proxy_that_cannot_be_asked_is_unreachable(serve, route, names, scheme, fault):
    with socket.socket() as taken:  # nobody else can listen there meanwhile
        taken.bind((HERE, 0))
        names.addresses["proxy.test"] = socket.gaierror(-2, "Name or service not known")
        host = "proxy.test" if fault == "unknown" else HERE
        port = serve(lambda peer: peer.send(b"SSH-2.0-x\r\n"), tls=False).port if fault == "no proxy" else None
        through = dataclasses.replace(route, policy=None, proxy=f"http://{host}:{port or taken.getsockname()[1]}")
        with pytest.raises(BitbucketServerError) as caught:
            default_transport().send("GET", f"{scheme}://{NAME}/x", {}, route=through)
    expected = "connection_failed" if (scheme, fault) == ("http", "no proxy") else "proxy_unreachable"
    assert caught.value.code == expected


def test_a_proxy_that_fails_again_and_again_is_left_alone(serve, route):
    proxy = serve(answering(answer(b"no", "403 Forbidden")), tls=False)
    through = dataclasses.replace(route, policy=None, proxy=f"http://{HERE}:{proxy.port}")
    codes = []
    for _ in range(4):
        with pytest.raises(BitbucketServerError) as caught:
            default_transport().send("GET", f"https://{NAME}/x", {}, route=through)
        codes.append(caught.value.code)
    assert codes == ["proxy_destination_refused"] * 3 + ["server_overloaded"]


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


def test_a_proxy_is_not_asked_for_plain_http_where_addresses_are_checked(serve, route):
    proxy = serve(answering(answer()), tls=False)
    through = dataclasses.replace(route, proxy=f"http://{HERE}:{proxy.port}")
    with pytest.raises(BitbucketServerError) as caught:
        default_transport().send("GET", f"http://{NAME}/x", {}, route=through)
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", "proxies")
    assert "look its name up itself" in caught.value.reason
    assert proxy.requests == []
    unchecked = dataclasses.replace(through, policy=None)
    assert default_transport().send("GET", f"http://{NAME}/x", {}, route=unchecked).status == 200


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1080", "ftp://127.0.0.1", "http://[::1", "http://a:b:c"])
def test_a_proxy_of_another_kind_is_a_setting_that_cannot_be_used(serve, route, address):
    refused = problem(serve(answering()), dataclasses.replace(route, proxy=address))
    assert (refused.code, refused.parameter) == ("setting_invalid", "proxies")
