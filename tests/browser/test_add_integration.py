"""The owner looks at the server before adding it."""

import pytest

from tests.browser.test_story import create_organization
from tests.browser.waiting import expect

pytestmark = pytest.mark.browser


def test_the_owner_is_told_the_right_base_url_and_the_better_oauth(page, demo_url, make_sandbox):
    sandbox = make_sandbox(context="/bitbucket")
    create_organization(page, demo_url)
    page.get_by_role("link", name="Add Integration").first.click()
    page.get_by_label("Name").fill("Bitbucket")
    page.get_by_label("Base URL").fill(sandbox.url.removesuffix("/bitbucket"))
    page.get_by_role("button", name="Look at the server first").click()
    page.get_by_role("alert").get_by_text("Bitbucket is below another address.").wait_for()
    page.get_by_label("Base URL").fill(sandbox.url)
    page.get_by_role("button", name="Look at the server first").click()
    page.get_by_role("status").get_by_text("Bitbucket 8.19.0 answers there.").wait_for()
    expect(page.get_by_label("OAuth 2")).to_be_checked()
    page.get_by_role("button", name="Add Integration").click()
    expect(page.get_by_label("Client ID", exact=True)).to_be_visible()
