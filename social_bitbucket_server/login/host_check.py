"""Requests with an invalid ``Host`` header do not reach the framework: its routing and links would fail."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_HOST = re.compile(
    r"(?:(?P<name>[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?)|\[(?P<address>[0-9A-Fa-f:.]{2,45})\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)

INVALID_HOST = "The request does not name the host that it is for.\n"
"""The text that answers a request with an invalid ``Host`` header."""

HEADERS_OF_INVALID_HOST = {
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def is_host(text: str) -> bool:
    """Return whether *text* is a name or an address, with or without a port."""
    match = _HOST.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65535:
        return False
    try:
        if match["address"]:
            ipaddress.IPv6Address(match["address"])
            return True
        if len(match["name"]) > 253:
            return False
        match["name"].encode("ascii").decode("idna")
    except ValueError:  # no IPv6 address, or a label that begins with xn-- and is no Punycode
        return False
    return True


class HostCheck:
    """Answers 400 to requests with an invalid ``Host`` header, and leaves the others to *application*."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if is_host(environ.get("HTTP_HOST", "")):
            return self._application(environ, start_response)
        start_response("400 Bad Request", list(HEADERS_OF_INVALID_HOST.items()))
        return [INVALID_HOST.encode()]
