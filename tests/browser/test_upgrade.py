"""From OAuth 1 on Bitbucket 7.6 to OAuth 2 on 8.19 in a real browser, as docs/upgrade-to-oauth2.md tells it.

With ``SCREENSHOTS`` set to a folder, the pages on the way are kept there: ``make screenshots`` renews the docs' own.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from social_bitbucket_server.sandbox import Sandbox
from tests.browser.acts import Worksheet, log_into_sandbox, paste_into_bitbucket, run_test
from tests.browser.waiting import expect
from tests.flow.site import log_in

pytestmark = pytest.mark.browser

REDIRECT_URL = re.compile(r"/complete/bitbucket-server-oauth2/[0-9a-f]{24}/")


@pytest.fixture
def take():
    """With ``SCREENSHOTS`` set to a folder: keeps a picture of what a page shows, from the element on that is named."""
    folder = os.environ.get("SCREENSHOTS")

    def take(page, name, start="main", height=520):
        if folder:
            page.set_viewport_size({"width": 640, "height": height})
            page.locator(start).first.evaluate("element => element.scrollIntoView()")
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png")

    return take


def make_external_application(admin, take, sandbox, worksheet):
    """Make the external application for OAuth 2 as the logged-in *admin*. Return client ID and client secret."""
    admin.goto(f"{sandbox.url}/plugins/servlet/applinks/listApplicationLinks")
    admin.get_by_role("link", name="Create link").click()
    admin.get_by_label("External application").check()
    admin.get_by_label("Incoming").check()
    take(admin, "3-create-link", start="h1")
    admin.get_by_role("button", name="Continue").click()
    admin.get_by_label("Name").fill(worksheet["Name"])
    admin.get_by_label("Redirect URL").fill(worksheet["Redirect URL"])
    admin.get_by_role("group", name="Repositories").get_by_label("Read").check()
    take(admin, "4-configure-an-incoming-link", start="h1")
    admin.get_by_role("button", name="Save").click()
    return admin.locator("#client_id").inner_text(), admin.locator("#client_secret").inner_text()


def test_the_upgrade_keeps_everybody_who_they_are(owners_page, open_browser, site, owner, take):
    page, admin = owners_page, open_browser()
    with Sandbox(version="7.6.0", context="/bitbucket") as sandbox:
        integration = owner.add_integration("acme", sandbox.url)
        page.goto(f"{site.origin}{integration}/bitbucket")
        page.get_by_role("navigation", name="Version of Bitbucket").get_by_role("link", name=re.compile("7.19")).click()
        links = page.locator("#worksheet").get_by_role("link", name=re.compile("Open Application Links"))
        paste_into_bitbucket(admin, Worksheet(page), links.get_attribute("href"), new_dialog=False)
        assert log_in(site.visitor(), integration, sandbox).location == "/o/acme/account"

        sandbox.faults.version = "8.19.0"  # Bitbucket was upgraded
        page.goto(site.origin + integration)
        run_test(page)
        page.goto(site.origin + integration)
        page.get_by_text("Recommended").wait_for()
        take(page, "1-offer", start=".rows")

        page.get_by_role("link", name="Upgrade to OAuth 2").click()
        take(page, "2-upgrade", height=760)
        expect(page.get_by_role("main")).to_contain_text("Nobody loses their account (1 person so far)")
        assert REDIRECT_URL.search(Worksheet(page)["Redirect URL"])
        client_id, client_secret = make_external_application(admin, take, sandbox, Worksheet(page))

        page.get_by_label("Client ID", exact=True).fill(client_id)
        page.get_by_label("Client secret", exact=True).fill(client_secret)
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Both ways work side by side now.").wait_for()
        take(page, "5-side-by-side")
        page.get_by_role("button", name="Test connection by OAuth 2").click()
        page.get_by_role("button", name="Try a login").wait_for()
        assert page.locator(".stages").inner_text().count("passed") == 6
        take(page, "6-test", start=".stages", height=640)
        page.get_by_role("button", name="Try a login").click()
        log_into_sandbox(page, "admin")
        page.get_by_role("button", name="Allow").click()
        page.get_by_text("and no account was made").wait_for()

        jane = open_browser()
        jane.goto(f"{site.origin}/o/acme/login")
        take(jane, "7-both-ways", start="h1")
        jane.get_by_role("button", name="Log in with Bitbucket, the new way").click()
        log_into_sandbox(jane, "jane")
        jane.get_by_role("button", name="Allow").click()
        jane.get_by_text("You are logged in to Acme as Jane Doe.").wait_for()
        page.goto(site.origin + integration)
        page.get_by_text("Not in use since").wait_for()
        take(page, "8-upgraded", start="aside")
        assert site.visitor().get("/o/acme/login").words.count("Log in with Bitbucket") == 1
        assert owner.get("/o/acme/settings/people").text.count("<b>Jane Doe</b>") == 1

        page.goto(f"{site.origin}{integration}/oauth2")
        page.get_by_role("button", name="Go back to OAuth 1").click()
        page.get_by_text("People log in by OAuth 1.").wait_for()
        assert log_in(site.visitor(), integration, sandbox).location == "/o/acme/account"
        assert owner.get("/o/acme/settings/people").text.count("<b>Jane Doe</b>") == 1


def test_a_server_that_moved_is_shown_by_a_trial_login(owners_page, site, acme, sandbox, other_sandbox):
    page = owners_page
    (link,) = sandbox.links.all()
    other_sandbox.link(consumer_key=link.consumer.key, public_key=link.consumer.public_key)
    jane = site.visitor()
    log_in(jane, acme, sandbox)
    page.goto(f"{site.origin}{acme}/edit")
    page.get_by_label("Base URL").fill(other_sandbox.url)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("1 person logs in through it.").wait_for()
    page.get_by_label("The same server moved").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Try a login at the new address").click()
    log_into_sandbox(page, "jane")
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("It is the same server.").wait_for()
    assert "You are logged in to Acme as Jane Doe." in jane.get("/o/acme/account").words


def test_a_login_goes_on_while_the_owner_gives_bitbucket_a_new_public_key(owners_page, site, acme, sandbox):
    page = owners_page
    page.goto(f"{site.origin}{acme}/key-pair")
    page.get_by_role("button", name="Make a new key pair").click()
    new = page.locator("#new-public-key").text_content()
    (link,) = sandbox.links.all()
    sandbox.links.set_consumer(link.id, replace(link.consumer, public_key=new))
    assert log_in(site.visitor(), acme, sandbox).location == "/o/acme/account"
    page.reload()
    expect(page.locator("#new-public-key")).to_have_count(0)
    page.goto(f"{site.origin}{acme}/bitbucket")
    assert Worksheet(page)["Public Key"] == new
