"""Tests of an owner's work with integrations, people and the login link, and of what the people notice.

The people come and go within this process. The browser is the owner's.
"""

import re

import pytest

from tests.browser.waiting import expect
from tests.flow.site import connect, log_in
from tests.visitor import PASSWORD

pytestmark = pytest.mark.browser


class Owner:
    """The owner's *page*, in the settings of acme."""

    def __init__(self, page, origin):
        self.page, self._origin = page, origin

    def goto(self, path):
        self.page.goto(self._origin + path)

    def open(self, tab):
        self.page.get_by_role("navigation", name="Settings of Acme").get_by_role("link", name=tab).click()

    def press(self, button):
        self.page.get_by_role("button", name=button).click()

    def expect_text(self, text):
        expect(self.page.get_by_text(text)).to_be_visible()

    def expect_status(self, text):
        expect(self.page.get_by_role("status")).to_contain_text(text)


@pytest.fixture
def settings(owners_page, site):
    return Owner(owners_page, site.origin)


@pytest.fixture
def make_person(site, acme, sandbox):
    """Return what makes a visitor who has just logged in."""

    def make_person(user, integration=acme, bitbucket=sandbox):
        person = site.visitor()
        assert log_in(person, integration, bitbucket, user).location == "/o/acme/account"
        return person

    return make_person


def is_logged_in(person):
    page = person.get("/o/acme/account")
    return page.status == 200 and "You are logged in to Acme as " in page.words


def what_the_login_page_says(person):
    """Return the words of the page that leads to the login, for somebody who is logged out."""
    page = person.get("/o/acme/account")
    assert page.status == 303
    words = person.get(page.location).words
    assert "Log in to Acme" in words
    return words


def test_a_disabled_integration_logs_everybody_out_and_lets_them_in_again_later(
    settings, owners_page, site, acme, sandbox, make_person
):
    jane = make_person("jane")
    settings.goto(acme)
    owners_page.get_by_role("link", name=re.compile("^Disable")).click()
    settings.expect_text("1 person cannot log in through it until you enable it again.")
    settings.press("Disable Bitbucket")
    settings.expect_text("Nobody can log in through it since today")
    assert "No Bitbucket Server can be used here yet." in what_the_login_page_says(jane)

    settings.press("Enable Bitbucket")
    settings.expect_text("1 person of Acme logs in through it.")
    log_in(jane, acme, sandbox)
    assert is_logged_in(jane)


def test_deleting_says_what_is_lost_and_asks_for_the_name(settings, owners_page, acme, make_person):
    people = [make_person(user) for user in ("jane", "kim")]
    settings.goto(acme)
    owners_page.get_by_role("link", name=re.compile("^Delete")).click()
    settings.expect_text("2 people of Acme lose their account")
    owners_page.get_by_label("Name of the integration").fill("Another")
    settings.press("Delete Bitbucket and 2 accounts")
    expect(owners_page.get_by_role("heading", name="Delete Bitbucket?")).to_be_visible()
    expect(owners_page.get_by_label("Name of the integration")).to_have_attribute("aria-invalid", "true")
    owners_page.get_by_label("Name of the integration").fill("Bitbucket")
    settings.press("Delete Bitbucket and 2 accounts")
    settings.expect_status("The integration “Bitbucket” is deleted.")
    expect(owners_page.get_by_role("heading", name="Connect your Bitbucket server")).to_be_visible()
    settings.open("People")
    expect(owners_page.get_by_role("main").get_by_role("rowheader")).to_have_count(0)
    for person in people:
        what_the_login_page_says(person)


def test_a_person_finds_the_organization_by_its_address(page, site, acme):
    page.goto(site.origin)
    page.get_by_label("Your organization's address").fill("nobody-has-this")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".error")).to_be_visible()
    page.get_by_label("Your organization's address").fill("Acme")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Log in to Acme")).to_be_visible()
    expect(page.get_by_role("button", name="Log in with Bitbucket")).to_be_visible()


def test_the_owner_ends_a_persons_sessions_and_disables_and_enables_them(
    settings, owners_page, acme, sandbox, make_person
):
    jane, kim = make_person("jane"), make_person("kim")
    settings.goto("/o/acme/settings/people")
    settings.press("Log out Jane Doe")
    settings.expect_status("Jane Doe is logged out everywhere, and can log in again.")
    what_the_login_page_says(jane)
    assert is_logged_in(kim)

    log_in(jane, acme, sandbox)
    assert is_logged_in(jane)
    settings.press("Disable Jane Doe")
    settings.expect_status("Jane Doe is disabled and logged out everywhere.")
    expect(owners_page.get_by_text("Disabled", exact=True)).to_be_visible()
    what_the_login_page_says(jane)
    assert "You cannot log in here at the moment" in log_in(jane, acme, sandbox).words

    settings.press("Enable Jane Doe")
    expect(owners_page.get_by_role("button", name="Disable Jane Doe")).to_be_visible()
    log_in(jane, acme, sandbox)
    assert is_logged_in(jane)


