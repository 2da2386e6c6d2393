"""An owner chooses who may log in, shows the QR code, replaces the login link, and takes a configuration over."""

import pytest

from tests.browser.waiting import expect

pytestmark = pytest.mark.browser


def test_the_owner_decides_how_people_come_in(owners_page, site, acme):
    page = owners_page
    page.goto(site.origin + acme)
    page.get_by_role("link", name="Who may log in").click()
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Kind of condition 1").select_option("Project")
    page.get_by_label("Name in condition 1").fill("WEB")
    page.get_by_role("main").get_by_role("button", name="Save").last.click()
    expect(page.get_by_role("main")).to_contain_text("who can see WEB")

    page.get_by_role("link", name="Login link", exact=True).click()
    picture = page.get_by_role("img", name="QR code of the login link")
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth > 100")
    link = page.locator("#login-link")
    old = link.inner_text()
    page.get_by_label("The present link lets nobody in from now on").check()
    page.get_by_role("button", name="Replace the link").click()
    expect(link).not_to_have_text(old)
    new = link.inner_text()
    assert new.startswith(f"{old}?key=")

    page.get_by_role("link", name="Integrations", exact=True).first.click()
    page.get_by_role("link", name="Configuration as text").click()
    text = page.get_by_role("textbox", name="Integrations").input_value()
    page.get_by_role("textbox", name="Text").fill(text.replace('"WEB"', '"DOCS"'))
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_role("status")).to_contain_text("is changed.")

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log out")).to_have_count(0)
    page.goto(old)
    expect(page.get_by_role("button", name="Log in with Bitbucket")).to_have_count(1)
    page.context.clear_cookies()
    page.goto(old)
    expect(page.get_by_role("main")).to_contain_text("This login link was replaced")
    page.goto(new)
    expect(page.get_by_role("button", name="Log in with Bitbucket")).to_have_count(1)
