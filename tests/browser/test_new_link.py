"""A new application link beside the old one, in a real browser: made, verified, used, and the old one removed."""

import os
import re
from pathlib import Path

import pytest

from tests.browser.test_story import Worksheet, add_integration, create_organization, paste_into_bitbucket
from tests.browser.test_upgrade import log_in

pytestmark = pytest.mark.browser


def keep_pictures(page, name):
    """With ``SCREENSHOTS`` set to a folder: narrow and wide, light and dark."""
    folder = os.environ.get("SCREENSHOTS")
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")) if folder else ():
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}.png", full_page=True)


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_a_new_link_takes_the_place_of_the_old_one(page, chromium, demo_url, make_sandbox):
    expect = pytest.importorskip("playwright.sync_api").expect
    sandbox = make_sandbox()
    create_organization(page, demo_url)
    add_integration(page, sandbox.url, "Bitbucket")
    integration, login_link, worksheet = page.url, page.get_by_label("Login link").input_value(), Worksheet(page)
    old_name, old_consumer_key = worksheet["Application Name"], worksheet["Consumer Key"]
    links_url = f"{sandbox.url}/plugins/servlet/applinks/listApplicationLinks"
    admin, jane = chromium.new_context().new_page(), chromium.new_context().new_page()
    paste_into_bitbucket(admin, worksheet, links_url, new_dialog=True)
    log_in(jane, login_link, "Log in with Bitbucket")

    page.goto(f"{integration}/edit")
    page.get_by_label("A new application link is made beside the old one").check()
    keep_pictures(page, "choose")
    page.get_by_role("button", name="Make a new key pair").click()
    new = Worksheet(page, "#new-key-pair")
    new_consumer_key = new["Consumer Key"]
    assert new_consumer_key != old_consumer_key
    keep_pictures(page, "worksheet")
    page.set_viewport_size({"width": 390, "height": 844})
    assert overflow(page) <= 0
    page.get_by_role("button", name="I made the new link: verify").click()
    expect(page.get_by_role("alert")).to_contain_text("Bitbucket does not have the new link yet.")
    keep_pictures(page, "refused")

    admin.context.close()
    admin = chromium.new_context().new_page()
    paste_into_bitbucket(admin, new, links_url, new_dialog=True)
    page.get_by_role("button", name="I made the new link: verify").click()
    expect(page.get_by_role("heading", name="Remove the old link")).to_be_visible()
    expect(page.locator("#old-link")).to_contain_text(old_consumer_key)
    keep_pictures(page, "remove")
    page.set_viewport_size({"width": 390, "height": 844})
    assert overflow(page) <= 0

    admin.goto(links_url)
    admin.get_by_role("link", name=f"Delete {old_name}", exact=True).click()
    confirmation = admin.get_by_role("textbox")
    confirmation.fill(old_name)
    admin.get_by_role("button", name=re.compile("Delete")).click()
    expect(confirmation).to_have_count(0)
    expect(admin.get_by_role("link", name=f"Delete {old_name}", exact=True)).to_have_count(0)
    page.get_by_role("button", name="I removed it").click()
    expect(page.get_by_role("heading", name="Remove the old link")).to_have_count(0)
    assert Worksheet(page)["Consumer Key"] == new_consumer_key
    jane.context.clear_cookies()
    log_in(jane, login_link, "Log in with Bitbucket")
    for other in (jane, admin):
        other.context.close()
