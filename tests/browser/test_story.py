"""The whole story in a real browser: an admin connects a Bitbucket Server, and people log in."""

import re

import pytest

from tests.browser.acts import Worksheet, add_integration, create_organization, log_into_sandbox, paste_into_bitbucket
from tests.browser.waiting import expect

pytestmark = pytest.mark.browser


def test_from_add_integration_to_the_account_page(page, open_browser, site, sandbox):
    create_organization(page, site.origin)
    add_integration(page, sandbox.url)
    page.get_by_role("navigation", name="Version of Bitbucket").get_by_role("link", name=re.compile(r"10\.1")).click()
    links_url = (
        page.locator("#worksheet").get_by_role("link", name=re.compile("Open Application Links")).get_attribute("href")
    )
    assert links_url.startswith(sandbox.url)
    expect(page.locator("#login-link")).to_have_count(0)
    paste_into_bitbucket(open_browser(), Worksheet(page), links_url, new_dialog=True)
    page.get_by_role("button", name="I saved it: test the connection").click()
    page.get_by_role("button", name="Try a login").wait_for()
    page.get_by_role("link", name="Share the link without a trial").click()
    login_link = page.locator("#login-link").inner_text()

    jane = open_browser()
    answer = jane.goto(login_link)
    policy = answer.headers["content-security-policy"].split("; ")
    assert f"form-action 'self' {'/'.join(sandbox.url.split('/')[:3])}" in policy, "no further"
    expect(jane.get_by_role("heading", level=1)).to_contain_text("Log in to Acme")
    jane.get_by_role("button", name="Log in with Bitbucket").click()
    log_into_sandbox(jane, "jane")
    jane.get_by_role("button", name="Allow").click()
    jane.get_by_text("You are logged in to Acme as Jane Doe.").wait_for()
    account = jane.get_by_role("main").inner_text()
    assert "Acme" in account
    assert sandbox.url in account
    jane.get_by_role("main").get_by_role("button", name="Log out").click()
    expect(jane.get_by_role("heading", name="Log in to Acme")).to_be_visible()
    jane.goto(f"{site.origin}/o/acme/account")
    expect(jane).to_have_url(re.compile("/login"))

    page.get_by_role("link", name="Go to the integration").click()
    expect(page.get_by_role("main")).to_contain_text("1 person of Acme logs in through it.")


def test_deny_says_so_and_offers_to_begin_again(page, site, acme):
    page.goto(f"{site.origin}/o/acme/login")
    page.get_by_role("button", name="Log in with").click()
    log_into_sandbox(page, "jane")
    page.get_by_role("button", name="Deny").click()
    page.get_by_text("Nobody was logged in.").wait_for()
    expect(page).to_have_url(re.compile(f"^{re.escape(site.origin)}/o/acme/login"))
    page.get_by_role("button", name="Log in with").click()
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("You are logged in to Acme as Jane Doe.").wait_for()


def test_a_value_is_copied_by_its_button(owners_page, site, acme):
    owners_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    owners_page.goto(f"{site.origin}{acme}/bitbucket")
    owners_page.get_by_role("button", name="Copy Consumer Key").click()
    owners_page.locator("[aria-live]").get_by_text("Copied").wait_for(state="attached")
    assert owners_page.evaluate("navigator.clipboard.readText()") == Worksheet(owners_page)["Consumer Key"]
