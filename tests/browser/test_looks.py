"""How the pages look and behave where names are long, screens narrow, and fingers quick."""

import re

import pytest

from social_bitbucket_server.sandbox.users import SANDBOX_USERS, User
from tests.browser.test_story import Worksheet, add_integration, create_organization, log_into_sandbox
from tests.browser.waiting import expect

pytestmark = pytest.mark.browser

LONG = "Donaudampfschifffahrtsgesellschaft" * 2
PERSON = User(901, "u" + "x" * 60, "Namenlos" * 12, "y" * 60 + "@example.com")


def overflow(page):
    """Pixels by which the page is wider than a screen on a desk, and than a telephone."""
    widths = []
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        widths.append(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
    return widths


def test_no_long_name_makes_a_page_wider_than_its_screen(page, chromium, demo_url, make_sandbox):
    sandbox = make_sandbox(context=f"/{LONG}", users=[*SANDBOX_USERS, PERSON])
    create_organization(page, demo_url, LONG)
    add_integration(page, sandbox.url, LONG)
    expect(page.get_by_role("heading", level=1)).to_have_text(LONG)
    integration, login_link, worksheet = page.url, page.get_by_label("Login link").input_value(), Worksheet(page)
    sandbox.link(
        name=worksheet["Application Name"],
        application_url=worksheet["Application URL"],
        consumer_key=worksheet["Consumer Key"],
        public_key=worksheet["Public Key"],
    )
    visitor = chromium.new_context().new_page()
    visitor.goto(login_link)
    assert overflow(visitor) == [0, 0], "login"
    visitor.get_by_role("button", name=re.compile("^Log in with")).click()
    log_into_sandbox(visitor, PERSON.name)
    expect(visitor.get_by_role("button", name="Allow")).to_be_visible()
    assert overflow(visitor) == [0, 0], "allow"
    visitor.get_by_role("button", name="Allow").click()
    expect(visitor.get_by_role("heading", level=1)).to_have_text(PERSON.display_name)
    assert overflow(visitor) == [0, 0], "account"
    visitor.context.close()

    page.goto(f"{integration}/who")
    page.get_by_label("Groups").fill("g" * 120)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("main")).to_contain_text("members of ggg")
    settings = integration.rpartition("/integrations")[0]
    pages = ["integrations", "login", "people", "audit", "configuration"]
    for address in (
        *(f"{settings}/{name}" for name in pages),
        integration,
        *(f"{integration}/{name}" for name in ("edit", "oauth2", "who", "delete")),
    ):
        page.goto(address)
        assert overflow(page) == [0, 0], address
    page.goto(f"{sandbox.url}/plugins/servlet/applinks/listApplicationLinks")
    log_into_sandbox(page, "admin")
    expect(page.get_by_role("link", name=re.compile("^Edit"))).to_be_visible()
    assert overflow(page) == [0, 0], "application links"
    table = page.locator(".table")
    assert table.evaluate("table => table.scrollWidth - table.clientWidth") <= 0


def test_a_double_click_sends_a_form_once(page, demo_url):
    page.goto(f"{demo_url}/organizations/new")
    button = page.get_by_role("button", name="Create organization")
    is_stopped = button.evaluate(
        """button => {
            const isStopped = [];
            window.addEventListener("submit", (event) => {
                isStopped.push(event.defaultPrevented);
                event.preventDefault();
            });
            button.click();
            button.click();
            return isStopped;
        }"""
    )
    assert is_stopped == [False, True]


def test_a_form_that_came_back_with_an_error_can_be_sent_again_at_once(page, demo_url, make_sandbox):
    create_organization(page, demo_url)
    page.get_by_role("link", name="Add Integration").click()
    page.get_by_role("button", name="Add Integration").click()
    expect(page.locator(".error").first).to_be_visible()
    page.get_by_label("Name").fill("Bitbucket")
    page.get_by_label("Base URL").fill(make_sandbox().url)
    page.get_by_role("button", name="Add Integration").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Bitbucket")


def test_a_wrong_password_leaves_the_name_in_the_sandboxs_form(page, make_sandbox):
    page.goto(f"{make_sandbox().url}/login")
    page.get_by_label("Username").fill("jane")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not right")
    expect(page.get_by_label("Username")).to_have_value("jane")
    expect(page.get_by_label("Password")).to_be_focused()
