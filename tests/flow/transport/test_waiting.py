"""Who waits for a server, over which connections, and for how long."""

import logging
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from social_bitbucket_server.oauth import AccessToken, Request
from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import Budget, Limits, breaker, connections
from social_bitbucket_server.transport.bulkhead import Bulkhead
from social_bitbucket_server.transport.reaching import handshake_of, lag_of
from tests.raw_server import RawServer, answer, answering
from tests.security.rows import row

from .asking import NAME, get, in_silence, problem, server_context
from .test_deadline import after_headers, by_header_lines, in_chunks, in_trailers

TOKEN = AccessToken("A", "", None, None)
LIMITS = Limits(login_seconds=120, patience=0.06, slow_steps=1)


class Told(Bulkhead):
    """Says when a step asks for a place: then its patience is over."""

    def __init__(self):
        super().__init__()
        self.asked_for_place = threading.Event()

    def take_place(self, limits):
        try:
            return super().take_place(limits)
        finally:
            self.asked_for_place.set()


@pytest.fixture
def full():
    """A bulkhead whose only place is taken by a step after this one began."""
    room = Told()
    budget = Budget(room, LIMITS)
    assert room.take_place(LIMITS)
    return budget


# Patience


def stalled_handshake(peer):
    peer.wait()


@pytest.mark.parametrize(
    "behaviour",
    [in_silence, after_headers, in_chunks, by_header_lines, in_trailers],
    ids=lambda behaviour: behaviour.__name__,
)
def test_a_step_in_the_middle_of_an_answer_is_ended_without_a_place(serve, route, full, behaviour):
    server = serve(behaviour)
    assert problem(server, route, timeout=120, budget=full).code == "server_busy"
    assert server.is_left_alone()


def test_a_step_in_the_middle_of_a_handshake_is_ended_without_a_place(serve, route, full):
    server = serve(stalled_handshake, tls=False)
    assert problem(server, route, timeout=120, budget=full).code == "server_busy"
    assert server.is_left_alone()


def test_a_step_is_ended_without_a_place_while_its_name_is_looked_up(serve, route, names, full):
    done = threading.Event()
    names.addresses["bb-a.test"] = lambda: done.wait(120) and []
    server = serve(answering())
    assert problem(server, route, timeout=120, budget=full).code == "server_busy"
    done.set()


def test_a_step_with_a_place_goes_on_where_it_was(serve, route):
    room = Told()

    def answer_to_the_patient(peer):
        while peer.read():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
            room.asked_for_place.wait(120)
            peer.send(b"llo")

    server = serve(answer_to_the_patient)
    with Budget(room, LIMITS) as budget:
        assert get(server, route, timeout=120, budget=budget).body == b"hello"
    assert len(server.requests) == 1


def test_a_handshake_with_a_place_goes_on_where_it_was(serve, route, authority):
    room = Told()

    def shake_hands_late(peer):
        room.asked_for_place.wait(120)
        peer.secure(server_context(authority.issue_cert(NAME)))
        answering()(peer)

    server = serve(shake_hands_late, tls=False)
    with Budget(room, LIMITS) as budget:
        assert get(server, route, timeout=120, budget=budget).status == 200
    assert len(server.peers) == 1


def test_a_long_body_with_a_place_is_sent_on_where_it_was(serve, route, client):
    room, received = Told(), []

    def read_late(peer):
        room.asked_for_place.wait(120)
        received.append(peer.read())
        peer.send(answer(b"{}"))

    server = serve(read_late)
    body = "x" * 6_000_000
    with Budget(room, LIMITS) as budget:
        asking = client(server).within(budget)
        found = asking.request(Request("PUT", f"https://bb-a.test:{server.port}/x", 1000, body=body), TOKEN)
    assert found.status == 200
    assert received[0].endswith("\r\n\r\n" + body)


@row(112)
def test_what_one_tenant_waits_for_is_no_matter_of_anothers(serve, route, full):
    silent, other = serve(in_silence), serve(answering())
    assert problem(silent, route, timeout=120, budget=full).code == "server_busy"
    with Budget(Bulkhead(), LIMITS) as others:
        assert get(other, route, budget=others).status == 200


