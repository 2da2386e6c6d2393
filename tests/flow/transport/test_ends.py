"""Where an answer ends. Bytes that are left over on a kept connection would begin the next person's answer."""

import dataclasses
import io
import tracemalloc

import pytest

from social_bitbucket_server.transport import connections
from tests.raw_server import answer, answering
from tests.security.rows import row
from tests.tunnel import Tunnel

from .asking import HERE, get, pem, problem

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
# A head that is in one piece is read in another way than one after an interim answer.
IN_BOTH_WAYS = pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 102 Processing\r\n\r\n"], ids=["alone", "after 102"])

PLAIN = {
    "a length": HEAD + b"Content-Length: \t5\r\n\r\nhello",
    "chunks": HEAD + CHUNKED + b"\r\n" + IN_CHUNKS,
    "lines without CR": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
}
NOT_PLAIN = {
    "a length with a sign": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "a length with an underscore": HEAD + b"Content-Length: 0_5\r\n\r\nhello",
    "a length after a no-break space": HEAD + b"Content-Length: \xa05\r\n\r\nhello",
    "a length on the next line": HEAD + b"Content-Length:\r\n 5\r\n\r\nhello",
    "two equal lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a length and chunks": HEAD + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS,
    "a length and chunks that are coded": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhello",
    "a length and no coding": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello",
    "two codings": HEAD + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + IN_CHUNKS,
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS,
    "chunks without a body": b"HTTP/1.1 204 No Content\r\n" + CHUNKED + b"\r\n" + IN_CHUNKS,
    "a coding below no header": HEAD + b"Content-Length: 5\r\nno header\r\n" + CHUNKED + b"\r\nhello",
    "a coding with a space": HEAD + b"Content-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\nhello",
}


@IN_BOTH_WAYS
@pytest.mark.parametrize("reply", PLAIN.values(), ids=PLAIN)
def test_a_connection_is_kept_after_a_plain_end(serve, route, reply, interim):
    server = serve(answering(interim + reply))
    assert [get(server, route).body for _ in range(2)] == [b"hello"] * 2
    assert len(server.peers) == 1


@row(58)
@IN_BOTH_WAYS
@pytest.mark.parametrize("reply", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_a_connection_is_closed_after_an_end_that_another_client_finds_elsewhere(serve, route, reply, interim):
    server = serve(answering(interim + reply))
    assert get(server, route).body == b"hello"
    assert server.is_left_alone()


@row(58)
@pytest.mark.parametrize("length", [b"5, 5", b"5;", b"0x5", b"-5", "\u0665".encode()])
def test_a_length_that_is_no_number_is_malformed(serve, route, length):
    def say(peer):
        peer.read()
        peer.send(HEAD + b"Content-Length: " + length + b"\r\n\r\nhello")

    assert problem(serve(say), route).code == "malformed_answer"


@row(58)
@pytest.mark.parametrize("size", [b"+5", b"0x5", b"0_5", b"\x0b5", b"5\n", b"5;\n"])
def test_a_chunk_whose_size_is_not_plain_is_not_read(serve, route, size):
    server = serve(answering(HEAD + CHUNKED + b"\r\n" + size + b"\r\nhello\r\n0\r\n\r\n"))
    assert problem(server, route).code == "connection_failed"
    assert server.is_left_alone()


@row(58)
@pytest.mark.parametrize("is_proxied", [False, True])
def test_nobody_gets_what_followed_an_answer_in_one_record_of_tls(
    serve, route, names, authority, monkeypatch, is_proxied
):
    monkeypatch.setattr(io, "DEFAULT_BUFFER_SIZE", 8192)
    first = answer(b"hello")
    # The reader takes that much. The rest of the record stays within TLS.
    server = serve(answering(first + b"." * (8192 - len(first)) + answer(b"other")))
    if is_proxied:
        context = connections.ssl_context(verify=True, ca_certificates=pem(authority))
        monkeypatch.setattr(connections, "ssl_context", lambda **_: context)
        names.addresses["proxy.test"] = [HERE]
        proxy = serve(Tunnel((HERE, server.port)), certificate=authority.issue_cert("proxy.test"))
        route = dataclasses.replace(route, policy=None, proxy=f"https://proxy.test:{proxy.port}")
    assert [get(server, route).body for _ in range(2)] == [b"hello"] * 2
    assert len(server.peers) == 2


@row(58)
@pytest.mark.parametrize("end", [b"\n\n", b"XX", b"\r\r"])
def test_a_chunk_whose_end_is_not_plain_is_not_read(serve, route, end):
    server = serve(answering(HEAD + CHUNKED + b"\r\n5\r\nhello" + end + b"0\r\n\r\n"))
    assert problem(server, route).code == "connection_failed"
    assert server.is_left_alone()


@row(55)
def test_a_chunk_without_end_is_not_read(serve, route):
    def pour(peer):
        peer.read()
        peer.send(HEAD + CHUNKED + b"\r\n-1\r\n")
        for _ in range(800):
            peer.send(b"x" * 65536)

    server = serve(pour)
    tracemalloc.start()
    try:
        assert problem(server, route).code == "connection_failed"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000
    assert server.is_left_alone()
