"""*Add Integration* looks at the server first, where the owner wants it, and advises what its version has."""

from __future__ import annotations

import re

import pytest

from demo_app.models import AuditEntry, IntegrationRecord
from social_bitbucket_server.sandbox import Sandbox
from tests.demo_visitor import PLATFORM, Page, Visitor
from tests.flow.demo import Demo

ADD = "/o/acme/settings/integrations/add"


@pytest.fixture
def owner(demo: Demo) -> Visitor:
    visitor = demo.visitor()
    visitor.create_organization("acme")
    return visitor


def look(owner: Visitor, base_url: str, **fields: str) -> Page:
    return owner.post(f"{ADD}/look", ADD, **{"platform": PLATFORM, "base_url": base_url, "oauth_version": "1"} | fields)


def chosen(page: Page) -> str:
    (found,) = re.findall(r'<input[^>]* checked [^>]*name="oauth_version"[^>]* value="([12])"', page.text)
    return str(found)


@pytest.mark.parametrize(
    ("version", "oauth", "advice"),
    [
        (
            "8.19.0",
            "2",
            "Bitbucket 8.19.0 answers there. From version 8 on OAuth 2 is the better way, and is chosen below.",
        ),
        ("7.21.1", "1", "Bitbucket 7.21.1 answers there. OAuth 1 is the way that it surely has, and is chosen below."),
        ("7.6.0", "1", "Bitbucket 7.6.0 answers there. OAuth 1 is the way that it surely has, and is chosen below."),
    ],
)
def test_the_better_oauth_is_chosen(
    demo: Demo, owner: Visitor, sandbox: Sandbox, version: str, oauth: str, advice: str
) -> None:
    sandbox.faults.version = version
    page = look(owner, sandbox.url, name="On-premise")
    assert page.status == 200
    assert advice in page.words
    assert chosen(page) == oauth
    assert (page.value_of("Name"), page.value_of("Base URL")) == ("On-premise", sandbox.url)
    assert demo.rows(IntegrationRecord.id) == []
    assert ("server.looked_at", "passed", None) in demo.rows(AuditEntry.event, AuditEntry.outcome, AuditEntry.problem)


def test_a_name_is_not_needed_yet(owner: Visitor, sandbox: Sandbox) -> None:
    assert "answers there" in look(owner, sandbox.url, name="").words


def test_nothing_but_the_version_is_asked_for(owner: Visitor, sandbox: Sandbox) -> None:
    look(owner, sandbox.url)
    assert [request.path.partition("/rest")[2] for request in sandbox.requests] == [
        "/api/latest/application-properties"
    ]


def test_what_is_wrong_is_said_as_in_the_test_of_the_connection(demo: Demo, owner: Visitor, sandbox: Sandbox) -> None:
    page = look(owner, f"{sandbox.url}/elsewhere", oauth_version="2")
    assert "Bitbucket is below another address." in page.words
    assert f"Enter {sandbox.url}" in page.words
    assert chosen(page) == "2", "as it was"
    assert ("server.looked_at", "failed", "context_path_missing") in demo.rows(
        AuditEntry.event, AuditEntry.outcome, AuditEntry.problem
    )


def test_a_bad_base_url_is_explained_at_its_field(owner: Visitor) -> None:
    page = look(owner, "https://user@bitbucket.acme.example")
    assert page.status == 422
    assert "It contains a user name" in page.words


def test_it_is_not_tried_too_often(owner: Visitor, sandbox: Sandbox) -> None:
    assert [look(owner, sandbox.url).status for _ in range(11)] == [200] * 10 + [429]


def test_nobody_else_looks(demo: Demo, owner: Visitor, sandbox: Sandbox) -> None:
    stranger = demo.visitor()
    stranger.create_organization("other")
    page = stranger.post(f"{ADD}/look", "/o/other/settings/integrations/add", platform=PLATFORM, base_url=sandbox.url)
    assert page.status == 404
    assert not sandbox.requests
