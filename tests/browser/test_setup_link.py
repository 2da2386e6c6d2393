"""The set-up link in a real browser: made by the owner, opened by the Bitbucket admin who has no account here."""

import pytest

from tests.browser.test_connection import run_test
from tests.browser.test_story import Worksheet, add_integration, create_organization
from tests.browser.waiting import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def sandbox(page, demo_url, make_sandbox):
    sandbox = make_sandbox(version="8.19.0", context="/bitbucket")
    create_organization(page, demo_url)
    add_integration(page, sandbox.url)
    return sandbox


@pytest.fixture
def admin(chromium):
    """The Bitbucket admin's own browser."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def make_link(page):
    page.get_by_role("button", name="Make a set-up link").click()
    return page.get_by_label("Set-up link").input_value()


def test_the_bitbucket_admin_pastes_and_tests_and_the_owner_sees_it(page, admin, sandbox):
    link = make_link(page)
    admin.goto(link)
    expect(admin.get_by_role("heading", level=1)).to_contain_text("Let Acme log in with Bitbucket")
    assert "Bitbucket does not know the consumer key." in run_test(admin)
    admin.get_by_role("link", name="Worksheet").click()
    worksheet = Worksheet(admin)
    sandbox.link(consumer_key=worksheet["Consumer Key"], public_key=worksheet["Public Key"])
    shown = run_test(admin)
    assert shown.count("passed") == 8
    expect(admin.get_by_role("main")).to_contain_text("your part is done")
    page.get_by_role("link", name="Back to On-premise Bitbucket").click()
    expect(page.locator(".heading-line .status")).to_have_text("Never used")
    expect(page.locator("#setup-link dl"), "it was opened").not_to_contain_text("Never")


def test_a_revoked_link_says_so(page, admin, sandbox):
    link = make_link(page)
    page.get_by_role("link", name="Back to On-premise Bitbucket").click()
    page.get_by_role("button", name="Revoke the set-up link").click()
    page.get_by_text("The set-up link is revoked.").wait_for()
    admin.goto(link)
    expect(admin.get_by_role("heading", level=1)).to_contain_text("This set-up link does not open any more")
    assert "Acme" not in admin.content()


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_of_it_is_wider_than_the_window(page, admin, sandbox, width):
    link = make_link(page)
    page.set_viewport_size({"width": width, "height": 844})
    admin.set_viewport_size({"width": width, "height": 844})
    admin.goto(link)
    admin.get_by_text("Without clicking: a script").click()
    for shown in (page, admin):
        wider = shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0
