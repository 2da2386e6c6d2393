"""The whole story in a real browser: an admin connects a Bitbucket Server, and people log in."""

import re

import pytest

from tests.browser.waiting import expect

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery staple"


def create_organization(page, demo_url, name="Acme"):
    page.goto(demo_url)
    page.get_by_role("link", name=re.compile("create", re.IGNORECASE)).first.click()
    page.get_by_label("Name").first.fill(name)
    page.get_by_label("E-mail").fill("owner@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create organization").click()
    expect(page.get_by_label("Password")).to_have_count(0)


def add_integration(page, base_url, name="On-premise Bitbucket", ca_certificates=""):
    page.get_by_role("link", name=re.compile("Add Integration", re.IGNORECASE)).first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Base URL").fill(base_url)
    page.get_by_label("CA certificate").fill(ca_certificates)
    page.get_by_role("button", name=re.compile("Save|Add|Create")).click()
    expect(page.locator("#worksheet")).to_be_visible()


class Worksheet:
    """What the integration's page shows in one of its sections, by Bitbucket's labels."""

    def __init__(self, page, section="#worksheet"):
        self._section = page.locator(section)

    def __getitem__(self, label):
        return self._section.get_by_label(label, exact=True).first.input_value()


def log_into_sandbox(page, user):
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(user)
    page.get_by_role("button", name="Log in").click()


def paste_into_bitbucket(page, worksheet, links_url, *, new_dialog):
    """What the Bitbucket admin does, from the worksheet alone."""
    page.goto(links_url)
    log_into_sandbox(page, "admin")
    if new_dialog:
        page.get_by_role("link", name="Create link").click()
        page.get_by_label("Atlassian product").check()
        page.get_by_label("Application URL").fill(worksheet["Application URL"])
        page.get_by_role("button", name="Continue").click()
    else:
        page.get_by_label("Application URL").fill(worksheet["Application URL"])
        page.get_by_role("button", name="Create new link").click()
    warning, name = page.get_by_text("No response was received"), page.get_by_label("Application Name")
    expect(warning.or_(name).first).to_be_visible()
    if warning.count():
        page.get_by_role("button", name="Continue").click()
    name.fill(worksheet["Application Name"])
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("link", name=f"Edit {worksheet['Application Name']}", exact=True).click()
    page.get_by_label("Consumer Key").fill(worksheet["Consumer Key"])
    page.get_by_label("Consumer Name").fill(worksheet["Consumer Name"])
    page.get_by_label("Public Key").fill(worksheet["Public Key"])
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()


@pytest.mark.parametrize(
    ("version", "context", "tab"),
    [("8.19.0", "/bitbucket", "7.20"), ("7.6.0", "", "7.19")],
    ids=["new dialog below a context path", "old dialog"],
)
def test_from_add_integration_to_the_account_page(page, chromium, demo_url, make_sandbox, version, context, tab):
    sandbox = make_sandbox(version=version, context=context)
    create_organization(page, demo_url)
    add_integration(page, sandbox.url)
    page.get_by_role("navigation", name="Version of Bitbucket").get_by_role("link", name=re.compile(tab)).click()
    links_url = (
        page.locator("#worksheet").get_by_role("link", name=re.compile("listApplicationLinks")).get_attribute("href")
    )
    assert links_url.startswith(sandbox.url)
    login_link = page.get_by_label("Login link").input_value()

    admin_of_bitbucket = chromium.new_context()
    paste_into_bitbucket(admin_of_bitbucket.new_page(), Worksheet(page), links_url, new_dialog=tab == "7.20")
    admin_of_bitbucket.close()

    jane = chromium.new_context()
    hers = jane.new_page()
    answer = hers.goto(login_link)
    policy = answer.headers["content-security-policy"].split("; ")
    assert f"form-action 'self' {'/'.join(sandbox.url.split('/')[:3])}" in policy, "no further"
    expect(hers.get_by_role("heading", level=1)).to_contain_text("Log into Acme")
    hers.get_by_role("button", name="Log in with On-premise Bitbucket").click()
    log_into_sandbox(hers, "jane")
    hers.get_by_role("button", name="Allow").click()
    hers.get_by_text("You are logged in to Acme.").wait_for()
    account = hers.get_by_role("main").inner_text()
    assert "Acme" in account
    assert sandbox.url in account
    hers.get_by_role("main").get_by_role("button", name="Log out").click()
    expect(hers.get_by_role("heading", name="Log into Acme")).to_be_visible()
    hers.goto(f"{demo_url}/o/acme/account")
    expect(hers).to_have_url(re.compile("/login"))
    jane.close()

    page.reload()
    expect(page.get_by_role("main")).to_contain_text("It works")


