"""One deadline for everything that a server can do slowly."""

import pytest

from tests.raw_server import answer
from tests.security.rows import row

from .asking import get, in_silence, problem


def after_headers(peer):
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    peer.drip(b"x", 0.01)


def in_chunks(peer):
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.drip(b"1\r\nx\r\n", 0.01)


def in_headers(peer):
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nX: ")
    peer.drip(b"x", 0.01)


def by_header_lines(peer):
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\n")
    peer.drip(b"X: y\r\n", 0.02)


def by_interim_answers(peer):
    peer.read()
    peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n", 0.01)


def in_trailers(peer):
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    peer.drip(b"X: y\r\n", 0.01)


@row(57)
@pytest.mark.parametrize(
    "behaviour",
    [after_headers, in_chunks, in_headers, by_header_lines, by_interim_answers, in_trailers, in_silence],
    ids=lambda behaviour: behaviour.__name__,
)
def test_a_server_that_never_ends_is_left_when_time_is_up(serve, route, behaviour):
    server = serve(behaviour)
    assert problem(server, route, timeout=0.3).code == "timeout"
    assert server.is_left_alone()


@row(57)
def test_a_tls_handshake_that_stalls_is_left_when_time_is_up(serve, route):
    server = serve(lambda peer: peer.wait(), tls=False)
    assert problem(server, route, timeout=0.3).code == "timeout"
    assert server.is_left_alone()


def test_a_tls_handshake_that_drips_is_left_when_time_is_up(serve, route):
    def handshake(peer):
        peer.send(b"\x16\x03\x03\x40\x00")
        peer.drip(b"\x00", 0.01)

    server = serve(handshake, tls=False)
    assert problem(server, route, timeout=0.3).code == "timeout"
    assert server.is_left_alone()


def test_a_kept_connection_has_the_deadline_too(serve, route):
    def first_only(peer):
        peer.read()
        peer.send(answer())
        peer.read()
        peer.wait()

    server = serve(first_only)
    assert get(server, route).status == 200
    assert problem(server, route, timeout=0.3).code == "timeout"
    assert len(server.peers) == 1
    assert server.is_left_alone()
