"""What an owner does with integrations, people and the login link, and what the people notice."""

import re

import pytest

from tests.browser.test_connection import link
from tests.browser.test_story import PASSWORD, add_integration, create_organization, log_into_sandbox
from tests.browser.waiting import expect

pytestmark = pytest.mark.browser


class Organization:
    """Acme with one integration, its owner's *page*, and people who log in through it."""

    def __init__(self, page, chromium, demo_url, sandbox):
        self.page, self.demo_url, self.sandbox = page, demo_url, sandbox
        self._chromium, self._contexts = chromium, []
        create_organization(page, demo_url)
        add_integration(page, sandbox.url, "Bitbucket")
        link(page, sandbox)
        self.integration = page.url
        self.login_link = page.get_by_label("Login link").input_value()

    def visitor(self):
        self._contexts.append(self._chromium.new_context())
        return self._contexts[-1].new_page()

    def person(self, user):
        """Somebody who has just logged in."""
        theirs = self.visitor()
        log_in(theirs, self.login_link, user)
        return theirs

    def open(self, tab):
        self.page.get_by_role("navigation", name="Settings of Acme").get_by_role("link", name=tab).click()

    def close(self):
        for context in self._contexts:
            context.close()


@pytest.fixture
def acme(page, chromium, demo_url, make_sandbox):
    acme = Organization(page, chromium, demo_url, make_sandbox())
    yield acme
    acme.close()


def log_in(theirs, login_link, user, integration="Bitbucket"):
    theirs.goto(login_link)
    theirs.get_by_role("button", name=f"Log in with {integration}").click()
    log_into_sandbox(theirs, user)
    theirs.get_by_role("button", name="Allow").click()
    expect(theirs.get_by_text("You are logged in to Acme.")).to_be_visible()


def expect_logged_out(theirs):
    theirs.reload()
    expect(theirs.get_by_role("heading", name="Log into Acme")).to_be_visible()


def test_a_disabled_integration_logs_everybody_out_and_lets_them_in_again_later(acme, page):
    jane = acme.person("jane")
    page.goto(f"{acme.integration}/edit")
    page.get_by_label("People can log in through this integration").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Nobody can log in through this integration.")).to_be_visible()
    expect_logged_out(jane)
    expect(jane.get_by_text("No Bitbucket Server can be used here yet.")).to_be_visible()

    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("People can log in through this integration").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("It works: 1 person has logged in through it so far")).to_be_visible()
    jane.reload()
    jane.get_by_role("button", name="Log in with Bitbucket").click()
    jane.get_by_role("button", name="Allow").click()
    expect(jane.get_by_text("You are logged in to Acme.")).to_be_visible()