def test_deny_says_so_and_offers_to_begin_again(page, chromium, demo_url, make_sandbox):
    sandbox = make_sandbox()
    create_organization(page, demo_url)
    add_integration(page, sandbox.url)
    worksheet = Worksheet(page)
    sandbox.link(consumer_key=worksheet["Consumer Key"], public_key=worksheet["Public Key"])
    person = chromium.new_context().new_page()
    person.goto(page.get_by_label("Login link").input_value())
    person.get_by_role("button", name="Log in with").click()
    log_into_sandbox(person, "jane")
    person.get_by_role("button", name="Deny").click()
    person.get_by_text("Nobody was logged in.").wait_for()
    expect(person).to_have_url(re.compile(f"^{re.escape(demo_url)}/o/acme/login"))
    person.get_by_role("button", name="Log in with").click()
    person.get_by_role("button", name="Allow").click()
    person.get_by_text("You are logged in to Acme.").wait_for()
    person.context.close()


@pytest.mark.parametrize(("user", "name"), [("jo@example", "jo@example"), ("kim", "kim"), ("natasha", "natasha")])
def test_people_with_unusual_records_log_in(page, demo_url, make_sandbox, user, name):
    sandbox = make_sandbox(context="/bitbucket")
    create_organization(page, demo_url)
    add_integration(page, sandbox.url)
    worksheet = Worksheet(page)
    sandbox.link(consumer_key=worksheet["Consumer Key"], public_key=worksheet["Public Key"])
    page.goto(page.get_by_label("Login link").input_value())
    page.get_by_role("button", name="Log in with").click()
    log_into_sandbox(page, user)
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("You are logged in to Acme.").wait_for()
    expect(page.get_by_role("main")).to_contain_text(sandbox.users.by_name(name).display_name)


def test_a_service_account_is_told_why_it_cannot_log_in(page, demo_url, make_sandbox):
    sandbox = make_sandbox()
    create_organization(page, demo_url)
    add_integration(page, sandbox.url)
    worksheet = Worksheet(page)
    sandbox.link(consumer_key=worksheet["Consumer Key"], public_key=worksheet["Public Key"])
    page.goto(page.get_by_label("Login link").input_value())
    page.get_by_role("button", name="Log in with").click()
    log_into_sandbox(page, "build-bot")
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("main")).to_contain_text("not a person's")
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"\b[0-9A-F]{8}\b"))
    assert "Acme" in page.content()
    page.get_by_role("link", name=re.compile("again|login", re.IGNORECASE)).first.click()
    expect(page).to_have_url(re.compile(f"^{re.escape(demo_url)}/o/acme/login"))


def test_a_value_is_copied_by_its_button(page, demo_url, make_sandbox):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    create_organization(page, demo_url)
    add_integration(page, make_sandbox().url)
    consumer_key = Worksheet(page)["Consumer Key"]
    page.get_by_role("button", name="Copy Consumer Key").click()
    page.locator("[aria-live]").get_by_text("Copied").wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == consumer_key


def test_every_page_fits_a_telephone(page, demo_url, make_sandbox):
    page.set_viewport_size({"width": 390, "height": 844})
    sandbox = make_sandbox(context="/bitbucket")
    create_organization(page, demo_url)
    add_integration(page, sandbox.url)
    integration = page.url
    for address in [
        demo_url,
        f"{demo_url}/o/acme/",
        f"{demo_url}/o/acme/login",
        f"{demo_url}/o/acme/login/owner",
        f"{demo_url}/o/acme/account",
        f"{demo_url}/o/acme/settings/integrations",
        f"{demo_url}/o/acme/settings/integrations/add",
        f"{demo_url}/o/acme/settings/audit",
        integration,
        f"{integration}/edit",
        f"{integration}/delete",
        f"{demo_url}/o/nobody/",
    ]:
        page.goto(address)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, address
