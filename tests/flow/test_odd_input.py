"""Odd input at every route: what nobody types, what no page sends, and what no database keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import flask
import pytest
from flask import Flask
from flask_wtf.csrf import generate_csrf
from werkzeug.routing import Rule

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.flask.organizations import log_in
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.sqlalchemy.organizations import integrations
from social_bitbucket_server.transport import Address, Transport
from tests.flask_app import create_app, database, people, rate_limits
from tests.flask_app.models import User, models
from tests.flow.site import on_every_database
from tests.routes import PLACE, address_of
from tests.visitor import PASSWORD

ORIGIN = "http://127.0.0.1:5000"
BASE_URL = "https://bitbucket.acme.example"
# As they are sent. The last one is no text in UTF-8: a lone surrogate.
ODD = ("a%00b", "9" * 30, "x" * 5000, "%0d%0aX:%20%F0%9F%92%A9", "%ED%A0%80")
ODD_IN_FORMS = ("", "a%00%40b.example", *ODD)
QUERY = (
    *("before", "reference", "bitbucket", "oauth", "key", "next", "e"),
    *("oauth_token", "oauth_verifier", "oauth_problem", "state", "code", "error"),
)
_INTEGRATION = {"name": "Bitbucket", "base_url": BASE_URL, "ca_certificates": ""}
FORMS = {
    "start.find": {"slug": "acme"},
    "start.create": {"name": "Globex", "slug": "acme", "email": "owner@globex.example", "password": PASSWORD},
    "owner.check_password": {"email": "owner@acme.example", "password": "x", "next": ""},
    "owner.change_password": {"present": PASSWORD, "new": PASSWORD, "again": PASSWORD},
    "bitbucket.login.begin": {"oauth": "1", "next": ""},
    "bitbucket.login_link.change_link": {"action": "open"},
    "bitbucket.login_link.choose_only_way": {"integration": ""},
    "bitbucket.who.change_who": {"kind": "project", "name": "WEB"},
    "bitbucket.who.change_roles": {"role": "editor", "kind": "project", "name": "WEB"},
    "bitbucket.configuration.take": {"text": ""},
    "bitbucket.integrations.change": {**_INTEGRATION, "server": "moved"},
    "bitbucket.integrations.test_connection": {"oauth": "1"},
    "bitbucket.integrations.try_login": {"oauth": "1"},
    "bitbucket.integrations.delete": {"name": ""},
    "bitbucket.add_integration.create": {**_INTEGRATION, "oauth_version": "2"},
    "bitbucket.add_integration.look": {**_INTEGRATION, "oauth_version": "1"},
    "bitbucket.oauth2.keep": {"client_id": "id", "client_secret": "secret"},
}
"""Form fields that a page sends, for the routes that read them."""


def no_addresses(name: str) -> list[Address]:
    raise OSError(name)


@pytest.fixture
def app(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, transport: Transport) -> Iterator[Flask]:
    transport.resolver = no_addresses
    monkeypatch.setattr(rate_limits, "count", lambda *_whose: None)
    monkeypatch.setattr(people, "generate_password_hash", lambda password: password)  # which takes its time
    monkeypatch.setattr(people, "check_password_hash", lambda *_passwords: False)
    monkeypatch.setattr(integrations, "make_private_key", lambda: PrivateKey.generate(2048))
    app = create_app({"INSTANCE_PATH": tmp_path / "instance", "PUBLIC_BASE_URL": ORIGIN, "DATABASE_URL": database_url})
    yield app
    app.extensions["engine"].dispose()


class Acme:
    """An organization with an integration, a set-up link, its owner and one member."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        with app.test_request_context(base_url=ORIGIN):
            owner = people.create_organization(slug="acme", name="Acme", email="owner@acme.example", password=PASSWORD)
            record = store.integrations.make(owner.organization, "Bitbucket", ServerURL.parse(BASE_URL))
            member = User(organization_id=owner.organization_id, username="jane", display_name="Jane")
            key = {"provider": "bitbucket-server", "id_key": "id", "uid": f"{record.namespace}:7", "extra_data": {}}
            identity = models.identity(user=member, integration_id=record.id, name="jane", **key)
            database.session.add(identity)
            database.session.commit()
            self.places = {
                "slug": "acme",
                "integration": record.id,
                "token": store.setup_links.make(record),
                "handle": "0" * 16,
                "number": 1,
                "link": 1,
                "person": member.id,
                "event_id": 1,
                "identity_id": identity.id,
                "filename": "bitbucket_server.js",
            }
            self._whose = {"anonymous": None, "member": (member, identity), "owner": (owner, None)}

    def browser(self, who: str) -> Browser:
        """A browser in which *who* is logged in."""
        with self._app.test_request_context(base_url=ORIGIN):
            whose = self._whose[who]
            if whose is not None:
                log_in(*map(database.session.merge, filter(None, whose)))
            form_token, kept = generate_csrf(), dict(flask.session)
        browser = Browser(self._app, form_token)
        with browser.client.session_transaction(base_url=ORIGIN) as session:
            session.update(kept)
        return browser


