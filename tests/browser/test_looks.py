"""How the pages look and behave where names are long, screens narrow, and fingers quick.

Each page is opened once, and measured on a wide and on a narrow screen.
"""

import re

import pytest

from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sandbox.state.users import SANDBOX_USERS, User
from tests.browser.acts import log_into_sandbox, overflow, run_test
from tests.browser.waiting import expect
from tests.flow.site import connect
from tests.visitor import PASSWORD

pytestmark = pytest.mark.browser

LONG = "Donaudampfschifffahrtsgesellschaft" * 2
PERSON = User(901, "u" + "x" * 60, "Namenlos" * 12, "y" * 60 + "@example.com")


class LongNames:
    """An organization and its integration, whose names are long, as those of the sandbox's people and links are.

    *settings* and *integration* are the addresses of their pages, *path* is that of the integration's page without the
    origin, *login_link* the address of the login page.
    """

    def __init__(self, site, sandbox):
        self.sandbox = sandbox
        self.owner = site.visitor()
        made = self.owner.post("/organizations/new", name=LONG, email=f"owner@{LONG}.example", password=PASSWORD)
        slug = made.location.split("/")[2]
        path = connect(self.owner, slug, sandbox, LONG)
        self.path = path
        self.settings = f"{site.origin}/o/{slug}/settings"
        self.integration = site.origin + path
        self.login_link = self.owner.get(f"/o/{slug}/settings/login").value_of("Login link")


@pytest.fixture
def long_names(site):
    with Sandbox(context=f"/{LONG}", users=[*SANDBOX_USERS, PERSON]) as sandbox:
        yield LongNames(site, sandbox)


def test_no_page_of_the_settings_is_wider_than_its_screen(open_browser, long_names):
    assert long_names.owner.let_in(long_names.path, ("group", "g" * 120)).status == 303
    assert "members of ggg" in long_names.owner.get(long_names.path).words
    page = open_browser(long_names.owner)
    pages = ["integrations", "integrations/add", "login", "people", "events", "configuration"]
    for address in (
        *(f"{long_names.settings}/{name}" for name in pages),
        *(
            f"{long_names.integration}/{name}"
            for name in (
                "edit",
                "oauth2",
                "who",
                "roles",
                "delete",
                "bitbucket",
                "test",
                "share",
                "key-pair",
                "setup-link",
            )
        ),
        long_names.integration,
    ):
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert overflow(page) == [0, 0], address
    expect(page.get_by_role("heading", level=1)).to_have_text(LONG)
    page.goto(f"{long_names.integration}/setup-link")
    page.get_by_role("button", name="Make a set-up link").click()
    assert overflow(page) == [0, 0], "set-up link"
    page.goto(f"{long_names.integration}/test")
    long_names.sandbox.faults.seen_host = "internal.example"
    run_test(page)
    expect(page.locator(".sides")).to_be_visible()
    assert overflow(page) == [0, 0], "test of the connection"


def test_no_page_of_somebody_who_logs_in_is_wider_than_their_screen(page, site, long_names):
    organization = long_names.settings.removesuffix("/settings")
    for address in (site.origin, f"{organization}/", f"{organization}/login/owner", f"{site.origin}/o/nobody/"):
        page.goto(address)
        assert overflow(page) == [0, 0], address
    page.goto(long_names.login_link)
    assert overflow(page) == [0, 0], "login"
    page.get_by_role("button", name=re.compile("^Log in with")).click()
    log_into_sandbox(page, PERSON.name)
    expect(page.get_by_role("button", name="Allow")).to_be_visible()
    assert overflow(page) == [0, 0], "allow"
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("main")).to_contain_text(PERSON.display_name)
    assert overflow(page) == [0, 0], "account"


def test_no_page_of_the_bitbucket_admin_is_wider_than_their_screen(page, long_names):
    made = long_names.owner.post(f"{long_names.path}/setup-link", long_names.path)
    page.goto(made.value_of("Set-up link"))
    page.get_by_text("How to run it").click()
    assert overflow(page) == [0, 0], "set-up link"
    page.goto(f"{long_names.sandbox.url}/plugins/servlet/applinks/listApplicationLinks")
    log_into_sandbox(page, "admin")
    expect(page.get_by_role("link", name=re.compile("^Edit"))).to_be_visible()
    assert overflow(page) == [0, 0], "application links"
    table = page.locator(".table")
    assert table.evaluate("table => table.scrollWidth - table.clientWidth") <= 0


def test_a_double_click_sends_a_form_once(page, site):
    page.goto(f"{site.origin}/organizations/new")
    button = page.get_by_role("button", name="Create organization")
    is_stopped = button.evaluate(
        """button => {
            const isStopped = [];
            window.addEventListener("submit", (event) => {
                isStopped.push(event.defaultPrevented);
                event.preventDefault();
            });
            button.click();
            button.click();
            return isStopped;
        }"""
    )
    assert is_stopped == [False, True]


def test_a_form_that_came_back_with_an_error_can_be_sent_again_at_once(owners_page, site, sandbox):
    owners_page.goto(f"{site.origin}/o/acme/settings/integrations/add")
    owners_page.get_by_role("button", name="Save and continue").click()
    expect(owners_page.locator(".error").first).to_be_visible()
    owners_page.get_by_label("Name").fill("Bitbucket")
    owners_page.get_by_label("Base URL").fill(sandbox.url)
    owners_page.get_by_role("button", name="Save and continue").click()
    expect(owners_page.get_by_role("heading", level=1)).to_have_text("Make the application link in Bitbucket")


def test_a_wrong_password_leaves_the_name_in_the_sandboxs_form(page, sandbox):
    page.goto(f"{sandbox.url}/login")
    page.get_by_label("Username").fill("jane")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not right")
    expect(page.get_by_label("Username")).to_have_value("jane")
    expect(page.get_by_label("Password")).to_be_focused()
