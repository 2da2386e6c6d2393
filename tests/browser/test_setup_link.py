"""The set-up link in a real browser: made by the owner, opened by the Bitbucket admin who has no account here."""

import pytest

from tests.browser.acts import Worksheet, run_test
from tests.browser.waiting import expect

pytestmark = pytest.mark.browser


def test_the_bitbucket_admin_pastes_and_tests_and_the_owner_sees_it_and_revokes_the_link(
    owners_page, open_browser, site, owner, sandbox
):
    page, admin = owners_page, open_browser()
    integration = site.origin + owner.add_integration("acme", sandbox.url)
    page.goto(f"{integration}/setup-link")
    page.get_by_role("button", name="Make a set-up link").click()
    link = page.locator("#set-up-link").inner_text()

    admin.goto(link)
    expect(admin.get_by_role("heading", level=1)).to_contain_text("Let Acme log in with Bitbucket")
    assert "Bitbucket does not know the consumer key." in run_test(admin)
    admin.get_by_role("link", name="Back to the worksheet").click()
    worksheet = Worksheet(admin)
    sandbox.link(consumer_key=worksheet["Consumer Key"], public_key=worksheet["Public Key"])
    shown = run_test(admin)
    assert shown.count("passed") == 7
    expect(admin.get_by_role("main")).to_contain_text("your part is done")

    page.get_by_role("link", name="Back to Bitbucket").click()
    expect(page.get_by_role("main").locator(".condition").first).to_have_text("Never used")
    page.goto(f"{integration}/setup-link")
    expect(page.locator("#live"), "it was opened").not_to_contain_text("Never")
    page.get_by_role("button", name="End it now").click()
    page.get_by_text("The set-up link has ended.").wait_for()
    admin.goto(link)
    expect(admin.get_by_role("heading", level=1)).to_contain_text("This set-up link does not open any more")
    assert "Acme" not in admin.content()
