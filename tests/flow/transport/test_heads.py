"""Headers are read as far as an honest server would send them."""

import io
import re
import threading
import time

import pytest

from social_bitbucket_server.transport import heads
from social_bitbucket_server.transport.heads import HEAD_LIMIT
from tests.raw_server import answer, answering
from tests.security.rows import row

from .asking import get, problem

LINES = {
    "6 MB in long lines": [f"X-{number}: {'x' * 60_000}" for number in range(100)],
    "2 000 challenges": ['WWW-Authenticate: OAuth realm="x"'] * 2000,
    "one line too many": [f"X-{number}: {'x' * 1000}" for number in range(HEAD_LIMIT // 1000 + 1)],
}


@pytest.fixture
def lines_read(monkeypatch):
    """The lines of answers that were read, the status line among them."""
    lines = []

    class Head(heads._Head):
        def _line(self):
            lines.append(super()._line())
            return lines[-1]

    monkeypatch.setattr(heads, "_Head", Head)
    return lines


@row(122)
@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_headers_that_are_too_long_are_malformed(serve, route, lines, lines_read):
    server = serve(answering(answer(b"hello", "401 Unauthorized", *lines)))
    assert problem(server, route).code == "malformed_answer"
    # The milliseconds that the row allows are spent on lines, and none is taken apart before all are counted.
    assert sum(map(len, lines_read[:-1])) <= HEAD_LIMIT + len("HTTP/1.1 401 Unauthorized\r\n")
    assert server.is_left_alone()


@row(122)
def test_headers_that_are_too_long_are_malformed_in_a_large_buffer(serve, route, monkeypatch):
    monkeypatch.setattr(io, "DEFAULT_BUFFER_SIZE", 4 * HEAD_LIMIT)  # newer versions of Python have larger ones
    # Without TLS, whose records are shorter, all of it can arrive at once.
    server = serve(answering(answer(b"hello", "200 OK", *LINES["one line too many"])), tls=False)
    assert problem(server, route, scheme="http").code == "malformed_answer"


def test_headers_just_short_enough_are_read(serve, route):
    lines = [f"X-{number}: {'x' * 990}" for number in range(HEAD_LIMIT // 1000 - 1)]
    found = get(serve(answering(answer(b"hello", "200 OK", *lines))), route)
    assert (found.body, len(found.headers)) == (b"hello", len(lines) + 1)


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_an_interim_answer_is_passed_over(serve, route, status):
    server = serve(answering(f"HTTP/1.1 {status}\r\nX: y\r\n\r\n".encode() + answer()))
    assert get(server, route).body == b"hello"
    assert get(server, route).body == b"hello"
    assert len(server.peers) == 1


@pytest.mark.parametrize("status", ["101 Switching Protocols", "103 Early Hints"])
def test_nobody_gets_the_answer_that_came_after_an_interim_one_to_another_request(serve, route, status):
    pause = threading.Event()

    def behave(peer):
        while request := peer.read():
            peer.send(f"HTTP/1.1 {status}\r\n\r\n".encode())
            pause.wait(0.2)  # the next request would not see it yet
            peer.send(answer(re.search("X-Whose: (.*)\r\n", request)[1].encode()))

    server = serve(behave)
    for whose in ("jane", "kim"):
        assert get(server, route, headers={"X-Whose": whose}).body == whose.encode()


def test_interim_answers_without_end_are_malformed(serve, route):
    server = serve(lambda peer: peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0.001))
    assert problem(server, route, timeout=5).code == "malformed_answer"


@row(58)
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 102 Processing\r\n\r\n"], ids=["alone", "after 102"])
@pytest.mark.parametrize(
    "line",
    [b"\r\nX: y\rX-AUSERNAME: admin\r\n", b"\r\nX: y\r\r\n", b"\rX-AUSERNAME: admin\r\n"],
    ids=["CR", "CR CR LF", "CR after the status"],
)
def test_headers_with_a_bare_cr_are_malformed(serve, route, line, interim):
    server = serve(answering(interim + b"HTTP/1.1 200 OK" + line + b"Content-Length: 5\r\n\r\nhello"))
    assert problem(server, route).code == "malformed_answer"
    assert server.is_left_alone()


def test_what_is_no_http_is_noticed_by_its_first_line(serve, route):
    def greet(peer):
        peer.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        peer.wait()

    server = serve(greet)
    assert problem(server, route, timeout=3600).code == "connection_failed"
    assert server.is_left_alone()


@row(122)
@pytest.mark.parametrize(
    "line",
    [
        f"Content-Length: x{' ' * 30_000}y",
        f'Content-Type: multipart/mixed; a="{";" * 30_000}',
        f'CONTENT-TYPE:\r\n\t\x85Multipart/mixed; a="{";" * 15_000}\r\n {";" * 15_000}',
    ],
    ids=["spaces within a length", "semicolons within a type", "semicolons within a type on three lines"],
)
def test_a_long_header_takes_little_time(serve, route, line):
    server = serve(answering(answer(b"hello", "200 OK", line)))
    began = time.thread_time()
    assert problem(server, route).code == "malformed_answer"
    assert time.thread_time() - began < 0.2