class Browser:
    """Sends what it is told to; *form_token* is its session's."""

    def __init__(self, app: Flask, form_token: str) -> None:
        self.client = app.test_client()
        self._form_token = form_token

    def get(self, address: str) -> tuple[int, str]:
        return self._open(address, method="GET")

    def post(self, address: str, form: str) -> tuple[int, str]:
        form_type = "application/x-www-form-urlencoded"
        return self._open(address, method="POST", data=f"csrf_token={self._form_token}&{form}", content_type=form_type)

    def post_other(self, address: str, content_type: str, body: str) -> tuple[int, str]:
        """Send another kind of *body*; the token comes in a header."""
        headers = {"X-CSRFToken": self._form_token}
        return self._open(address, method="POST", data=body, content_type=content_type, headers=headers)

    def _open(self, address: str, **request: Any) -> tuple[int, str]:
        with self.client.open(address, base_url=ORIGIN, **request) as response:
            return response.status_code, response.text


def addresses(rule: Rule, places: dict[str, Any]) -> list[str]:
    """The address of *rule*, and those with odd input in each of its places; in the organization's alone if it is the
    only one."""
    varied = [name for name in PLACE.findall(rule.rule) if name not in {"slug", "action"}]
    odd_ones = [address_of(rule, {**places, name: odd}) for name in varied or ["slug"] for odd in ODD]
    return [address_of(rule, places), *odd_ones]


def odd_queries() -> Iterator[str]:
    for odd in ODD:
        yield "&".join(f"{name}={odd}" for name in QUERY)
    yield "&".join(f"{name}=1&{name}=2" for name in QUERY)


def odd_forms(form: dict[str, str]) -> Iterator[str]:
    """*form* with one field missing, odd, or there twice."""
    for field in form:
        others = urlencode({name: value for name, value in form.items() if name != field})
        yield others
        for odd in ODD_IN_FORMS:
            yield f"{others}&{field}={odd}"
        yield f"{others}&{field}=1&{field}=2"


def other_bodies(form: dict[str, str]) -> Iterator[tuple[str, str]]:
    """*form* with each field as a file, and bodies that are no form, with their types."""
    for odd in form:
        parts = "".join(
            f'--X\r\nContent-Disposition: form-data; name="{field}"{"; filename=x" * (field == odd)}\r\n\r\n{value}\r\n'
            for field, value in form.items()
        )
        yield "multipart/form-data; boundary=X", f"{parts}--X--\r\n"
    for boundary in ("", "; boundary=", f"; boundary={'x' * 500}"):
        yield f"multipart/form-data{boundary}", "--X\r\n\r\n"
    for text in (json.dumps(form), json.dumps({field: [1] for field in form}), "[1]", "1", '"x"', "{", "9" * 5000):
        yield "application/json", text


def broken_by_odd_input(app: Flask, who: str) -> list[tuple[int, str]]:
    """Return status and request for each odd request that did not end in a page that says what is wrong."""
    acme = Acme(app)
    broken = []
    for rule in app.url_map.iter_rules():
        browser = acme.browser(who)
        form = FORMS.get(rule.endpoint, {})
        usual, *odd_ones = addresses(rule, acme.places)
        if "POST" in (rule.methods or ()):
            sent = [(address, urlencode(form)) for address in odd_ones] + [(usual, odd) for odd in odd_forms(form)]
            answers = {f"POST {address} {body}": browser.post(address, body) for address, body in sent}
            others = other_bodies(form or {"x": "1"})
            answers |= {f"POST {usual} {kind} {body}": browser.post_other(usual, kind, body) for kind, body in others}
        else:
            sent_addresses = [*odd_ones, *(f"{usual}?{query}" for query in odd_queries())]
            answers = {f"GET {address}": browser.get(address) for address in sent_addresses}
        broken += [
            (status, what)
            for what, (status, text) in answers.items()
            if status not in {200, 303, 308, 400, 404, 405, 410, 422, 502, 503} or "Traceback" in text
        ]
    return broken


@on_every_database
def test_odd_input_of_the_owner_ends_in_a_page(app: Flask) -> None:
    assert broken_by_odd_input(app, "owner") == []


@pytest.mark.parametrize("who", ["anonymous", "member"])
def test_odd_input_of_everybody_else_ends_in_a_page(app: Flask, who: str) -> None:
    assert broken_by_odd_input(app, who) == []


def test_the_forms_are_those_of_routes_that_are_there(app: Flask) -> None:
    assert FORMS.keys() <= {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
