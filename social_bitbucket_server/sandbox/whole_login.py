"""A whole login through an application's test client: its button, Bitbucket's pages, and the way back."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_BEGINS = re.compile(r"bitbucket-server|/begin\Z")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_TEST_HOSTS = frozenset({"", "localhost", "testserver"})  # of the clients of Flask, and of Django and Starlette


class LoginFailedError(AssertionError):
    """The page has no form that begins a login."""


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
    form = _LoginForm.of(_text(shown))
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


def _text(answer: Any) -> str:
    """Return the body. Flask calls it ``data``, the others ``content``."""
    body: bytes = answer.data if hasattr(answer, "data") else answer.content
    return body.decode()


class _LoginForm(HTMLParser):
    """The first form that begins a login: its address, and its fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._is_inside = False

    @classmethod
    def of(cls, page: str) -> _LoginForm:
        found = cls()
        found.feed(page)
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            action = attributes.get("action") or ""
            self._is_inside = self.action is None and _BEGINS.search(action) is not None
            if self._is_inside:
                self.action = action
        elif self._is_inside and tag in {"input", "button"} and attributes.get("name"):
            self.fields[attributes["name"] or ""] = attributes.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
