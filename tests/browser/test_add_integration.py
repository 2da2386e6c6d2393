"""The owner looks at the server before adding it, and enters what OAuth 2 needs."""

import pytest

from tests.browser.acts import Worksheet
from tests.browser.waiting import expect
from tests.flow.site import log_in

pytestmark = pytest.mark.browser


def test_the_owner_is_told_the_right_base_url_and_the_better_oauth(owners_page, site, owner, sandbox):
    page = owners_page
    page.goto(f"{site.origin}/o/acme/settings/integrations")
    page.get_by_role("link", name="Add an integration").first.click()
    page.get_by_label("Name").fill("Bitbucket")
    page.get_by_label("Base URL").fill(sandbox.url.removesuffix("/bitbucket"))
    page.get_by_role("button", name="Look at the server").click()
    page.get_by_role("alert").get_by_text("Bitbucket is below another address.").wait_for()
    page.get_by_label("Base URL").fill(sandbox.url)
    page.get_by_role("button", name="Look at the server again").click()
    page.get_by_role("status").get_by_text("Bitbucket 10.2.0 answers there.").wait_for()
    expect(page.get_by_label("OAuth 2", exact=True)).to_be_checked()
    page.get_by_role("button", name="Save and continue").click()
    expect(page.get_by_label("Client ID", exact=True)).to_be_visible()

    link = sandbox.link_external_application(redirect_url=Worksheet(page)["Redirect URL"])
    page.get_by_label("Client ID", exact=True).fill(link.client_id)
    page.get_by_label("Client secret", exact=True).fill(link.client_secret)
    page.get_by_role("button", name="Save and test the connection").click()
    expect(page.get_by_text("The connection works.")).to_be_visible()
    jane = site.visitor()
    integration = page.url.removeprefix(site.origin).removesuffix("/bitbucket")
    assert log_in(jane, integration, sandbox).location == "/o/acme/account"
    assert "Jane Doe" in jane.get("/o/acme/account").words
