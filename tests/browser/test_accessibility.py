"""Every page of the organizations, in every state: WCAG 2.2 AA finds nothing, and nothing is wider than its screen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from social_bitbucket_server.sandbox import Sandbox
from tests.browser.acts import Worksheet, log_into_sandbox, run_test
from tests.browser.inspection import Inspector
from tests.browser.waiting import expect
from tests.flow.site import Site, connect, log_in
from tests.visitor import Visitor

pytestmark = pytest.mark.browser

SETTINGS = "/o/acme/settings"
INTEGRATIONS = f"{SETTINGS}/integrations"
NOWHERE = "https://bitbucket.acme.example"


class Look:
    """A browser's *page*, which is inspected in one state after the other."""

    def __init__(self, page: Any, origin: str, inspector: Inspector) -> None:
        self.page, self._origin, self._inspector = page, origin, inspector
        page.on("response", self._note_crash)

    def _note_crash(self, answer: Any) -> None:
        if answer.status == 500:
            self._inspector.findings.append(f"{answer.url} has the page of a crash")

    def open(self, path: str) -> None:
        """Open the page at *path*."""
        self.page.goto(self._origin + path)

    def at(self, path: str, state: str) -> None:
        """Open the page at *path*, and inspect it."""
        self.open(path)
        self.now(state)

    def now(self, state: str) -> None:
        """Inspect what is shown."""
        expect(self.page.get_by_role("heading", level=1)).to_be_visible()
        self._inspector.inspect(self.page, state)

    def refused(self, state: str) -> None:
        """Inspect what is shown, a form that came back with an error."""
        expect(self.page.locator(".error, .notice.bad").first).to_be_visible()
        self.now(state)

    def fill(self, **values: str) -> None:
        """Fill in the fields with these labels, whose spaces are underscores here."""
        for label, value in values.items():
            self.page.get_by_label(label.replace("_", " "), exact=True).fill(value)

    def press(self, button: str) -> None:
        """Press the *button*."""
        self.page.get_by_role("button", name=re.compile(f"^{re.escape(button)}")).first.click()


@pytest.fixture
def inspector() -> Iterator[Inspector]:
    """An inspector whose findings fail the test when it is over, all at once."""
    inspector = Inspector()
    yield inspector
    assert inspector.findings == []


@pytest.fixture
def look_as(open_browser: Callable[..., Any], site: Site, inspector: Inspector) -> Callable[..., Look]:
    """Return what opens a browser: of a visitor, or of somebody who is not logged in."""
    return lambda visitor=None: Look(open_browser(visitor), site.origin, inspector)


@pytest.fixture
def settings(look_as: Callable[..., Look], owner: Visitor) -> Look:
    """The browser of acme's owner."""
    return look_as(owner)


def test_the_inspection_finds_what_is_wrong(page: Any) -> None:
    page.set_content(
        """<!doctype html><html lang="en"><title>Wrong</title><style>
             p { color: #777; background: #888; width: 50rem; }
             @media (prefers-color-scheme: dark) { b { color: #333; background: #222; } }
             button { width: 9px; height: 9px; padding: 0; border: 0; }
           </style><p>weak</p><b>weak in the dark</b><input>
           <div><button aria-label="one"></button><button aria-label="two"></button></div>"""
    )
    inspector = Inspector()
    inspector.inspect(page, "page")
    found = {finding.partition(" at ")[0] for finding in inspector.findings}
    assert found >= {
        "page, 1280 pixels, light: color-contrast",
        "page, 1280 pixels, dark: color-contrast",
        "page, 1280 pixels, light: label",
        "page, 1280 pixels, light: target-size",
        "page, 390 pixels, light: target-size",
    }
    assert f"page: {[0, 800 + 8 - 390]} pixels wider than the screens" in inspector.findings
    assert any("dark" in finding and " b" in finding for finding in inspector.findings)


def test_an_organization_without_integrations(settings: Look, look_as: Callable[..., Look], owner: Visitor) -> None:
    settings.at(INTEGRATIONS, "no integration")
    for name in ("login", "people", "events", "configuration"):
        settings.at(f"{SETTINGS}/{name}", f"{name}, without an integration")
    settings.at("/o/acme/account", "account of an owner")
    settings.at("/o/acme/account/password", "password")
    settings.press("Change the password")
    settings.refused("password, with errors")
    settings.at("/", "start page of somebody who is logged in")

    look = look_as()
    look.at("/", "start page")
    look.press("Continue")
    look.refused("start page, with an error")
    look.at("/organizations/new", "new organization")
    look.press("Create organization")
    look.refused("new organization, with errors")
    look.at("/o/acme/", "organization")
    look.at("/o/acme/login", "login, without an integration")
    look.at("/o/acme/login/owner", "owner's login")
    look.press("Log in as owner")
    look.refused("owner's login, with errors")
    look.at("/o/nobody/", "404")


