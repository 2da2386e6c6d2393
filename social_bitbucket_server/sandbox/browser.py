"""A person's browser, as far as a login needs one."""

from __future__ import annotations

import urllib.error
import urllib.request
from html.parser import HTMLParser
from http.client import HTTPResponse, HTTPMessage
from http.cookiejar import CookieJar
from typing import IO
from urllib.parse import urlencode, urljoin


class BrowserError(Exception):
    """A page did not let the person go on; *status* is its HTTP status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Browser:
    """Opens the pages of the sandbox at *base_url* and keeps its cookies."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._opener = urllib.request.build_opener(
            # The sandbox is on this machine: a proxy from the environment would not find it.
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(CookieJar()),
            _NoRedirects(),
        )

    def authorize(self, authorize_url: str, name: str, password: str, *, allow: bool) -> str:
        """Open *authorize_url*, log in, press Allow or Deny; returns where the browser is sent then."""
        location, page = self._open(authorize_url)
        if not location:
            raise BrowserError("The authorize page did not ask to log in.", 200)
        _, page = self._open(urljoin(authorize_url, location))
        location, _ = self._submit(location, page, {"j_username": name, "j_password": password})
        _, page = self._open(urljoin(authorize_url, location))
        location, _ = self._submit(authorize_url, page, {"approve" if allow else "deny": "1"})
        if not location:
            raise BrowserError("The application asked for no callback; the verifier is on the page.", 200)
        return location

    def _submit(self, address: str, page: str, fields: dict[str, str]) -> tuple[str, str]:
        hidden = _HiddenFields()
        hidden.feed(page)
        body = urlencode({**hidden.fields, **fields}).encode()
        return self._open(urljoin(self._base_url, address.partition("?")[0]), body)

    def _open(self, address: str, body: bytes | None = None) -> tuple[str, str]:
        try:
            with self._opener.open(address, body, timeout=30) as response:
                return "", response.read().decode()
        except urllib.error.HTTPError as answer:
            with answer:
                if answer.code in {302, 303}:
                    return answer.headers["Location"], ""
                raise BrowserError(f"The page {address.partition('?')[0]} answered {answer.code}.", answer.code) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class _HiddenFields(HTMLParser):
    """The hidden fields of the page's main form; the one in the header only logs out."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._in_main = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_main = self._in_main or tag == "main"
        attributes = dict(attrs)
        if self._in_main and tag == "input" and attributes.get("type") == "hidden":
            self.fields[attributes["name"] or ""] = attributes["value"] or ""
