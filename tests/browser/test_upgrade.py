"""From OAuth 1 on Bitbucket 7.6 to OAuth 2 on 8.19 in a real browser, as docs/upgrade-to-oauth2.md tells it.

With ``SCREENSHOTS`` set to a folder, the pages on the way are kept there: ``make screenshots`` renews the docs' own.
"""

import os
import re
from pathlib import Path

import pytest

from tests.browser.test_story import (
    Worksheet,
    add_integration,
    create_organization,
    log_into_sandbox,
    paste_into_bitbucket,
)
from tests.browser.waiting import expect

pytestmark = pytest.mark.browser

REDIRECT_URL = re.compile(r"/complete/bitbucket-server-oauth2/[0-9a-f]{24}/")


@pytest.fixture
def take():
    """Keeps a picture of what a page shows, from the element on that is named."""
    folder = os.environ.get("SCREENSHOTS")

    def take(page, name, start="main", height=520):
        page.set_viewport_size({"width": 640, "height": height})
        page.locator(start).first.evaluate("element => element.scrollIntoView()")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png")

    return take


def log_in(page, login_link, button):
    page.goto(login_link)
    page.get_by_role("button", name=button).click()
    username = page.get_by_label("Username")
    expect(username.or_(page.get_by_role("button", name="Allow")).first).to_be_visible()
    if username.count():
        log_into_sandbox(page, "jane")
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("You are logged in to Acme.").wait_for()


def make_external_application(admin, take, sandbox, worksheet):
    """What the Bitbucket admin does for OAuth 2; returns client id and client secret."""
    admin.goto(f"{sandbox.url}/plugins/servlet/applinks/listApplicationLinks")
    if admin.get_by_label("Username").count():
        log_into_sandbox(admin, "admin")
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


def test_the_upgrade_keeps_everybody_who_they_are(page, chromium, demo_url, make_sandbox, take):
    sandbox = make_sandbox(version="7.6.0", context="/bitbucket")
    create_organization(page, demo_url)
    add_integration(page, sandbox.url, "Bitbucket")
    integration, login_link = page.url, page.get_by_label("Login link").input_value()
    jane, admin = chromium.new_context().new_page(), chromium.new_context().new_page()
    page.goto(f"{integration}?bitbucket=7.19")
    links_url = f"{sandbox.url}/plugins/servlet/applinks/listApplicationLinks"
    paste_into_bitbucket(admin, Worksheet(page), links_url, new_dialog=False)
    log_in(jane, login_link, "Log in with Bitbucket")

    sandbox.faults.version = "8.19.0"  # Bitbucket was upgraded
    page.goto(integration)
    page.get_by_role("button", name="Test connection").click()
    page.get_by_role("button", name="Test again").wait_for()
    page.goto(integration)
    page.get_by_text("Bitbucket 8.19.0 has OAuth 2").wait_for()
    take(page, "1-offer")

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
    assert page.locator(".stages").inner_text().count("passed") == 8
    take(page, "6-test", start=".stages", height=640)
    page.get_by_role("button", name="Try a login").click()
    log_into_sandbox(page, "admin")
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("and no account was made").wait_for()

    jane.goto(login_link)
    take(jane, "7-both-ways")
    log_in(jane, login_link, "Log in with Bitbucket, the new way")
    page.goto(integration)
    page.get_by_text("not in use since").wait_for()
    take(page, "8-upgraded")
    jane.goto(login_link)
    expect(jane.get_by_role("button", name=re.compile("Log in with"))).to_have_count(1)
    page.goto(f"{demo_url}/o/acme/settings/people")
    expect(page.get_by_role("heading", name="Jane Doe")).to_have_count(1)

    page.goto(f"{integration}/oauth2")
    page.get_by_role("button", name="Go back to OAuth 1").click()
    page.get_by_text("People log in by OAuth 1.").wait_for()
    log_in(jane, login_link, "Log in with Bitbucket")
    page.goto(f"{demo_url}/o/acme/settings/people")
    expect(page.get_by_role("heading", name="Jane Doe")).to_have_count(1)
    for other in (jane, admin):
        other.context.close()


