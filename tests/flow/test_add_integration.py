"""*Add an integration* looks at the server first, where the owner wants it, and advises what its version has."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sqlalchemy.organizations import integrations
from tests.flask_app import database
from tests.flask_app.models import models
from tests.flow.site import Site, on_every_database
from tests.scripted_server import Reply, ScriptedServer
from tests.visitor import Page, Visitor

ADD = "/o/acme/settings/integrations/add"


@pytest.fixture
def owner(site: Site) -> Visitor:
    visitor = site.visitor()
    visitor.create_organization("acme")
    return visitor


def look(owner: Visitor, base_url: str, **fields: str) -> Page:
    return owner.post(f"{ADD}/look", ADD, **{"base_url": base_url, "oauth_version": "1"} | fields)


def chosen(page: Page) -> str:
    (found,) = re.findall(r'<input[^>]* checked [^>]*name="oauth_version"[^>]* value="([12])"', page.text)
    return str(found)


def test_the_first_integration_has_a_name_already(owner: Visitor) -> None:
    assert owner.get(ADD).value_of("Name") == "Bitbucket"
    owner.add_integration("acme", "https://bitbucket.example.com")
    assert owner.get(ADD).value_of("Name") == ""


@pytest.mark.parametrize(
    ("version", "oauth", "advice"),
    [
        (
            "10.2.0",
            "2",
            "Bitbucket 10.2.0 answers there. OAuth 2 is recommended from version 8 on, and is chosen below.",
        ),
        ("7.21.1", "1", "Bitbucket 7.21.1 answers there. OAuth 1 is the way that it surely has, and is chosen below."),
        ("7.6.0", "1", "Bitbucket 7.6.0 answers there. OAuth 1 is the way that it surely has, and is chosen below."),
    ],
)
def test_the_better_oauth_is_chosen(
    site: Site, owner: Visitor, sandbox: Sandbox, version: str, oauth: str, advice: str
) -> None:
    sandbox.faults.version = version
    page = look(owner, sandbox.url, name="On-premise")
    assert page.status == 200
    assert advice in page.words
    assert chosen(page) == oauth
    assert (page.value_of("Name"), page.value_of("Base URL")) == ("On-premise", sandbox.url)
    assert site.rows(models.integration.id) == []
    assert ("server.looked_at", "passed", None) in site.rows(
        models.event.event, models.event.outcome, models.event.problem
    )


def test_a_name_is_not_needed_yet(owner: Visitor, sandbox: Sandbox) -> None:
    assert "answers there" in look(owner, sandbox.url, name="").words


def test_nothing_but_the_version_is_asked_for(owner: Visitor, sandbox: Sandbox) -> None:
    look(owner, sandbox.url)
    assert [request.path.partition("/rest")[2] for request in sandbox.requests] == [
        "/api/latest/application-properties"
    ]


def test_what_is_wrong_is_said_as_in_the_test_of_the_connection(site: Site, owner: Visitor, sandbox: Sandbox) -> None:
    page = look(owner, f"{sandbox.url}/elsewhere", oauth_version="2")
    (field,) = re.findall(r'<input[^>]*name="base_url"[^>]*>', page.text)
    assert 'aria-invalid="true"' in field
    assert "Bitbucket is below another address." in page.words
    assert f"Enter {sandbox.url}" in page.words
    assert chosen(page) == "2", "as it was"
    assert ("server.looked_at", "failed", "context_path_missing") in site.rows(
        models.event.event, models.event.outcome, models.event.problem
    )


def test_a_bad_base_url_is_explained_at_its_field(owner: Visitor) -> None:
    page = look(owner, "https://user@bitbucket.acme.example")
    assert page.status == 422
    assert "It contains a user name" in page.words


def test_it_is_not_tried_too_often(owner: Visitor, sandbox: Sandbox) -> None:
    assert [look(owner, sandbox.url).status for _ in range(11)] == [200] * 10 + [429]


def test_nobody_else_looks(site: Site, owner: Visitor, sandbox: Sandbox) -> None:
    stranger = site.visitor()
    stranger.create_organization("other")
    page = stranger.post(f"{ADD}/look", "/o/other/settings/integrations/add", base_url=sandbox.url)
    assert page.status == 404
    assert not sandbox.requests


def test_an_oauth_that_is_none_is_said_at_its_field(owner: Visitor) -> None:
    page = look(owner, "https://bitbucket.acme.example", oauth_version="3")
    assert page.status == 422
    assert 'aria-describedby="oauth_version-error"' in page.text
    assert re.search(r'id="oauth_version-error">.*Choose OAuth 1 or OAuth 2\.', page.text)


TAKEN = "Another integration of this organization has this name."


def add(owner: Visitor, name: str) -> Page:
    return owner.post(ADD, name=name, base_url="https://bitbucket.acme.example")


def edit(owner: Visitor, integration: str, name: str) -> Page:
    fields = {"base_url": "https://bitbucket.acme.example"}
    return owner.post(f"{integration}/edit", name=name, **fields)


def names(site: Site) -> list[str]:
    return [str(name) for (name,) in site.rows(models.integration.name)]


def test_an_equal_name_is_refused_at_its_field(site: Site, owner: Visitor) -> None:
    assert add(owner, "Bitbucket").status == 303
    page = add(owner, "Bitbucket")
    assert page.status == 422
    assert TAKEN in page.words
    assert 'aria-describedby="name-hint name-error"' in page.text
    assert page.value_of("Base URL") == "https://bitbucket.acme.example"
    assert names(site) == ["Bitbucket"]
    stranger = site.visitor()
    stranger.create_organization("globex")
    assert stranger.add_integration("globex", "https://bitbucket.globex.example", "Bitbucket")


def test_a_name_does_not_become_anothers(site: Site, owner: Visitor) -> None:
    add(owner, "One")
    other = add(owner, "Other").location.removesuffix("/bitbucket")
    page = edit(owner, other, "One")
    assert page.status == 422
    assert TAKEN in page.words
    assert names(site) == ["One", "Other"]
    assert edit(owner, other, "Two").status == 303
    assert names(site) == ["One", "Two"]


def test_integrations_that_have_equal_names_already_can_be_changed(site: Site, owner: Visitor) -> None:
    one, other = (add(owner, name).location.removesuffix("/bitbucket") for name in ("One", "Other"))
    with site.app.app_context():
        database.session.execute(update(models.integration).values(name="Same"))
        database.session.commit()
    assert edit(owner, one, "Same").status == 303
    assert edit(owner, other, "Other").status == 303
    assert names(site) == ["Other", "Same"]


@on_every_database
def test_of_two_that_are_added_at_once_with_one_name_one_is(
    site: Site, owner: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_are_let_through = threading.Barrier(2)
    keys = iter([PrivateKey.generate(), PrivateKey.generate()])

    def make_together() -> PrivateKey:
        both_are_let_through.wait(timeout=60)
        return next(keys)

    monkeypatch.setattr(integrations, "make_private_key", make_together)
    form = {"csrf_token": owner.get(ADD).csrf_token, "name": "Bitbucket"}
    form |= {"base_url": "https://bitbucket.acme.example", "oauth_version": "1"}
    with ThreadPoolExecutor(2) as threads:
        pages = list(threads.map(lambda _: owner.send(ADD, **form), range(2)))
    assert sorted(page.status for page in pages) == [303, 422]
    assert names(site) == ["Bitbucket"]


def test_a_server_that_tells_its_version_to_nobody_gets_the_oauth_that_each_has(
    owner: Visitor, server: ScriptedServer
) -> None:
    closed = Reply("", 401, [("X-AREQUESTID", "@1X2Y3Zx600x1x0")])
    server.scripts["/rest/api/latest/application-properties"] = closed
    page = look(owner, server.url, oauth_version="2")
    assert "Bitbucket (its version is not told) answers there. OAuth 1 is the way that it surely has" in page.words
    assert chosen(page) == "1"
