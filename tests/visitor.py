"""A person in front of the tests' application: opens pages, and sends forms with the token that the page holds."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import requests
from flask import Flask
from flask.testing import FlaskClient

PASSWORD = "correct horse battery"
SESSION = "application_session"


Form = dict[str, str | list[str]]
"""Fields of a form by name; several with one name as a list."""


@dataclass
class Page:
    """Page that the visitor got. *location* is the target of a redirect, without scheme and host of the application."""

    status: int
    text: str
    headers: dict[str, str]
    location: str = ""

    @property
    def csrf_token(self) -> str:
        found = re.search(r'name="csrf_token"[^>]*? value="([^"]+)"', self.text)
        return found[1] if found else ""

    @property
    def words(self) -> str:
        """The text of the page, as a person reads it."""
        plain = html.unescape(re.sub(r"<[^>]+>", " ", self.text))
        return " ".join(plain.split())

    def value_of(self, label: str) -> str:
        """Return the value of the field with this *label*, or the value to copy that is named so."""
        identifier = re.search(rf'<label for="([^"]+)">{re.escape(label)}</label>', self.text)
        if identifier is None:
            return self._copied(label)
        tag = re.search(rf'<(input|textarea)([^>]* id="{identifier[1]}"[^>]*)>([^<]*)', self.text)
        if tag is None:
            tag = re.search(rf'<(input|textarea)( id="{identifier[1]}"[^>]*)>([^<]*)', self.text)
        assert tag, label
        if tag[1] == "textarea":
            return html.unescape(tag[3])
        value = re.search(r' value="([^"]*)"', tag[2])
        return html.unescape(value[1]) if value else ""

    def _copied(self, label: str) -> str:
        row = rf'<dt>{re.escape(label)}</dt>(?:(?!<dt>).)*?<(?:code|pre) id="[^"]+"[^>]*>([^<]*)'
        alone = rf'<code id="{label.lower().replace(" ", "-")}">([^<]*)'
        value = re.search(row, self.text, re.DOTALL) or re.search(alone, self.text)
        assert value, label
        return html.unescape(value[1])


class Transport(Protocol):
    def send(self, method: str, path: str, form: Form | None, headers: dict[str, str]) -> Page: ...


@dataclass
class InProcess:
    """Flask's own test client."""

    app: Flask
    origin: str = ""
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()
        self.origin = self.origin or self.app.extensions["settings"].public_base_url

    @property
    def session_cookie(self) -> str:
        """The value of the session's cookie."""
        cookie = self.client.get_cookie(SESSION, domain="127.0.0.1")
        assert cookie is not None
        return cookie.value

    @session_cookie.setter
    def session_cookie(self, value: str) -> None:
        self.client.set_cookie(SESSION, value, domain="127.0.0.1")

    def send(self, method: str, path: str, form: Form | None, headers: dict[str, str]) -> Page:
        response = self.client.open(path, method=method, data=form, headers=headers, base_url=self.origin)
        location = response.headers.get("Location", "").removeprefix(self.origin)
        return Page(response.status_code, response.text, dict(response.headers), location)


class OverHTTP:
    """A session of requests, with its cookies."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.session = requests.Session()
        self.session.trust_env = False

    def send(self, method: str, path: str, form: Form | None, headers: dict[str, str]) -> Page:
        response = self.session.request(
            method, self.origin + path, data=form, headers=headers, allow_redirects=False, timeout=120
        )
        location = response.headers.get("Location", "").removeprefix(self.origin)
        return Page(response.status_code, response.text, dict(response.headers), location)


class Visitor:
    """One browser with its cookies."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def get(self, path: str, **headers: str) -> Page:
        """Open *path*, which may be a redirect's location; redirects are not followed."""
        parts = urlsplit(path)
        return self.transport.send("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, None, headers)

    def post(self, path: str, form_page: str | None = None, /, **fields: str | list[str]) -> Page:
        """Open *form_page* (*path* itself if there is none), and send its form to *path*."""
        token = self.get(form_page or path).csrf_token
        return self.send(path, csrf_token=token, **fields)

    def send(self, path: str, /, headers: dict[str, str] | None = None, **fields: str | list[str]) -> Page:
        """Send exactly these fields."""
        return self.transport.send("POST", path, fields, headers or {})

    def create_organization(self, slug: str, name: str = "") -> None:
        """Become the owner of a new organization."""
        page = self.post(
            "/organizations/new", name=name or slug.title(), slug=slug, email=f"owner@{slug}.example", password=PASSWORD
        )
        assert page.status == 303, page.words

    def log_owner_in(self, slug: str) -> Page:
        """Log in by password."""
        return self.post(f"/o/{slug}/login/owner", email=f"owner@{slug}.example", password=PASSWORD)

    def add_integration(self, slug: str, base_url: str, name: str = "Bitbucket", **fields: str) -> str:
        """Add an integration, with more *fields* of its form; returns its page's path."""
        form = {"name": name, "base_url": base_url, **fields}
        page = self.post(f"/o/{slug}/settings/integrations/add", **form)
        assert page.status == 303, page.words
        return page.location.removesuffix("/bitbucket")

    def let_in(self, integration_path: str, *conditions: tuple[str, str]) -> Page:
        """Let those log in through an integration who meet one of *conditions*, each a kind and a name."""
        path = f"{integration_path}/who"
        kinds, names = [kind for kind, _ in conditions], [name for _, name in conditions]
        return self.post(path, kind=kinds, name=names)

    def worksheet(self, integration_path: str) -> Page:
        """Open what to do in Bitbucket for an integration."""
        return self.get(f"{integration_path}/bitbucket")

    def key_pair(self, integration_path: str) -> Page:
        """Open the page of an integration's key pair."""
        return self.get(f"{integration_path}/key-pair")

    def begin(self, integration_path: str, **fields: str) -> Page:
        """Press the button "Log in with …"; returns the redirect to Bitbucket."""
        _, _, slug, *_, integration = integration_path.split("/")
        return self.post(f"/o/{slug}/login/{integration}/begin", f"/o/{slug}/login", **fields)
