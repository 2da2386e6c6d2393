"""Limits in bytes, and what is not HTTP."""

import gzip
import tracemalloc
import zlib

import pytest

from tests.raw_server import answer, answering
from tests.security.rows import row

from .asking import get, problem

COMPRESSED = {
    "gzip": gzip.compress(b"x" * 1000),
    "x-gzip": gzip.compress(b"x" * 1000),
    "gzip, gzip": gzip.compress(gzip.compress(bytes(10**7))),
    "deflate": zlib.compress(b"x" * 1000),
    "br": b"\x0b\x02\x80hello\x03",
    "zstd": b"(\xb5/\xfd",
    "identity, gzip": gzip.compress(b"x"),
}


@row(56)
@pytest.mark.parametrize("encoding", COMPRESSED)
def test_compressed_answers_are_refused_unread(serve, route, encoding):
    server = serve(answering(answer(COMPRESSED[encoding], "200 OK", f"Content-Encoding: {encoding}")))
    refused = problem(server, route)
    assert refused.code == "answer_compressed"
    assert server.is_left_alone()


@row(56)
@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_an_answer_that_says_it_is_not_compressed_is_read(serve, route, encoding):
    server = serve(answering(answer(b"hello", "200 OK", f"Content-Encoding: {encoding}")))
    assert get(server, route).body == b"hello"


@row(58)
def test_a_compressed_answer_that_does_not_say_so_stays_compressed(serve, route):
    server = serve(answering(answer(COMPRESSED["gzip"])))
    assert get(server, route).body == COMPRESSED["gzip"]


@row(58)
@pytest.mark.parametrize(("lengths", "is_read"), [((5, 5), True), ((5, 9), False), ((9, 5), False)])
def test_an_answer_with_two_lengths_is_malformed(serve, route, lengths, is_read):
    heads = "".join(f"Content-Length: {length}\r\n" for length in lengths)
    server = serve(answering(f"HTTP/1.1 200 OK\r\n{heads}\r\nhello".encode()))
    if is_read:
        assert get(server, route).body == b"hello"
    else:
        assert problem(server, route).code == "malformed_answer"
        assert server.is_left_alone()


FLOODS = {
    "by its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n", b"x" * 65536),
    "until the end": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * 65536),
    "in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"x" * 0x8000 + b"\r\n"),
    "in one chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3200000\r\n", b"x" * 65536),
    "in a chunk's first line": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536),
    "in a header line": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "in the status line": (b"HTTP/1.1 200 ", b"x" * 65536),
}


@row(55)
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_cut_off(serve, route, flood):
    beginning, more = FLOODS[flood]

    def pour(peer):
        peer.read()
        peer.send(beginning)
        for _ in range(800):
            peer.send(more)

    server = serve(pour)
    tracemalloc.start()
    try:
        refused = problem(server, route)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.code in {"malformed_answer", "connection_failed"}
    assert peak < 5_000_000
    assert server.is_left_alone()


@row(55)
@pytest.mark.parametrize("flood", [b"1;" + b"x" * 60_000 + b"\r\nx\r\n", b"0\r\n" + b"X: y\r\n" * 10_000])
def test_what_is_around_chunks_counts_too(serve, route, flood):
    def pour(peer):
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(flood)
        peer.drip(flood.removeprefix(b"0\r\n"), 0.001)

    server = serve(pour)
    assert problem(server, route, timeout=5).code == "malformed_answer"
    assert server.is_left_alone()


@row(58)
@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(200)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/9.9\r\n\r\n",
        b"\x00" * 1000,
        b"",
    ],
    ids=[
        "200 headers",
        "a header line of 70 KB",
        "SSH",
        "less than announced",
        "a chunk without size",
        "a chunk of negative size",
        "half a chunk",
        "a status that is no number",
        "another version",
        "zeros",
        "nothing",
    ],
)
def test_what_is_not_http_is_a_failed_connection_after_one_try(serve, route, reply):
    def say(peer):
        peer.read()
        peer.send(reply)

    server = serve(say)
    assert problem(server, route).code == "connection_failed"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\njan",
        b"HTTP/1.0 200 OK\r\n\r\njan",
        b"HTTP/1.1 200 OK\r\nX-AUSERNAME: jan",
    ],
    ids=["without length", "in HTTP/1.0", "within the headers"],
)
def test_an_answer_that_could_have_been_cut_short_is_refused(serve, route, reply):
    def cut(peer):
        peer.read()
        peer.send(reply)

    assert problem(serve(cut), route).code == "malformed_answer"


def test_an_answer_in_chunks_is_read(serve, route):
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX: y\r\n\r\n"
    server = serve(answering(reply))
    assert [get(server, route).body for _ in range(2)] == [b"hello"] * 2
    assert len(server.peers) == 1