def test_each_step_of_the_way_with_oauth_1(settings: Look, sandbox: Sandbox) -> None:
    page = settings.page
    settings.at(f"{INTEGRATIONS}/add", "add")
    settings.press("Save and continue")
    settings.refused("add, with errors")
    settings.fill(Name="Bitbucket", Base_URL=sandbox.url.removesuffix("/bitbucket"))
    settings.press("Look at the server")
    settings.now("add, another base URL is right")
    settings.fill(Base_URL=sandbox.url)
    settings.press("Look at the server again")
    settings.now("add, the server was found")
    page.get_by_label("OAuth 1", exact=True).check()
    settings.press("Save and continue")
    versions = page.get_by_role("navigation", name="Version of Bitbucket").get_by_role("link")
    for number in range(versions.count()):
        versions.nth(number).click()
        settings.now(f"worksheet {number}")
    worksheet = Worksheet(page)
    consumer_key, public_key = worksheet["Consumer Key"], worksheet["Public Key"]
    integration = page.url.partition("/bitbucket")[0]
    page.goto(f"{integration}/test")
    settings.now("test of the connection")
    run_test(page)
    settings.now("test of the connection, failed")
    sandbox.link(consumer_key=consumer_key, public_key=public_key)
    page.goto(f"{integration}/test")
    run_test(page)
    settings.now("test of the connection, passed")
    settings.press("Try a login")
    log_into_sandbox(page, "jane")
    settings.press("Deny")
    settings.now("trial login, failed")
    settings.press("Try the login again")
    settings.press("Allow")
    settings.now("trial login, passed")
    page.get_by_role("link", name="Share the link").click()
    settings.now("share the link")


def test_each_step_of_the_way_with_oauth_2(settings: Look, owner: Visitor, sandbox: Sandbox) -> None:
    integration = owner.add_integration("acme", sandbox.url, oauth_version="2")
    settings.at(integration, "draft for OAuth 2")
    settings.at(f"{integration}/bitbucket", "worksheet for OAuth 2")
    link = sandbox.link_external_application(redirect_url=Worksheet(settings.page)["Redirect URL"])
    settings.press("Save and test")
    settings.refused("worksheet for OAuth 2, with errors")
    settings.fill(Client_ID=link.client_id, Client_secret=link.client_secret)
    settings.press("Save and test")
    settings.page.get_by_text("The connection works.").wait_for()
    settings.now("test of the connection by OAuth 2")
    settings.at(f"{integration}/bitbucket", "worksheet for OAuth 2, entered")
    settings.at(f"{integration}/oauth2", "client credentials")


def test_an_integration_in_each_of_its_states(
    settings: Look, look_as: Callable[..., Look], site: Site, owner: Visitor, sandbox: Sandbox, other_sandbox: Sandbox
) -> None:
    page, integration = settings.page, connect(owner, "acme", sandbox)
    settings.at(integration, "draft")
    settings.open(f"{integration}/test")
    run_test(page)
    settings.at(integration, "never used")
    log_in(site.visitor(), integration, sandbox)
    settings.at(integration, "working")
    disabled = owner.add_integration("acme", f"{NOWHERE}/1", "Disabled")
    owner.post(f"{disabled}/disable")
    settings.at(disabled, "disabled")
    owner.add_integration("acme", f"{NOWHERE}/2", "Draft")
    sandbox.faults.server_error = True
    look = look_as()
    look.open("/o/acme/login")
    look.press("Log in with Bitbucket")
    look.now("failed login")
    settings.at(integration, "failing")
    settings.at(INTEGRATIONS, "integrations in every state")
    sandbox.faults.seen_host = "internal.example"
    sandbox.faults.server_error = False
    settings.open(f"{integration}/test")
    run_test(page)
    settings.now("test of the connection, with a comparison")
    sandbox.faults.reset()
    owner.post(f"{integration}/edit", name="Bitbucket", base_url=other_sandbox.url, server="moved")
    settings.at(integration, "moving")