def test_an_ended_step_says_nothing_about_the_server(serve, route, monkeypatch):
    monkeypatch.setattr(breaker, "SECONDS_OPEN", 600)
    server = serve(in_silence)
    for _ in range(3):
        room = Told()
        budget = Budget(room, LIMITS)
        room.take_place(LIMITS)
        assert problem(server, route, timeout=120, budget=budget).code == "server_busy"
    server.behaviour = answering()
    assert get(server, route).status == 200


# What the system knows


@pytest.mark.socket
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")
def test_a_connection_tells_when_something_last_came_in():
    with RawServer(answering()) as server, socket.create_connection(("127.0.0.1", server.port)) as connection:
        assert 0 <= handshake_of(connection) < 60
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.recv(100)
        assert 0 <= lag_of(connection) < 60


@pytest.mark.socket
def test_a_system_that_does_not_tell_is_not_asked(monkeypatch):
    monkeypatch.delattr(socket, "TCP_INFO", raising=False)
    with RawServer(answering()) as server, socket.create_connection(("127.0.0.1", server.port)) as connection:
        assert lag_of(connection) is None
        assert handshake_of(connection) is None


# Requests


@row(111)
def test_a_request_that_has_to_be_sent_twice_counts_twice(serve, client):
    def once_each(peer):
        peer.read()
        peer.send(answer())
        peer.read()  # and goes away without an answer

    server = serve(once_each)
    url = f"https://bb-a.test:{server.port}/x"
    with Budget(Bulkhead(), Limits(120, 60)) as budget:
        person = client(server).within(budget).as_person(TOKEN)
        with pytest.raises(BitbucketServerError) as caught:
            [person.text(url) for _ in range(20)]
    assert caught.value.code == "conversation_too_long"
    assert len(server.requests) == 12


# Connections


def test_nobody_waits_for_a_connection_and_a_few_are_kept(serve, route, caplog):
    everybody = threading.Barrier(40)

    def answer_all_at_once(peer):
        peer.read()
        everybody.wait(120)
        peer.send(answer())
        answering()(peer)

    server = serve(answer_all_at_once)
    with ThreadPoolExecutor(40) as people, caplog.at_level(logging.DEBUG):
        answers = list(people.map(lambda _: get(server, route, timeout=120).status, range(40)))
    assert answers == [200] * 40
    assert len(server.peers) == 40
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    get(server, route)
    assert len(server.peers) == 40, "one that was kept"
    left = [peer for peer in server.peers if peer.left.wait(0.01)]
    assert len(left) >= 40 - connections.IDLE_CONNECTIONS


def test_an_old_connection_is_not_used_again(serve, route, monkeypatch):
    server = serve(answering())
    get(server, route)
    get(server, route)
    assert len(server.peers) == 1
    monkeypatch.setattr(connections, "OLDEST_CONNECTION", -1)
    get(server, route)
    assert len(server.peers) == 2


# Whose connections and failures they are


@row(113)
def test_integrations_at_one_server_share_no_connection_and_no_failure(serve, route, transport, monkeypatch):
    monkeypatch.setattr(breaker, "SECONDS_OPEN", 600)

    def fail_below_a_path(peer):
        while request := peer.read():
            if request.startswith("GET /x?fail"):
                return
            peer.send(answer())

    server = serve(fail_below_a_path)
    ours, theirs = replace(route, owner="a"), replace(route, owner="b")
    url = f"https://bb-a.test:{server.port}/x"
    assert get(server, ours).status == 200
    codes = []
    for _ in range(5):
        with pytest.raises(BitbucketServerError) as caught:
            transport.send("GET", f"{url}?fail", {}, route=theirs, timeout=120)
        codes.append(caught.value.code)
    assert codes == ["connection_failed"] * 3 + ["server_overloaded"] * 2
    assert get(server, ours).status == 200
    assert len(server.peers[0].requests) == 2, "our own connection"
