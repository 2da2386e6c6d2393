"""Answers whose headers, and whatever surrounds their chunks, are read only up to a limit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import CONTINUE, HTTPResponse, IncompleteRead, parse_headers
from typing import Any

from ..problems import BitbucketServerError, Code
from .connection_errors import proxy_refusal
from .exchange import current

HEAD_LIMIT = 32 * 1024
"""Bytes that the head of an answer may have, with all interim answers before it. Bitbucket sends less than 8 KiB."""

_LONGEST_LINE = 64 * 1024  # http.client's own limit
_TLS_ALERT = b"\x15\x03"  # RFC 8446, section 5.1
_END_OF_HEAD = frozenset({b"\r\n", b"\n", b""})
# A final answer's head that came in one piece.
_WHOLE_HEAD = re.compile(rb"HTTP/1\.[01] [2-5][^\n]*\n(?:[^\r\n][^\n]*\n)*\r\n")
_BARE_CR = re.compile(rb"\r(?!\n)")
_END_OF_ANSWER = re.compile(rb"(?i)\n(content-length|transfer-encoding):([^\r\n]*)")
_PARTS = re.compile(rb"(?i)\ncontent-type:\W*multipart/")  # in any spelling that http.client understands
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n")


class LimitedResponse(HTTPResponse):
    """Reads no more than :data:`HEAD_LIMIT` bytes of headers, and a proxy's answer to CONNECT.

    urllib3's pool takes it for its own answer: it sets ``_pool`` and ``_connection``, and logs ``version_string`` and
    ``length_remaining``.
    """

    _pool: Any
    _connection: Any
    version_string = "HTTP"

    @property
    def length_remaining(self) -> int | None:
        return self.length

    def limit_chunks(self, limit: int) -> None:
        """Let a body in chunks take at most twice *limit* and :data:`HEAD_LIMIT` bytes, with the sizes of its chunks
        and its trailers."""
        if self.chunked:
            self.fp = _Chunks(self.fp, 2 * limit + HEAD_LIMIT)  # type: ignore[assignment]  # it has what is used of it

    def release(self, *, is_read: bool) -> None:
        """Give the connection back to its pool, closed unless the answer *is_read* to its end."""
        connection, pool = self._connection, self._pool
        del self._connection, self._pool  # the connection keeps its last answer, and must not keep its pool
        if not is_read:
            connection.close()
        pool._put_conn(connection)

    def _read_status(self) -> tuple[str, int, str]:
        if not current().is_at_proxy:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # http.client's own
            # http.client skips 100 alone. It would take any other interim answer for the final one.
            return version, CONTINUE if status // 100 == 1 else status, reason
        reader = self.fp
        self.fp = _Head(reader)  # type: ignore[assignment]  # as below
        try:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # as above
            if status != 200:
                raise proxy_refusal(status, parse_headers(self.fp))
            return version, status, reason
        finally:
            if self.fp is not None:  # it is where the line was none of HTTP's
                self.fp = reader

    def begin(self) -> None:
        """Read the head. Raises ``https_expected`` if the server sends a TLS alert instead."""
        reader = self.fp
        received = reader.peek(2)
        if received.startswith(_TLS_ALERT):
            raise BitbucketServerError(Code.HTTPS_EXPECTED)
        whole = _WHOLE_HEAD.match(received, 0, HEAD_LIMIT)  # the buffer may be larger: Python chooses its size
        if whole is not None:  # so it is short enough, and http.client may read it by itself
            ends = _ends_of(whole[0])
            super().begin()
        else:
            head = _Head(reader)
            self.fp = head  # type: ignore[assignment]  # it has what is used of a reader
            try:
                super().begin()
            finally:
                self.fp = reader
            ends = head.ends
        if not self._is_end_plain(ends):
            self.will_close = True

    def _is_end_plain(self, ends: list[tuple[bytes, bytes]]) -> bool:
        """Return whether every client finds the end of the answer at the same byte (RFC 9112, section 6.3), by the
        headers that say where it *ends*.

        http.client takes ``+5`` and ``1_0`` for lengths, prefers a length to most transfer codings, and leaves out
        headers below a line that is none. Bytes that are left over would begin the next person's answer.
        """
        if self.headers.defects or len(ends) > 1:
            return False
        if not ends:
            return True
        name, value = ends[0]
        if name.lower() == b"content-length":
            return value.strip(b" \t") == str(self.length).encode()
        # Status 204 or 304 has a length of 0, and no body in spite of a coding.
        return self.chunked and self.version == 11 and self.length is None

    def _get_chunk_left(self) -> int | None:
        """Return how much is left of a chunk. http.client takes any two bytes for the end of one."""
        if self.chunk_left == 0:
            if self._safe_read(2) != b"\r\n":  # type: ignore[attr-defined]  # http.client's own
                raise IncompleteRead(b"")
            self.chunk_left = None
        return super()._get_chunk_left()  # type: ignore[misc,no-any-return]  # as above

    def _read_next_chunk_size(self) -> int:
        """Read the size of a chunk. http.client takes ``-1``, too, and then reads whatever comes."""
        size = _CHUNK_SIZE.fullmatch(self.fp.readline(_LONGEST_LINE + 1))
        if size is None:
            raise ValueError
        return int(size[1], 16)


def _ends_of(head: bytes) -> list[tuple[bytes, bytes]]:
    """Return name and value of each ``Content-Length`` and ``Transfer-Encoding`` in *head*, with its status line.

    Raises ``malformed_answer`` for a bare CR: http.client would begin another header after it. RFC 9110, section 5.5,
    has it refused. Raises it for an answer in parts, too: the time in which http.client looks for their boundary grows
    with the square of the header (https://github.com/python/cpython/issues/136063).
    """
    if _BARE_CR.search(head):
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "A carriage return stands alone in its headers.")
    if _PARTS.search(head):
        raise BitbucketServerError(Code.MALFORMED_ANSWER, "It is in several parts.")
    return _END_OF_ANSWER.findall(head)


class _Chunks:
    """Reads chunks, their sizes and the trailers: no more than *most* bytes together."""

    def __init__(self, reader: Any, most: int) -> None:
        self._reader = reader
        self._left = most
        self.close, self.flush = reader.close, reader.flush

    def read(self, amount: int) -> bytes:
        return self._counted(self._reader.read(amount))

    def readline(self, limit: int) -> bytes:
        return self._counted(self._reader.readline(limit))

    def _counted(self, received: bytes) -> bytes:
        self._left -= len(received)
        if self._left < 0:
            raise BitbucketServerError(Code.MALFORMED_ANSWER, "There is too much around its chunks.")
        return received


class _Head:
    """Reads the status line of an answer, and then all headers at once: bytes are counted before lines are. Interim
    answers, each with a status line and headers of its own, count together with it.

    *ends*: name and value of each header that says where the answer ends.
    """

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._size = 0
        self._lines = self._read()
        self.ends: list[tuple[bytes, bytes]] = []
        self.close = reader.close

    def readline(self, _limit: int) -> bytes:
        return next(self._lines, b"")

    def _read(self) -> Iterator[bytes]:
        while True:
            # At once: what does not speak HTTP may send no other line.
            status_line = self._line()
            yield status_line
            headers = [self._line()]
            while headers[-1] not in _END_OF_HEAD and len(headers[-1]) <= _LONGEST_LINE:
                headers.append(self._line())
            self.ends = _ends_of(b"".join([status_line, *headers]))
            yield from headers

    def _line(self) -> bytes:
        """Read a line. It counts from the next one on."""
        if self._size > HEAD_LIMIT:
            raise BitbucketServerError(Code.MALFORMED_ANSWER, f"Its headers are longer than {HEAD_LIMIT} bytes.")
        line: bytes = self._reader.readline(_LONGEST_LINE + 1)
        self._size += len(line)
        return line