def test_an_integration_is_added_for_oauth_2(page, chromium, demo_url, make_sandbox, take):
    sandbox = make_sandbox()
    create_organization(page, demo_url)
    page.get_by_role("link", name=re.compile("Add Integration")).first.click()
    page.get_by_label("Name").fill("Bitbucket")
    page.get_by_label("Base URL").fill(sandbox.url)
    page.get_by_label("OAuth 2").check()
    page.get_by_role("button", name="Add Integration").click()
    admin = chromium.new_context().new_page()
    client_id, client_secret = make_external_application(admin, lambda *_, **__: None, sandbox, Worksheet(page))
    admin.context.close()
    page.get_by_label("Client ID", exact=True).fill(client_id)
    page.get_by_label("Client secret", exact=True).fill(client_secret)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("are saved.").wait_for()
    log_in(page, f"{demo_url}/o/acme/login", "Log in with Bitbucket")
    expect(page.get_by_role("main")).to_contain_text("Jane Doe")


def test_a_server_that_moved_is_shown_by_a_trial_login(page, chromium, demo_url, make_sandbox):
    old, new = make_sandbox(), make_sandbox()
    create_organization(page, demo_url)
    add_integration(page, old.url, "Bitbucket")
    integration, login_link, worksheet = page.url, page.get_by_label("Login link").input_value(), Worksheet(page)
    for sandbox in (old, new):
        sandbox.link(consumer_key=worksheet["Consumer Key"], public_key=worksheet["Public Key"])
    jane = chromium.new_context().new_page()
    log_in(jane, login_link, "Log in with Bitbucket")
    page.goto(f"{integration}/edit")
    page.get_by_label("Base URL").fill(new.url)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("1 person logs in through it.").wait_for()
    page.get_by_label("The same server moved").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Try a login at the new address").click()
    log_into_sandbox(page, "jane")
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("It is the same server.").wait_for()
    jane.reload()
    expect(jane.get_by_role("main")).to_contain_text("You are logged in to Acme.")
    jane.context.close()


def test_the_pages_of_oauth_2_fit_a_telephone(page, demo_url, make_sandbox):
    page.set_viewport_size({"width": 390, "height": 844})
    create_organization(page, demo_url)
    add_integration(page, make_sandbox().url, "Bitbucket")
    integration = page.url
    for address in (f"{integration}/oauth2", f"{integration}/edit", f"{demo_url}/o/acme/settings/integrations/add"):
        page.goto(address)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, address


def test_a_login_goes_on_while_the_owner_gives_bitbucket_a_new_public_key(page, chromium, demo_url, make_sandbox):
    sandbox = make_sandbox()
    create_organization(page, demo_url)
    add_integration(page, sandbox.url, "Bitbucket")
    integration, login_link, worksheet = page.url, page.get_by_label("Login link").input_value(), Worksheet(page)
    link = sandbox.link(consumer_key=worksheet["Consumer Key"], public_key=worksheet["Public Key"])
    page.goto(f"{integration}/edit")
    page.get_by_role("button", name="Make a new key pair").click()
    new = page.get_by_label("New public key", exact=True).input_value()
    admin = chromium.new_context().new_page()
    admin.goto(f"{sandbox.url}/plugins/servlet/applinks/listApplicationLinks")
    log_into_sandbox(admin, "admin")
    admin.get_by_role("link", name=re.compile("^Edit")).click()
    admin.get_by_label("Public Key").fill(new)
    admin.get_by_role("button", name="Save").click()
    admin.get_by_text("Saved.").wait_for()
    assert sandbox.links.get(link.id).consumer.public_key.split() == new.split()
    jane = chromium.new_context().new_page()
    log_in(jane, login_link, "Log in with Bitbucket")
    page.goto(integration)
    expect(page.get_by_label("New public key", exact=True)).to_have_count(0)
    assert Worksheet(page)["Public Key"] == new
    for other in (jane, admin):
        other.context.close()