def test_the_forms_of_an_integration(settings: Look, site: Site, owner: Visitor, acme: str, sandbox: Sandbox) -> None:
    page = settings.page
    log_in(site.visitor(), acme, sandbox)
    settings.at(f"{acme}/edit", "edit")
    settings.fill(Base_URL="not an address", Name="")
    page.get_by_label("CA certificate").fill("nonsense")
    settings.press("Save")
    settings.refused("edit, with errors")
    settings.open(f"{acme}/edit")
    settings.fill(Base_URL=NOWHERE)
    settings.press("Save")
    settings.now("edit, is it the same server?")
    settings.at(f"{acme}/who", "who may log in")
    settings.press("Add a condition")
    settings.fill(Name_in_condition_1="x" * 300)
    settings.press("Save")
    settings.refused("who may log in, with errors")
    owner.let_in(acme, ("group", "developers"), ("project", "WEB"))
    settings.at(f"{acme}/who", "who may log in, with conditions")
    settings.at(f"{acme}/roles", "roles")
    settings.press("Add a condition")
    settings.fill(Name_in_condition_1="x" * 300)
    settings.press("Save")
    settings.refused("roles, with errors")
    settings.at(f"{acme}/delete", "delete")
    settings.press("Delete Bitbucket")
    settings.refused("delete, with an error")
    settings.at(f"{acme}/setup-link", "no set-up link")
    settings.press("Make a set-up link")
    settings.now("set-up link, made")
    settings.at(f"{acme}/setup-link", "set-up link, open")
    settings.at(f"{acme}/disable", "disable")
    settings.press("Disable Bitbucket")
    settings.at(f"{acme}/disable", "enable")
    settings.at(f"{SETTINGS}/configuration", "configuration")
    page.get_by_role("textbox", name="Text").fill("typo")
    settings.press("Take over")
    settings.refused("configuration, with an error")


def test_key_pairs(settings: Look, acme: str, sandbox: Sandbox) -> None:
    page = settings.page
    settings.at(f"{acme}/key-pair", "key pair")
    settings.press("Make a new key pair")
    settings.now("new key pair")
    settings.press("I pasted it: verify the new key")
    settings.now("new key pair, refused")
    (old,) = sandbox.links.all()
    pasted = replace(old.consumer, public_key=Worksheet(page, "#new-key-pair")["Public Key"])
    sandbox.links.set_consumer(old.id, pasted)
    settings.press("Keep the old key pair")
    settings.now("new key pair, which cannot be given up")
    settings.press("I pasted it: verify the new key")
    settings.now("new key pair, verified")
    page.get_by_label("A new application link is made beside the old one").check()
    settings.press("Make a new key pair")
    settings.now("new link")
    settings.press("I made the new link: verify")
    settings.now("new link, refused")
    new = Worksheet(page, "#new-key-pair")
    sandbox.link(consumer_key=new["Consumer Key"], public_key=new["Public Key"])
    settings.press("I made the new link: verify")
    settings.now("old link")


def test_the_upgrade_to_oauth_2(
    settings: Look, look_as: Callable[..., Look], site: Site, acme: str, sandbox: Sandbox
) -> None:
    log_in(site.visitor(), acme, sandbox)
    settings.at(f"{acme}/oauth2", "upgrade")
    link = sandbox.link_external_application(redirect_url=Worksheet(settings.page)["Redirect URL"])
    settings.press("Save")
    settings.refused("upgrade, with errors")
    settings.fill(Client_ID=link.client_id, Client_secret=link.client_secret)
    settings.press("Save")
    settings.now("upgrade, side by side")
    settings.at(acme, "integration with both OAuths")
    look = look_as()
    look.at("/o/acme/login", "login, both ways")
    log_in(site.visitor(), acme, sandbox, oauth="2")
    settings.at(acme, "integration after the upgrade")
    settings.at(f"{acme}/key-pair", "key pair that is not in use")
    settings.at(f"{acme}/oauth2", "after the upgrade")
    for each in sandbox.links.all():
        sandbox.links.remove(each.id)
    settings.press("Go back to OAuth 1")
    settings.now("after the upgrade, with no way back")


