"""A person's browser, for the pages of any Bitbucket: it logs in, and presses a button of the page that asks."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
import requests


class Person:
    """Logs in as *name* at the Bitbucket below *url*."""

    def __init__(self, url, name, password):
        self._url, self._name, self._password = url, name, password
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self):
        """Forget the cookies, and close the connections."""
        self._session.close()

    def decide(self, authorize_url, *, allow=True):
        """Open *authorize_url* and press a button; return the answer that leads back to the program, or a page."""
        if not self._password:
            pytest.skip("Set BITBUCKET_USER and BITBUCKET_PASSWORD, so that a person can log in.")
        answer = self._follow(self._session.get(authorize_url, allow_redirects=False, timeout=60))
        form = _form_with(answer.text, "j_username")
        if form is not None:
            answer = self._send(answer, form, {"j_username": self._name, "j_password": self._password})
        form = _form_with(answer.text, "approve")
        if form is None:
            return answer
        button = "approve" if allow else "deny"
        return self._send(answer, form, {button: form.buttons.get(button) or "1"})

    def callback(self, authorize_url, *, allow=True):
        """Return the address that the browser is sent to; skip the test if the server's pages are unknown here."""
        answer = self.decide(authorize_url, allow=allow)
        if not answer.is_redirect:
            pytest.skip(f"The page that asks a person was not understood ({answer.status_code}).")
        return answer.headers["Location"]

    def _send(self, answer, form, fields):
        address = urljoin(answer.url, form.action)
        data = form.hidden | fields
        return self._follow(self._session.post(address, data=data, allow_redirects=False, timeout=60))

    def _follow(self, answer):
        while answer.is_redirect:
            address = urljoin(answer.url, answer.headers["Location"])
            if not address.startswith(f"{self._url}/"):
                break
            answer = self._session.get(address, allow_redirects=False, timeout=60)
        return answer


class _Form:
    def __init__(self, action):
        self.action = action
        self.hidden = {}
        self.buttons = {}
        self.names = set()


class _Forms(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.all = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        name = attributes.get("name")
        if tag == "form":
            self.all.append(_Form(attributes.get("action") or ""))
        elif tag in {"input", "button"} and name and self.all:
            form = self.all[-1]
            form.names.add(name)
            if tag == "button" or attributes.get("type") == "submit":
                form.buttons[name] = attributes.get("value")
            elif attributes.get("type") == "hidden":
                form.hidden[name] = attributes.get("value") or ""


def _form_with(page, name):
    return next((form for form in _Forms(page).all if name in form.names), None)
