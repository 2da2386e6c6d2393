"""Which address is reached: names resolved once, policies kept, and nothing from another place."""

import dataclasses
import socket
import threading
from ipaddress import ip_address, ip_network

import pytest

from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import AddressPolicy, default_transport, reaching
from tests.raw_server import answer, answering

from .asking import (
    FORBIDDEN,
    HERE,
    NAME,
    get,
    loopback,
    problem,
    which,
)


def test_the_name_is_resolved_once_as_a_whole_name_and_the_connection_goes_to_its_address(serve, route, names):
    server = serve(answering())
    assert get(server, route).body == b"hello"
    assert names.asked == [f"{NAME}."]
    assert f"Host: {NAME}:{server.port}\r\n" in server.requests[0]


def test_a_name_without_policy_is_resolved_as_the_machine_does(serve, route, names):
    get(serve(answering()), dataclasses.replace(route, policy=None))
    assert names.asked == [NAME]


@pytest.mark.parametrize(
    "addresses",
    [
        [FORBIDDEN],
        [HERE, FORBIDDEN],
        [FORBIDDEN, HERE],
        [f"::ffff:{FORBIDDEN}"],
        ["::7f00:3"],
        ["64:ff9b::7f00:3"],
        ["2002:7f00:3::"],
        ["::1"],
        ["0.0.0.0"],
        ["10.20.1.5"],
        [HERE, "169.254.169.254"],
        [HERE, "fe80::1"],
    ],
    ids=which,
)
def test_an_address_that_is_not_permitted_refuses_the_name_and_nobody_is_reached(
    serve, route, names, forbidden, addresses
):
    server = serve(answering())
    listener = forbidden(server)
    names.addresses[NAME] = addresses
    refused = problem(server, route)
    assert refused.code == "address_blocked"
    assert refused.parameter == "base_url"
    assert refused.facts["host"] == NAME
    assert not server.peers
    assert not listener.peers


def test_a_literal_address_is_checked_like_any_other(serve, route, forbidden):
    listener = forbidden(serve(answering()))
    with pytest.raises(BitbucketServerError) as caught:
        default_transport().send("GET", f"https://{FORBIDDEN}:{listener.port}/", {}, route=route)
    assert caught.value.code == "address_blocked"
    assert not listener.peers


def test_a_name_that_is_rebound_is_refused_when_the_connection_has_to_be_made_anew(serve, route, names, forbidden):
    def once(peer):
        peer.read()
        peer.send(answer(b"hello", "200 OK", "Connection: close"))

    server = serve(once)
    listener = forbidden(server)
    looked_up = iter([[HERE], [FORBIDDEN]])
    names.addresses[NAME] = lambda: next(looked_up)
    assert get(server, route).status == 200
    assert problem(server, route).code == "address_blocked"
    assert len(names.asked) == 2
    assert len(server.peers) == 1
    assert not listener.peers


def test_a_kept_connection_asks_no_resolver_again(serve, route, names):
    server = serve(answering())
    for _ in range(3):
        get(server, route)
    assert len(names.asked) == 1


@pytest.mark.parametrize(
    "failure", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long"), []], ids=repr
)
def test_a_name_that_does_not_resolve_is_a_failed_connection(serve, route, names, failure):
    server = serve(answering())
    names.addresses[NAME] = failure
    assert problem(server, route).code == "connection_failed"
    assert not server.peers


def test_a_resolver_that_hangs_is_left_behind(serve, route, names, monkeypatch):
    monkeypatch.setattr(reaching, "RESOLVER_SECONDS", 0.05)
    server = serve(answering())
    done = threading.Event()
    names.addresses[NAME] = lambda: done.wait(120) and [HERE]
    assert problem(server, route, timeout=120).code == "connection_failed"
    assert not server.peers
    done.set()


def test_the_next_address_is_tried_where_one_does_not_answer(serve, route, names):
    server = serve(answering())
    names.addresses[NAME] = [loopback(9), HERE]
    both = AddressPolicy(test_addresses=frozenset({ip_address(loopback(9)), ip_address(HERE)}))
    assert get(server, dataclasses.replace(route, policy=both)).status == 200


def test_an_address_that_swallows_everything_leaves_time_for_the_next(serve, route, names, monkeypatch):
    server = serve(answering())
    names.addresses[NAME] = [loopback(9), HERE]
    both = AddressPolicy(test_addresses=frozenset({ip_address(loopback(9)), ip_address(HERE)}))
    connect, waited = socket.create_connection, []

    def swallow(address, seconds):
        if address[0] == HERE:
            return connect(address, seconds)
        waited.append(seconds)
        raise TimeoutError

    monkeypatch.setattr(reaching.socket, "create_connection", swallow)
    assert get(server, dataclasses.replace(route, policy=both), timeout=8).status == 200
    assert waited[0] <= 4


class Everything(AddressPolicy):
    """Permits what no policy permits, so that this machine's own addresses are within reach."""

    def permits(self, address):
        return True


def test_this_machines_own_addresses_are_refused_whatever_they_are(serve, route, names):
    server = serve(answering(), "127.0.0.1")
    names.addresses[NAME] = ["127.0.0.1"]
    refused = problem(server, dataclasses.replace(route, policy=Everything()))
    assert refused.code == "address_blocked"
    assert refused.facts["address_class"] == "this machine"
    assert not server.peers


@pytest.mark.socket
def test_a_private_network_is_reached_only_by_whom_it_is_allowed(route, names, monkeypatch):
    names.addresses[NAME] = ["10.20.1.5"]
    tried = []

    def refuse(address, seconds):
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(reaching.socket, "create_connection", refuse)
    allowed = AddressPolicy(private_networks=(ip_network("10.20.0.0/16"),))
    another = AddressPolicy(private_networks=(ip_network("10.30.0.0/16"),))
    outcomes = []
    for policy in (AddressPolicy(), another, allowed):
        with pytest.raises(BitbucketServerError) as caught:
            default_transport().send("GET", f"https://{NAME}/", {}, route=dataclasses.replace(route, policy=policy))
        outcomes.append(caught.value.code)
    assert outcomes == ["address_blocked", "address_blocked", "connection_failed"]
    assert tried == [("10.20.1.5", 443)]
