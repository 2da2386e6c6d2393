"""A new application link beside the old one, in a real browser: made, verified, used, and the old one removed."""

import os
import re
from pathlib import Path

import pytest

from tests.browser.acts import Worksheet, log_into_sandbox, overflow
from tests.browser.waiting import expect
from tests.flow.site import log_in

pytestmark = pytest.mark.browser


def keep_pictures(page, name):
    """With ``SCREENSHOTS`` set to a folder: narrow and wide, light and dark."""
    folder = os.environ.get("SCREENSHOTS")
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")) if folder else ():
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}.png", full_page=True)


def test_a_new_link_takes_the_place_of_the_old_one(owners_page, open_browser, site, acme, sandbox):
    page, admin = owners_page, open_browser()
    (old,) = sandbox.links.all()
    log_in(site.visitor(), acme, sandbox)

    page.goto(f"{site.origin}{acme}/key-pair")
    page.get_by_label("A new application link is made beside the old one").check()
    keep_pictures(page, "choose")
    page.get_by_role("button", name="Make a new key pair").click()
    new = Worksheet(page, "#new-key-pair")
    new_consumer_key = new["Consumer Key"]
    assert new_consumer_key != old.consumer.key
    keep_pictures(page, "worksheet")
    assert overflow(page) == [0, 0]
    page.get_by_role("button", name="I made the new link: verify").click()
    expect(page.get_by_role("alert")).to_contain_text("Bitbucket does not have the new link yet.")
    keep_pictures(page, "refused")

    sandbox.link(
        name=new["Application Name"],
        application_url=new["Application URL"],
        consumer_key=new_consumer_key,
        public_key=new["Public Key"],
    )
    page.get_by_role("button", name="I made the new link: verify").click()
    expect(page.get_by_role("heading", name="Remove the old link")).to_be_visible()
    expect(page.locator("#old-link")).to_contain_text(old.consumer.key)
    keep_pictures(page, "remove")
    assert overflow(page) == [0, 0]

    admin.goto(f"{sandbox.url}/plugins/servlet/applinks/listApplicationLinks")
    log_into_sandbox(admin, "admin")
    admin.get_by_role("link", name=f"Delete {old.name}", exact=True).click()
    confirmation = admin.get_by_role("textbox")
    confirmation.fill(old.name)
    admin.get_by_role("button", name=re.compile("Delete")).click()
    expect(confirmation).to_have_count(0)
    expect(admin.get_by_role("link", name=f"Delete {old.name}", exact=True)).to_have_count(0)
    page.get_by_role("button", name="I removed it").click()
    expect(page.get_by_role("heading", name="Remove the old link")).to_have_count(0)
    page.goto(f"{site.origin}{acme}/bitbucket")
    assert Worksheet(page)["Consumer Key"] == new_consumer_key
    assert log_in(site.visitor(), acme, sandbox).location == "/o/acme/account"
