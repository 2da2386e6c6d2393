"""A person's browser, as far as a login needs one."""

from __future__ import annotations

from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, HTTPHandler, OpenerDirector


class BrowserError(Exception):
    """A page did not let the person go on; *status* is its HTTP status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Browser:
    """Opens pages and keeps their cookies."""

    def __init__(self) -> None:
        # Put together by hand: no proxy from the environment, and no redirect followed unseen.
        self._opener = OpenerDirector()
        self._opener.add_handler(HTTPHandler())
        self._opener.add_handler(HTTPCookieProcessor(CookieJar()))

    def authorize(self, authorize_url: str, name: str, password: str, *, allow: bool) -> str:
        """Open *authorize_url*, log in, and press Allow or Deny. Return the address that the browser is sent to."""
        location, page = self._open(authorize_url)
        if not location:
            raise BrowserError("The authorize page did not ask to log in.", 200)
        _, page = self._open(urljoin(authorize_url, location))
        location, _ = self._submit(urljoin(authorize_url, location), page, {"j_username": name, "j_password": password})
        location, page = self._open(urljoin(authorize_url, location))
        if location:  # refused before anybody is asked
            return location
        location, _ = self._submit(authorize_url, page, {"approve" if allow else "deny": "1"})
        if not location:
            raise BrowserError("The application asked for no callback; the verifier is on the page.", 200)
        return location

    def _submit(self, address: str, page: str, fields: dict[str, str]) -> tuple[str, str]:
        hidden = _HiddenFields()
        hidden.feed(page)
        body = urlencode({**hidden.fields, **fields}).encode()
        return self._open(address.partition("?")[0], body)

    def _open(self, address: str, body: bytes | None = None) -> tuple[str, str]:
        with self._opener.open(address, body, timeout=30) as response:
            if response.status >= 400:
                page = address.partition("?")[0]
                raise BrowserError(f"The page {page} answered {response.status}.", response.status)
            return response.headers.get("Location", ""), response.read().decode()


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
