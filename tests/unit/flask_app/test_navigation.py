"""Tests of the page that a person is sent to after logging in."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.flask_app import navigation
from tests.flask_app.models import Organization

ACCOUNT = "/o/acme/account"


@pytest.mark.parametrize(
    "wanted", ["/o/acme/", "/o/acme/settings/people", "/o/acme/members?x=1", "/o/acme/settings/integrations/a-_~.9"]
)
def test_a_page_of_the_organization_is_opened(app: Flask, wanted: str) -> None:
    with app.test_request_context():
        assert navigation.after_login(Organization(slug="acme"), wanted) == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        "",
        "//e",
        "///e",
        "/\\e",
        "\\\\e",
        "/%09/e",
        "/%2f%2fe",
        "/%5ce",
        "https://app.example/x",
        "http://127.0.0.1:5000/o/acme/",
        "@e",
        "e.example",
        "javascript:x",
        " /o/acme/",
        "/o/acme/x\r\nA: b",
        "/o/acme/\n",
        "/logout",
        "/o/acme/" + "x" * 5000,
        "/o/other/account",
        "/o/acme/../other/account",
        "/o/acme/./x",
        "/o/acme//evil.example",
        "/o/acme/%2e%2e/other/",
        "/o/acme-labs/",
        "/o/acme",
        "/o/acme/x#fragment",
        "/o/acme/logout",
        "/o/acme/account/identities/1/disconnect?x=1",
    ],
)
def test_anything_else_leads_to_the_account(app: Flask, wanted: str | None) -> None:
    with app.test_request_context():
        assert navigation.after_login(Organization(slug="acme"), wanted) == ACCOUNT
