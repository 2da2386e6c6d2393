"""Acts of people in a browser: in the tests' application, and in the sandbox's administration."""

from __future__ import annotations

import re
from typing import Any

from tests.browser.waiting import expect
from tests.visitor import PASSWORD

WIDTHS = (1280, 390)
"""The widths of a screen on a desk, and of a telephone, in pixels."""


class Worksheet:
    """Worksheet in one section of a page: its values by Bitbucket's labels."""

    def __init__(self, page: Any, section: str = "#worksheet") -> None:
        self._section = page.locator(section)

    def __getitem__(self, label: str) -> str:
        row = f'xpath=.//dt[normalize-space()="{label}"]/following-sibling::dd//*[self::code or self::pre]'
        return self._section.locator(row).first.text_content()


def create_organization(page: Any, home: str, name: str = "Acme") -> None:
    """Create an organization, from the start page on; its owner is logged in afterwards."""
    page.goto(home)
    page.get_by_role("link", name=re.compile("create", re.IGNORECASE)).first.click()
    page.get_by_label("Name").first.fill(name)
    page.get_by_label("E-mail").fill("owner@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create organization").click()
    expect(page.get_by_label("Password")).to_have_count(0)


def add_integration(page: Any, base_url: str, name: str = "Bitbucket") -> None:
    """Add an integration, from the list of integrations on. The worksheet is shown afterwards."""
    page.get_by_role("link", name="Add an integration").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Base URL").fill(base_url)
    page.get_by_role("button", name="Save and continue").click()
    expect(page.locator("#worksheet")).to_be_visible()


def run_test(page: Any) -> str:
    """Press the page's button for the test. Return the stages' text when all of them are there."""
    page.get_by_role("button", name=re.compile("^(Test connection|I saved it: test the connection)$")).click()
    page.get_by_role("button", name="Test again").wait_for()
    return page.locator(".stages").inner_text()


def log_into_sandbox(page: Any, user: str) -> None:
    """Enter *user*, whose password is the same, on the sandbox's login page."""
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(user)
    page.get_by_role("button", name="Log in").click()


def paste_into_bitbucket(page: Any, worksheet: Worksheet, links_url: str, *, new_dialog: bool) -> None:
    """Do what the Bitbucket admin does, from the worksheet alone."""
    page.goto(links_url)
    log_into_sandbox(page, "admin")
    if new_dialog:
        page.get_by_role("link", name="Create link").click()
        page.get_by_label("Atlassian product via OAuth 1.0").check()
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


def overflow(page: Any) -> list[int]:
    """Return the pixels by which the page is wider than a screen on a desk, and than a telephone."""
    widths = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        widths.append(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
    return widths
