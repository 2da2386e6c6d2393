"""Which ``Host`` headers reach the framework: routing and links fail with a name that is none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_LONGEST = 253
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
_HEADERS = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
]


def is_host(text: str) -> bool:
    """Return whether *text* is a name or an address, with or without a port."""
    match = _HOST.fullmatch(text)
    if match is None or len(match["name"]) > _LONGEST:
        return False
    try:
        match["name"].encode("ascii").decode("idna")
    except UnicodeError:  # a label that begins with xn-- and is no Punycode
        return False
    return True


class HostCheck:
    """Answers 400 to requests whose ``Host`` is none, and leaves the others to *application*."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if is_host(environ.get("HTTP_HOST", "")):
            return self._application(environ, start_response)
        start_response("400 Bad Request", list(_HEADERS))
        return [b"The request does not name the host that it is for.\n"]