def test_at_another_server_everybody_begins_anew(
    settings, owners_page, owner, acme, sandbox, other_sandbox, make_person
):
    (link,) = sandbox.links.all()
    other_sandbox.link(consumer_key=link.consumer.key, public_key=link.consumer.public_key)
    jane = make_person("jane")
    settings.goto(f"{acme}/edit")
    owners_page.get_by_label("Base URL").fill(other_sandbox.url)
    settings.press("Save")
    settings.expect_text("Everybody who logged in through it (1 person so far)")
    owners_page.get_by_label("This is another server").check()
    settings.press("Save")
    settings.expect_status("1 person begins anew there")
    what_the_login_page_says(jane)
    make_person("jane", bitbucket=other_sandbox)
    settings.open("People")
    expect(owners_page.get_by_role("rowheader", name="Jane Doe")).to_have_count(1)


def test_a_closed_login_link_lets_nobody_in_until_it_is_opened(settings, site, acme, make_person):
    jane, kim = make_person("jane"), site.visitor()
    settings.goto("/o/acme/settings/login")
    settings.press("Close the link")
    settings.expect_status("The login link is closed.")
    words = kim.get("/o/acme/login").words
    assert "Acme closed this login link" in words
    assert "Log in with Bitbucket" not in words
    assert is_logged_in(jane)
    settings.press("Open the link")
    settings.expect_status("The login link is open again.")
    make_person("kim")


def test_one_integration_is_enforced_and_the_owner_gets_in_by_the_password(
    settings, owners_page, owner, acme, other_sandbox, make_person
):
    other = connect(owner, "acme", other_sandbox, "Other")
    jane, kim = make_person("jane"), make_person("kim", other, other_sandbox)
    owners_page.set_viewport_size({"width": 390, "height": 844})

    settings.goto("/o/acme/settings/login")
    owners_page.get_by_label("Bitbucket", exact=True).check()
    settings.press("Save")
    settings.expect_text("Bitbucket is the only way in. You still log in with your password.")

    words = what_the_login_page_says(kim)
    assert "Log in with Bitbucket" in words
    assert "Log in with Other" not in words
    assert is_logged_in(jane)

    settings.press("Log out")
    owners_page.get_by_role("link", name="Log in with your password").click()
    owners_page.get_by_label("E-mail address").fill("owner@acme.example")
    owners_page.get_by_label("Password").fill(PASSWORD)
    settings.press("Log in as owner")
    expect(owners_page.get_by_role("heading", name="Integrations")).to_be_visible()

    settings.open("Login link")
    owners_page.get_by_label(re.compile("^None: every integration is open")).check()
    settings.press("Save")
    settings.expect_status("All integrations are open")
    log_in(kim, other, other_sandbox, "kim")
    assert is_logged_in(kim)


def test_a_configuration_adds_an_integration_or_is_refused_as_a_whole(settings, owners_page, acme):
    settings.goto("/o/acme/settings/integrations")
    owners_page.get_by_role("link", name="Configuration as text").click()
    text = owners_page.get_by_role("textbox", name="Text")
    text.fill('[[integrations]]\nname = "Second"\nbase_url = "https://bitbucket.acme.example"\ntypo = 1\n')
    settings.press("Take over")
    expect(owners_page.locator(".error")).to_contain_text("typo")
    expect(text).to_have_value(re.compile("Second"))
    text.fill('[[integrations]]\nname = "Second"\nbase_url = "https://bitbucket.acme.example"\n')
    settings.press("Take over")
    settings.expect_status("Second")
    settings.open("Integrations")
    expect(owners_page.get_by_role("main").get_by_role("rowheader")).to_have_text(["Bitbucket", "Second"])


def test_an_owner_changes_the_password_and_the_other_browser_is_logged_out(settings, owners_page, site):
    elsewhere = site.visitor()
    assert elsewhere.log_owner_in("acme").location == "/o/acme/settings/integrations"

    settings.goto("/o/acme/settings/integrations")
    owners_page.get_by_role("link", name="Account", exact=True).click()
    owners_page.get_by_role("link", name="Change the password").click()
    for present, problem in (("not the password", "This is not your present password."), (PASSWORD, None)):
        owners_page.get_by_label("Present password").fill(present)
        owners_page.get_by_label("New password", exact=True).fill("a staple and a battery")
        owners_page.get_by_label("New password, once more").fill("a staple and a battery")
        settings.press("Change the password")
        settings.expect_text(problem or "The password is changed.")
    what_the_login_page_says(elsewhere)
    assert "do not belong together" in elsewhere.log_owner_in("acme").words
    form = {"email": "owner@acme.example", "password": "a staple and a battery"}
    assert elsewhere.post("/o/acme/login/owner", **form).location == "/o/acme/settings/integrations"
