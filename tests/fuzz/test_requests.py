"""Fuzz tests of requests to Flask, to Django and to the sandbox. None ends in a failure of the application."""

from __future__ import annotations

import os
import random
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import django.core.signals
import flask
import pytest

from social_bitbucket_server.sandbox.app import create_app as create_sandbox
from social_bitbucket_server.sandbox.state.state import State
from social_bitbucket_server.sandbox.state.users import SANDBOX_USERS, Users
from social_bitbucket_server.transport import Address, Transport
from tests.flask_app import create_app, people, rate_limits
from tests.fuzz.requests import BODY_TYPES, Visitor
from tests.security.rows import row
from tests.visitor import SESSION, InProcess
from tests.visitor import Visitor as Owner

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "300"))
"""How many each application gets: 300, or as the environment variable FUZZ_REQUESTS says."""

AT_ONE_APPLICATION = 300
"""Requests after which everything begins anew, because a deleted organization has no pages."""

SERVER_IS_DOWN = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
AS_BITBUCKET = frozenset({HTTPStatus.INTERNAL_SERVER_ERROR})
"""Bitbucket fails where it cannot read a key or a form, and so does the sandbox."""

SANDBOX_PATHS = (
    *("/", "/login", "/admin", "/plugins/servlet/applinks/listApplicationLinks", "/sandbox/faults"),
    *(
        "/plugins/servlet/oauth/request-token",
        "/plugins/servlet/oauth/access-token",
        "/plugins/servlet/oauth/authorize",
    ),
    *("/plugins/servlet/oauth/users/access-tokens", "/rest/oauth2/latest/token", "/rest/oauth2/latest/authorize"),
    *("/rest/api/latest/users", "/rest/api/latest/users/jane", "/rest/api/latest/application-properties", "/status"),
    *("/plugins/servlet/applinks/whoami", "/rest/applinks/3.0/applicationlink", "/rest/oauth2/latest/revoke"),
)
BASE_URL = "https://bitbucket.acme.example"


def no_addresses(name: str) -> list[Address]:
    raise OSError(name)


@pytest.fixture(autouse=True)
def alone(transport: Transport) -> None:
    """No server can be found."""
    transport.resolver = no_addresses


def turns() -> Iterator[random.Random]:
    for seed in range(0, REQUESTS, AT_ONE_APPLICATION):
        yield random.Random(seed)


def send_many(
    visitors: list[Visitor],
    chance: random.Random,
    failures: list[str],
    crashes: list[Exception],
    *,
    meant: frozenset[int] = SERVER_IS_DOWN,
) -> None:
    """Let *visitors* send, and add what failed to *failures*. Statuses that are *meant* fail only with a crash."""
    for _ in range(min(REQUESTS, AT_ONE_APPLICATION)):
        try:
            answer = chance.choice(visitors).send()
        except Exception as crash:  # noqa: BLE001  # nothing in the application took it
            failures.append(f"{type(crash).__name__} {traceback.format_exception(crash)[-3:]}")
            continue
        if crashes or (answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and answer.status not in meant):
            reasons = [traceback.format_exception(crash)[-3:] for crash in crashes]
            failures.append(f"{answer.status} {answer.request} {reasons}")
            crashes.clear()


@contextmanager
def flask_crashes() -> Iterator[list[Exception]]:
    """Collect what no error handler of an application took."""
    crashes: list[Exception] = []

    def crashed(_sender: Any, exception: Exception) -> None:
        crashes.append(exception)

    with flask.got_request_exception.connected_to(crashed):
        yield crashes


@row(125)
def test_requests_to_flask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "count", lambda *_whose: None)
    monkeypatch.setattr(people, "check_password_hash", lambda *_passwords: False)
    failures: list[str] = []
    for number, chance in enumerate(turns()):
        app = create_app(
            {
                "INSTANCE_PATH": tmp_path / str(number),
                "PUBLIC_BASE_URL": "http://127.0.0.1:5000",
                "OUTBOUND_MODE": "test",
            }
        )
        browser = InProcess(app)
        owner = Owner(browser)
        owner.create_organization("acme")
        owner.add_integration("acme", BASE_URL)
        paths = [str(rule).replace("<slug>", "acme") for rule in app.url_map.iter_rules() if "<" not in str(rule)]
        paths += ["/o/acme/settings/integrations", "/o/acme/login", "/o/acme/"]
        visitors = [
            Visitor(app, "http://127.0.0.1:5000", chance, list(paths), {SESSION: browser.session_cookie}),
            Visitor(app, "http://127.0.0.1:5000", chance, list(paths)),
        ]
        with flask_crashes() as crashes:
            send_many(visitors, chance, failures, crashes)
        app.extensions["engine"].dispose()
    assert failures == []


@row(125)
def test_requests_to_django(spare_keys: Any) -> None:
    from tests.frameworks.django import project

    project.set_up()
    from django.contrib.auth import get_user_model
    from django.core.wsgi import get_wsgi_application
    from django.test import Client

    from social_bitbucket_server.django import integrations as django_integrations
    from social_bitbucket_server.django.models import Integration

    # Django's page about an unreadable form reads the form again, and fails.
    body_types = [name for name in BODY_TYPES if "utf-16" not in name and "form-data" not in name]
    failures: list[str] = []
    crashes: list[Exception] = []

    def crashed(sender: Any, request: Any, **_: Any) -> None:
        error = sys.exc_info()[1]
        assert isinstance(error, Exception)
        crashes.append(error)

    django.core.signals.got_request_exception.connect(crashed)
    try:
        for chance in turns():
            with project.tables():
                record = Integration(name="Acme", slug="acme", base_url=BASE_URL)
                django_integrations.create(record)
                get_user_model().objects.create_superuser("root", "root@app.example", "x")
                client = Client()
                assert client.login(username="root", password="x")
                paths = ["/", "/admin/", "/account/", "/login/bitbucket-server/acme/", "/admin/logout/"]
                cookies = {name: morsel.value for name, morsel in client.cookies.items()}
                application = get_wsgi_application()
                visitors = [
                    Visitor(application, "http://127.0.0.1:8000", chance, list(paths), cookies, body_types),
                    Visitor(application, "http://127.0.0.1:8000", chance, list(paths), {}, body_types),
                ]
                send_many(visitors, chance, failures, crashes)
    finally:
        django.core.signals.got_request_exception.disconnect(crashed)
    assert failures == []


@row(125)
def test_requests_to_the_sandbox() -> None:
    failures: list[str] = []
    with flask_crashes() as crashes:
        for chance in turns():
            state = State(
                base_url="http://127.0.0.1:7990", context="", own_version="8.19.0", users=Users(SANDBOX_USERS)
            )
            application = create_sandbox(state, 7990)
            visitor = Visitor(application, state.base_url, chance, list(SANDBOX_PATHS))
            send_many([visitor], chance, failures, crashes, meant=AS_BITBUCKET)
    assert failures == []
