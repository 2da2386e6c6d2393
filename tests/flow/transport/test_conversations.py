"""Whole conversations over connections that are kept."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from social_bitbucket_server.oauth import AccessToken, Request
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import Transport, use_transport
from social_bitbucket_server.transport.transport import SERVERS
from tests.raw_server import answer, answering

from .asking import CONFIRMED, NAME, get

TOKEN = AccessToken("A", "", None, None)


def nonces(server):
    return [request.partition('oauth_nonce="')[2].partition('"')[0] for request in server.requests]


def test_connections_are_used_again_across_logins_and_clients(serve, client):
    server = serve(answering(CONFIRMED))
    for _ in range(5):
        assert client(server).request_token("https://app.example/") == "T"
    assert len(server.peers) == 1
    assert len(set(nonces(server))) == 5


def test_connections_are_kept_to_so_many_servers_and_no_more(serve, route, transport):
    assert transport._connections.cache_info().maxsize == SERVERS
    use_transport(Transport(resolver=transport.resolver, servers=2, limits=transport.limits))
    servers = [serve(answering()) for _ in range(4)]
    for server in servers:
        assert get(server, route).status == 200
    forgotten, kept = servers[:2], servers[2:]
    assert all(server.is_left_alone() for server in forgotten)
    assert [get(server, route).status for server in kept] == [200, 200]
    assert [len(server.peers) for server in servers] == [1, 1, 1, 1]
    assert not any(peer.left.is_set() for server in kept for peer in server.peers)


def closing_after(answers, reply=CONFIRMED):
    """Keep a connection, but close it without an answer to the request after so many; the first such connection."""
    seen = []

    def behave(peer):
        seen.append(peer)
        while peer.read():
            if peer is seen[0] and len(peer.requests) > answers:
                return
            peer.send(reply)

    return behave


def test_a_kept_connection_that_was_closed_is_signed_and_sent_again_once_with_another_nonce(serve, client):
    server = serve(closing_after(1))
    client(server).request_token("https://app.example/")
    client(server).request_token("https://app.example/")
    assert [len(peer.requests) for peer in server.peers] == [2, 1]
    assert len(set(nonces(server))) == 3


def test_it_is_sent_again_on_a_new_connection_where_other_kept_ones_were_closed_too(serve, client):
    barrier = threading.Barrier(2)
    kept = []

    def behave(peer):
        if len(kept) < 2:
            kept.append(peer)
        peer.read()
        if peer in kept:
            barrier.wait(60)
        peer.send(CONFIRMED)
        peer.read()

    server = serve(behave)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: client(server).request_token("https://app.example/"), range(2)))
    assert client(server).request_token("https://app.example/") == "T"
    assert len(server.requests) == 4
    assert len(server.peers) == 3


def test_a_new_connection_that_is_closed_is_not_tried_again(serve, client):
    def behave(peer):
        peer.read()
        if peer is server.peers[0]:
            peer.send(CONFIRMED)
            peer.read()

    server = serve(behave)
    client(server).request_token("https://app.example/")
    with pytest.raises(BitbucketServerError) as caught:
        client(server).request_token("https://app.example/")
    assert caught.value.code == "connection_failed"
    assert len(server.requests) == 3


def test_a_first_connection_that_is_closed_is_not_tried_again(serve, client):
    server = serve(lambda peer: peer.read())
    with pytest.raises(BitbucketServerError) as caught:
        client(server).request_token("https://app.example/")
    assert caught.value.code == "connection_failed"
    assert len(server.requests) == 1


def test_a_request_whose_answer_breaks_off_on_a_kept_connection_is_not_sent_again(serve, client):
    def behave(peer):
        peer.read()
        peer.send(CONFIRMED)
        peer.read()
        peer.send(CONFIRMED[:-1])

    server = serve(behave)
    client(server).request_token("https://app.example/")
    with pytest.raises(BitbucketServerError) as caught:
        client(server).request_token("https://app.example/")
    assert caught.value.code == "connection_failed"
    assert len(server.requests) == 2


def test_a_post_of_a_document_is_not_sent_again(serve, client):
    server = serve(closing_after(1, answer(b"{}")))
    address = f"https://{NAME}:{server.port}/rest/x"
    client(server).request(Request("POST", address, 1000, body="{}"), TOKEN)
    with pytest.raises(BitbucketServerError) as caught:
        client(server).request(Request("POST", address, 1000, body="{}"), TOKEN)
    assert caught.value.code == "connection_failed"
    assert len(server.requests) == 2


def test_a_put_of_a_document_is_sent_again(serve, client):
    server = serve(closing_after(1, answer(b"{}")))
    address = f"https://{NAME}:{server.port}/rest/x"
    for _ in range(2):
        assert client(server).request(Request("PUT", address, 1000, body='{"a": 1}'), TOKEN).status == 200
    assert len(server.requests) == 3
    assert all(request.endswith('\r\n\r\n{"a": 1}') for request in server.requests)


def test_stale_connections_are_not_held_against_the_server(serve, client):
    def behave(peer):
        peer.read()
        peer.send(CONFIRMED)
        peer.read()

    server = serve(behave)
    for _ in range(10):
        assert client(server).request_token("https://app.example/") == "T"