def test_people_events_and_the_login_link(
    settings: Look, look_as: Callable[..., Look], site: Site, owner: Visitor, acme: str, sandbox: Sandbox
) -> None:
    page = settings.page
    for user in ("jane", "kim"):
        log_in(site.visitor(), acme, sandbox, user)
    settings.open(f"{SETTINGS}/people")
    settings.press("Disable Jane Doe")
    settings.now("people")
    log_in(site.visitor(), acme, sandbox)
    settings.at(f"{SETTINGS}/events", "events")
    page.locator(".event.bad").first.wait_for()
    page.locator("tr", has=page.locator(".event.bad")).get_by_role("link").last.click()
    settings.now("one event")
    settings.at(f"{SETTINGS}/events?reference=ABCDEF01", "events, nothing found")

    settings.at(f"{SETTINGS}/login", "login link")
    page.get_by_label("Bitbucket", exact=True).check()
    settings.press("Save")
    settings.now("login link, one way in")
    owner.post(f"{acme}/disable")
    settings.at(f"{SETTINGS}/login", "login link, the only way in is disabled")
    look = look_as()
    look.at("/o/acme/login", "login, the only way in is disabled")
    owner.post(f"{acme}/enable")
    settings.open(f"{SETTINGS}/login")
    settings.press("Close the link")
    settings.now("login link, closed")
    look.at("/o/acme/login", "login, closed")
    settings.press("Open the link")
    page.get_by_label("The present link lets nobody in from now on").check()
    settings.press("Replace the link")
    settings.now("login link, replaced")
    look.at("/o/acme/login", "login, replaced")


def test_people_who_log_in(
    look_as: Callable[..., Look], site: Site, owner: Visitor, acme: str, sandbox: Sandbox, other_sandbox: Sandbox
) -> None:
    look = look_as()
    look.at("/o/acme/login", "login, one way")
    look.press("Log in with Bitbucket")
    log_into_sandbox(look.page, "jane")
    look.press("Deny")
    look.now("login, declined")
    look.press("Log in with Bitbucket")
    look.press("Allow")
    look.now("account")
    look.at("/o/acme/", "organization, logged in")
    look.at("/o/acme/login", "login, logged in")
    connect(owner, "acme", other_sandbox, "Other")
    look.at("/o/acme/account", "account, with another to connect")
    look.at("/o/acme/account/connect", "connect")
    look.press("Connect Other")
    log_into_sandbox(look.page, "jane")
    look.press("Deny")
    look.now("connect, declined")
    look.press("Connect Other")
    look.press("Allow")
    look.now("account, with two identities")
    look.press("Log out")
    look.now("login, two ways")


def test_what_goes_wrong(look_as: Callable[..., Look], site: Site, acme: str) -> None:
    look = look_as()
    callback = acme.replace(INTEGRATIONS, "/complete/bitbucket-server")
    look.at(f"{callback}/?oauth_token=a&oauth_verifier=b", "login that is not under way")
    look.at(f"/o/acme/login{acme.removeprefix(INTEGRATIONS)}/begin", "405")
    look.open("/o/acme/login")
    look.page.context.clear_cookies()
    look.press("Log in with Bitbucket")
    look.now("form that is too old")
    look.page.goto(f"{site.origin}/".replace("127.0.0.1", "localhost"))
    look.now("another host")
    look.open("/o/acme/login")
    for _ in range(11):
        site.visitor().begin(acme)
    look.press("Log in with Bitbucket")
    look.now("too often")


def test_the_set_up_page_and_its_ends(
    settings: Look, look_as: Callable[..., Look], owner: Visitor, sandbox: Sandbox
) -> None:
    def set_up_link(integration: str) -> str:
        page = owner.post(f"{integration}/setup-link")
        return "/setup/" + page.value_of("Set-up link").partition("/setup/")[2]

    look = look_as()
    by_oauth1 = owner.add_integration("acme", sandbox.url)
    link = set_up_link(by_oauth1)
    look.at(link, "set-up page")
    worksheet = Worksheet(look.page)
    consumer = {"consumer_key": worksheet["Consumer Key"], "public_key": worksheet["Public Key"]}
    look.fill(Base_URL="not an address")
    look.page.get_by_label("CA certificate").fill("nonsense")
    look.press("Save the correction")
    look.refused("set-up page, with errors")
    look.open(link)
    run_test(look.page)
    look.now("set-up page, test failed")
    sandbox.link(**consumer)
    look.open(link)
    run_test(look.page)
    look.now("set-up page, test passed")
    owner.post(f"{by_oauth1}/key-pair", link="same")
    look.at(link, "set-up page, new public key")
    owner.post(f"{by_oauth1}/key-pair", link="new")
    look.at(link, "set-up page, new link")
    owner.post(f"{by_oauth1}/setup-link/revoke", f"{by_oauth1}/setup-link")
    look.at(link, "set-up page, ended")
    look.at("/setup/" + "t" * 43, "set-up page, unknown")

    by_oauth2 = owner.add_integration("acme", sandbox.url, "Second", oauth_version="2")
    look.at(set_up_link(by_oauth2), "set-up page for OAuth 2")
    look.press("Save and test the connection")
    look.refused("set-up page for OAuth 2, with errors")