def test_deleting_says_what_is_lost_and_asks_for_the_name(acme, page):
    people = [acme.person(user) for user in ("jane", "kim")]
    acme.open("Integrations")
    page.get_by_role("link", name="Delete Bitbucket").click()
    expect(page.get_by_text("2 people with no other way in than this one")).to_be_visible()
    page.get_by_label("Name of the integration").fill("Another")
    page.get_by_role("button", name="Delete integration").click()
    expect(page.get_by_role("heading", name="Delete Bitbucket?")).to_be_visible()
    expect(page.get_by_label("Name of the integration")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Name of the integration").fill("Bitbucket")
    page.get_by_role("button", name="Delete integration").click()
    expect(page.get_by_role("status")).to_contain_text("The integration “Bitbucket” is deleted.")
    expect(page.get_by_role("heading", name="Connect your Bitbucket Server first")).to_be_visible()
    acme.open("People")
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(1)
    for person in people:
        expect_logged_out(person)


def test_a_person_finds_the_organization_by_its_address(acme):
    jane = acme.visitor()
    jane.goto(acme.demo_url)
    jane.get_by_label("Your organization's address").fill("nobody-has-this")
    jane.get_by_role("button", name="Continue").click()
    expect(jane.locator(".error")).to_be_visible()
    jane.get_by_label("Your organization's address").fill("Acme")
    jane.get_by_role("button", name="Continue").click()
    expect(jane.get_by_role("heading", name="Log into Acme")).to_be_visible()
    jane.get_by_role("button", name="Log in with Bitbucket").click()
    log_into_sandbox(jane, "jane")
    jane.get_by_role("button", name="Allow").click()
    expect(jane.get_by_text("You are logged in to Acme.")).to_be_visible()


def test_the_owner_ends_a_persons_sessions_and_disables_and_enables_them(acme, page):
    jane, kim = acme.person("jane"), acme.person("kim")
    acme.open("People")
    page.get_by_role("button", name="Log out Jane Doe").click()
    expect(page.get_by_role("status")).to_contain_text("Jane Doe is logged out everywhere, and can log in again.")
    expect_logged_out(jane)
    kim.reload()
    expect(kim.get_by_text("You are logged in to Acme.")).to_be_visible()

    jane.get_by_role("button", name="Log in with Bitbucket").click()
    jane.get_by_role("button", name="Allow").click()
    expect(jane.get_by_text("You are logged in to Acme.")).to_be_visible()
    page.get_by_role("button", name="Disable Jane Doe").click()
    expect(page.get_by_role("status")).to_contain_text("Jane Doe is disabled and logged out everywhere.")
    expect(page.get_by_text("Disabled", exact=True)).to_be_visible()
    expect_logged_out(jane)
    jane.get_by_role("button", name="Log in with Bitbucket").click()
    jane.get_by_role("button", name="Allow").click()
    expect(jane.get_by_role("heading", name="You cannot log in here at the moment")).to_be_visible()

    page.get_by_role("button", name="Enable Jane Doe").click()
    expect(page.get_by_role("button", name="Disable Jane Doe")).to_be_visible()
    jane.goto(acme.login_link)
    jane.get_by_role("button", name="Log in with Bitbucket").click()
    jane.get_by_role("button", name="Allow").click()
    expect(jane.get_by_text("You are logged in to Acme.")).to_be_visible()


def test_at_another_server_everybody_begins_anew(acme, page, make_sandbox):
    other = make_sandbox()
    link(page, other)
    jane = acme.person("jane")
    page.goto(f"{acme.integration}/edit")
    page.get_by_label("Base URL").fill(other.url)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Everybody who logged in through it (1 person so far)")).to_be_visible()
    page.get_by_label("This is another server").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("1 person begins anew there")
    expect_logged_out(jane)
    log_in(jane, acme.login_link, "jane")
    acme.open("People")
    expect(page.get_by_role("heading", name="Jane Doe")).to_have_count(2)
    expect(page.get_by_text(re.compile("without a way to log in"))).to_have_count(1)


def test_a_closed_login_link_lets_nobody_in_until_it_is_opened(acme, page):
    jane, kim = acme.person("jane"), acme.visitor()
    acme.open("Login")
    page.get_by_role("button", name="Close the link").click()
    expect(page.get_by_role("status")).to_contain_text("The login link is closed.")
    kim.goto(acme.login_link)
    expect(kim.get_by_text("Nobody can log in at the moment.")).to_be_visible()
    expect(kim.get_by_role("button", name="Log in with Bitbucket")).to_have_count(0)
    jane.reload()
    expect(jane.get_by_text("You are logged in to Acme.")).to_be_visible()
    page.get_by_role("button", name="Open the link").click()
    expect(page.get_by_role("status")).to_contain_text("The login link is open again.")
    log_in(kim, acme.login_link, "kim")


def test_one_integration_is_enforced_and_the_owner_gets_in_by_the_code(acme, page, make_sandbox):
    other = make_sandbox()
    acme.open("Integrations")
    add_integration(page, other.url, "Other")
    link(page, other)
    jane, kim = acme.person("jane"), acme.visitor()
    log_in(kim, acme.login_link, "kim", "Other")

    acme.open("Login")
    page.get_by_label("Bitbucket", exact=True).check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Write down the owner's code")).to_be_visible()
    code = page.get_by_role("textbox", name="Owner's code").input_value()
    acme.open("Login")
    expect(page.get_by_text("Bitbucket is the only way in")).to_be_visible()
    expect(page.get_by_role("textbox", name="Owner's code")).to_have_count(0)

    expect_logged_out(kim)
    expect(kim.get_by_role("button", name="Log in with Bitbucket")).to_be_visible()
    expect(kim.get_by_role("button", name="Log in with Other")).to_have_count(0)
    jane.reload()
    expect(jane.get_by_text("You are logged in to Acme.")).to_be_visible()

    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Log in with your password and the owner's code").click()
    page.get_by_label("E-mail address").fill("owner@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in as owner").click()
    expect(page.get_by_text("E-mail address, password and owner's code do not belong together.")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Owner's code").fill(code.lower())
    page.get_by_role("button", name="Log in as owner").click()
    expect(page.get_by_role("heading", name="Integrations")).to_be_visible()

    acme.open("Login")
    page.get_by_label(re.compile("^None: every integration is open")).check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("All integrations are open")
    kim.reload()
    kim.get_by_role("button", name="Log in with Other").click()
    kim.get_by_role("button", name="Allow").click()
    expect(kim.get_by_text("You are logged in to Acme.")).to_be_visible()


def test_a_configuration_adds_an_integration_or_is_refused_as_a_whole(acme, page):
    acme.open("Integrations")
    page.get_by_role("link", name="Configuration as text").click()
    text = page.get_by_role("textbox", name="Text")
    text.fill('[[integrations]]\nname = "Second"\nbase_url = "https://bitbucket.acme.example"\ntypo = 1\n')
    page.get_by_role("button", name="Take over").click()
    expect(page.locator(".error")).to_contain_text("typo")
    expect(text).to_have_value(re.compile("Second"))
    text.fill('[[integrations]]\nname = "Second"\nbase_url = "https://bitbucket.acme.example"\n')
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_role("status")).to_contain_text("Second")
    acme.open("Integrations")
    expect(page.get_by_role("main").get_by_role("heading", level=2)).to_have_text(["Bitbucket", "Second"])


def test_the_owners_code_is_seen_as_a_whole_on_a_telephone(acme, page):
    acme.person("jane")
    page.set_viewport_size({"width": 390, "height": 844})
    acme.open("Login")
    page.get_by_label("Bitbucket", exact=True).check()
    page.get_by_role("button", name="Save").click()
    field = page.get_by_role("textbox", name="Owner's code")
    expect(field).to_be_visible()
    assert field.evaluate("field => field.scrollWidth <= field.clientWidth")


def log_owner_in(theirs, demo_url, password):
    theirs.goto(f"{demo_url}/o/acme/login/owner")
    theirs.get_by_label("E-mail address").fill("owner@acme.example")
    theirs.get_by_label("Password").fill(password)
    theirs.get_by_role("button", name="Log in as owner").click()


def test_an_owner_changes_the_password_and_the_other_browser_is_logged_out(page, chromium, demo_url):
    create_organization(page, demo_url)
    elsewhere = chromium.new_context()
    theirs = elsewhere.new_page()
    log_owner_in(theirs, demo_url, PASSWORD)
    expect(theirs.get_by_role("heading", name="Integrations", exact=True)).to_be_visible()

    page.get_by_role("link", name="Account", exact=True).click()
    page.get_by_role("link", name="Change the password").click()
    for present, problem in (("not the password", "This is not your present password."), (PASSWORD, None)):
        page.get_by_label("Present password").fill(present)
        page.get_by_label("New password", exact=True).fill("a staple and a battery")
        page.get_by_label("New password, once more").fill("a staple and a battery")
        page.get_by_role("button", name="Change the password").click()
        expect(page.get_by_text(problem or "The password is changed.")).to_be_visible()
    expect_logged_out(theirs)
    log_owner_in(theirs, demo_url, PASSWORD)
    expect(theirs.get_by_text("do not belong together")).to_be_visible()
    log_owner_in(theirs, demo_url, "a staple and a battery")
    expect(theirs.get_by_role("heading", name="Integrations", exact=True)).to_be_visible()
    elsewhere.close()
