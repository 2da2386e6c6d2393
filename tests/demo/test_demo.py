"""The minimal demo: what it shows, and what a restart keeps."""

from __future__ import annotations

import re

import pytest

from tests.demo.conftest import ORIGIN, Demo, Start
from tests.flow.site import connect, log_in
from tests.visitor import Visitor

pytestmark = pytest.mark.socket


def integration_of(owner: Visitor, slug: str) -> str:
    """Return the path of the page of the organization's only integration."""
    page = owner.get(f"/o/{slug}/settings/integrations")
    (path,) = set(re.findall(rf"/o/{slug}/settings/integrations/[0-9a-f]{{24}}(?=\")", page.text))
    return path


def accounts(demo: Demo, path: str, user: str) -> tuple[str, str]:
    """Log *user* in. Return where that leads, and what the page says."""
    visitor = demo.visitor()
    answer = log_in(visitor, path, demo.sandbox, user)
    return answer.location, visitor.get(answer.location).words


def test_a_person_logs_in_by_the_printed_login_link_and_sees_who_they_are(start: Start) -> None:
    with start() as demo:
        assert f"{ORIGIN}/o/acme/login" in demo.said
        location, words = accounts(demo, integration_of(demo.owner(), "acme"), "jane")
        assert location == "/o/acme/me"
        for shown in ("Jane Doe", "jane@example.com", "Acme"):
            assert shown in words


def test_the_owner_sees_an_integration_that_works(start: Start) -> None:
    with start() as demo:
        assert "Never used" in demo.owner().get("/o/acme/settings/integrations").words


def test_people_own_nothing(start: Start) -> None:
    with start() as demo:
        visitor = demo.visitor()
        log_in(visitor, integration_of(demo.owner(), "acme"), demo.sandbox)
        assert visitor.get("/o/acme/settings/integrations").status == 404
        assert visitor.get("/o/acme/account").status == 200


def test_a_wrong_password_lets_nobody_in(start: Start) -> None:
    with start() as demo:
        page = demo.visitor().post("/o/acme/login/owner", email="owner@acme.example", password="a wrong password")
        assert (page.status, "do not belong together" in page.words) == (422, True)


def test_logins_are_limited_for_each_visitor_and_integration(start: Start) -> None:
    with start() as demo:
        visitor, path = demo.visitor(), integration_of(demo.owner(), "acme")
        assert [visitor.begin(path).status for _ in range(11)] == [303] * 10 + [429]


def test_an_organization_that_somebody_made_survives_a_restart_with_its_link(start: Start) -> None:
    with start() as demo:
        owner = demo.visitor()
        owner.create_organization("globex")
        path = connect(owner, "globex", demo.sandbox)
        owner.post(f"{path}/test")
        before = accounts(demo, path, "jane")
    with start() as demo:
        assert accounts(demo, path, "jane") == before
        assert accounts(demo, integration_of(demo.owner(), "acme"), "jane")[0] == "/o/acme/me"


def test_a_link_that_was_never_made_is_not_made_by_a_restart(start: Start) -> None:
    with start() as demo:
        owner = demo.visitor()
        owner.create_organization("globex")
        path = owner.add_integration("globex", demo.sandbox.url)
    with start() as demo:
        owner = demo.visitor()
        owner.log_owner_in("globex")
        assert "Draft" in owner.get(path).words
        assert len(demo.sandbox.links.all()) == 1, "Acme's alone"


def test_a_restart_keeps_the_owners_password(start: Start) -> None:
    with start() as demo:
        first = re.search(r"password (\S+)$", demo.said, re.MULTILINE)
    with start() as demo:
        second = re.search(r"password (\S+)$", demo.said, re.MULTILINE)
        demo.owner()
    assert first
    assert second
    assert first[1] == second[1]


def test_the_owner_comes_to_the_page_that_was_wanted(start: Start) -> None:
    with start() as demo:
        visitor, wanted = demo.visitor(), "/o/acme/settings/people"
        login = visitor.get(visitor.get(wanted).location)
        address = re.search(r'href="(/o/acme/login/owner[^"]*)"', login.text)
        found = re.search(r"owner@acme.example, password (\S+)", demo.said)
        assert address
        assert found
        page = visitor.post(address[1], email="owner@acme.example", password=found[1])
        assert (page.status, page.location) == (303, wanted)
