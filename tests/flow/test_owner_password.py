"""The owner's password: changed by the owner who knows it, or set by the operator for one who has forgotten it."""

from __future__ import annotations

import pytest

from social_bitbucket_server.sandbox import Sandbox
from tests.flask_app.models import models
from tests.flow.site import Site, log_in, on_every_database
from tests.visitor import PASSWORD, Page, Visitor

PATH = "/o/acme/account/password"
NEW = "a staple and a battery"


@pytest.fixture
def owner(site: Site) -> Visitor:
    visitor = site.visitor()
    visitor.create_organization("acme")
    return visitor


def change(owner: Visitor, present: str = PASSWORD, new: str = NEW, again: str | None = None) -> Page:
    return owner.post(PATH, present=present, new=new, again=new if again is None else again)


def lets_in(site: Site, password: str) -> bool:
    page = site.visitor().post("/o/acme/login/owner", email="owner@acme.example", password=password)
    return page.status == 303


def is_logged_in(visitor: Visitor) -> bool:
    return visitor.get("/o/acme/account").status == 200


def cookie(visitor: Visitor) -> str:
    return str(visitor.transport.session_cookie)


def events(site: Site, name: str) -> int:
    return site.rows(models.event.event).count((name,))


def set_password(site: Site, password: str, slug: str = "acme") -> tuple[int, str]:
    command = ["organizations", "set-owner-password", slug]
    result = site.app.test_cli_runner().invoke(args=command, env={"OWNER_PASSWORD": password})
    return result.exit_code, result.output


@on_every_database
def test_the_owner_changes_the_password_and_is_logged_out_everywhere_else(site: Site, owner: Visitor) -> None:
    elsewhere, copy = site.visitor(), site.visitor()
    elsewhere.log_owner_in("acme")
    copy.transport.session_cookie = cookie(owner)
    assert is_logged_in(copy)
    assert "Change the password" in owner.get("/o/acme/account").words

    assert change(owner).location == "/o/acme/account"
    assert "The password is changed." in owner.get("/o/acme/account").words
    assert not is_logged_in(elsewhere)
    assert not is_logged_in(copy), "a copy of the cookie is worth nothing either"
    assert (lets_in(site, PASSWORD), lets_in(site, NEW)) == (False, True)
    assert events(site, "owner_password.changed") == 1
    assert "The owner's password was changed" in owner.get("/o/acme/settings/events").words


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"present": "not the password"}, "This is not your present password."),
        ({"present": ""}, "Enter your password."),
        ({"new": "short"}, "Use at least 10 characters."),
        ({"new": "x" * 201}, "Use at most 200 characters."),
        ({"new": ""}, "Choose a password."),
        ({"again": "a staple and a batterie"}, "This is not the new password that you typed."),
    ],
)
def test_what_cannot_be_is_said_and_the_password_stays(
    site: Site, owner: Visitor, typed: dict[str, str], says: str
) -> None:
    elsewhere = site.visitor()
    elsewhere.log_owner_in("acme")
    page = change(owner, **typed)
    assert page.status == 422
    assert says in page.words
    for password in (PASSWORD, NEW, *typed.values()):
        assert not password or password not in page.text
    assert is_logged_in(owner)
    assert is_logged_in(elsewhere)
    assert lets_in(site, PASSWORD)
    assert events(site, "owner_password.changed") == 0
    assert events(site, "owner_password.not_changed") == (typed.get("present") == "not the password")


def test_the_present_password_is_not_guessed_in_a_session_that_was_left_open(site: Site, owner: Visitor) -> None:
    statuses = [change(owner, present=f"guess {number}").status for number in range(11)]
    assert statuses == [422] * 10 + [429]
    assert change(owner).status == 429, "not even with the right one"
    assert not lets_in(site, PASSWORD), "both are counted together"


def test_nobody_else_has_such_a_page(site: Site, acme: str, sandbox: Sandbox) -> None:
    jane, stranger = site.visitor(), site.visitor()
    log_in(jane, acme, sandbox)
    stranger.create_organization("globex")
    sent = {"present": PASSWORD, "new": NEW, "again": NEW}
    for visitor, form_page in ((jane, "/o/acme/account"), (stranger, "/o/globex/account")):
        assert visitor.get(PATH).status == 404
        assert visitor.post(PATH, form_page, **sent).status == 404
    assert "Change the password" not in jane.get("/o/acme/account").words
    assert site.visitor().get(PATH).location.startswith("/o/acme/login")
    assert lets_in(site, PASSWORD)


@on_every_database
def test_the_operator_sets_a_password_for_an_owner_who_has_forgotten_theirs(
    site: Site, acme: str, sandbox: Sandbox
) -> None:
    owner, jane = site.visitor(), site.visitor()
    owner.log_owner_in("acme")
    log_in(jane, acme, sandbox)
    status, output = set_password(site, NEW)
    assert status == 0
    assert output == "owner@acme.example, the owner of Acme, has a new password and is logged out everywhere.\n"
    assert not is_logged_in(owner)
    assert is_logged_in(jane)
    assert (lets_in(site, PASSWORD), lets_in(site, NEW)) == (False, True)
    owner.post("/o/acme/login/owner", email="owner@acme.example", password=NEW)
    assert "The operator set a new password for the owner" in owner.get("/o/acme/settings/events").words


def test_the_operator_hears_what_a_password_needs_and_who_is_not_there(site: Site, owner: Visitor) -> None:
    assert set_password(site, "short") == (1, "Error: The password has 10 to 200 characters.\n")
    assert set_password(site, NEW, "globex") == (1, "Error: There is no organization globex.\n")
    assert is_logged_in(owner)
    assert lets_in(site, PASSWORD)


def test_the_password_is_asked_for_and_not_shown(site: Site, owner: Visitor) -> None:
    runner = site.app.test_cli_runner()
    result = runner.invoke(args=["organizations", "set-owner-password", "acme"], input=f"{NEW}\n{NEW}\n")
    assert result.exit_code == 0, result.output
    assert NEW not in result.output
    assert lets_in(site, NEW)
