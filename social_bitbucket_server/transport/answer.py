"""The answer of a server, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from urllib3 import HTTPHeaderDict


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """The server's answer: *status*, *headers* with every line of a repeated one, and the bytes of the *body*. *url* is
    the address that was asked."""

    status: int
    headers: HTTPHeaderDict
    body: bytes
    url: str = ""

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"

    @property
    def is_html(self) -> bool:
        """Whether it is a page for people, which no address of this conversation answers with."""
        return "html" in self.headers.get("Content-Type", "").lower()
