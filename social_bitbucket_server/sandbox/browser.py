"""A person's browser: on Bitbucket's pages, and through a whole login of an application."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit
from urllib.request import HTTPCookieProcessor, HTTPHandler, OpenerDirector

_ASKS = re.compile(r"/(login|authorize)\Z")
_BEGINS = re.compile(r"bitbucket-server|/begin\Z")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_TEST_HOSTS = frozenset({"", "localhost", "testserver"})  # of the clients of Flask, and of Django and Starlette


class BrowserError(Exception):
    """A page did not let the person go on; *status* is its HTTP status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class LoginFailedError(AssertionError):
    """The page has no form that begins a login."""


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
        form = _Form(page, _ASKS, {"input"})
        return self._open(address.partition("?")[0], urlencode({**form.fields, **fields}).encode())

    def _open(self, address: str, body: bytes | None = None) -> tuple[str, str]:
        with self._opener.open(address, body, timeout=30) as response:
            if response.status >= 400:
                page = address.partition("?")[0]
                raise BrowserError(f"The page {page} answered {response.status}.", response.status)
            return response.headers.get("Location", ""), response.read().decode()


def log_in(client: Any, page: str, authorize: Callable[[str], str]) -> Any:
    """Log in through the button on *page*, or on the page that it redirects to, as a person's browser does.

    *authorize* takes Bitbucket's address and returns the address that it sends the browser back to. *client* is the
    test client of Django, Flask, or Starlette and FastAPI: all have ``get(path)``, ``post(path, data=…)`` and answers
    with ``status_code`` and ``headers``. Returns the answer to the callback, or to the button if no login begins.
    Raises :class:`LoginFailedError`.
    """
    # Starlette's client alone follows redirects unless it is told not to.
    options = {"follow_redirects": False} if hasattr(client, "follow_redirects") else {}
    shown = client.get(page, **options)
    for _ in range(_MOST_REDIRECTS):
        location = urlsplit(shown.headers.get("Location") or "")
        if shown.status_code not in _REDIRECTS or location.netloc not in _TEST_HOSTS:
            break
        page = urlunsplit(("", "", location.path, location.query, ""))
        shown = client.get(page, **options)
    body: bytes = shown.data if hasattr(shown, "data") else shown.content  # Flask calls it data, the others content
    form = _Form(body.decode(), _BEGINS, {"input", "button"})
    if form.action is None:
        raise LoginFailedError(
            f"{page} answered {shown.status_code}, without a form that posts to an address that has bitbucket-server "
            "in it or ends with /begin."
        )
    begun = client.post(form.action, data=form.fields, **options)
    if begun.status_code not in {302, 303}:
        return begun
    callback = urlsplit(authorize(begun.headers["Location"]))
    return client.get(f"{callback.path}?{callback.query}", **options)


class _Form(HTMLParser):
    """The first form on *page* whose address matches: its address, and its fields of the kinds *tags*."""

    def __init__(self, page: str, address: re.Pattern[str], tags: set[str]) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._address = address
        self._tags = tags
        self._is_inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            action = attributes.get("action") or ""
            self._is_inside = self.action is None and self._address.search(action) is not None
            if self._is_inside:
                self.action = action
        elif self._is_inside and tag in self._tags and attributes.get("name"):
            self.fields[attributes["name"] or ""] = attributes.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
