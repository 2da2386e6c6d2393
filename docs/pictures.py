"""Take the pictures of the login page and of Bitbucket's dialogs: ``make screenshots``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from shutil import which
from threading import Thread

from playwright.sync_api import Page, sync_playwright
from waitress import create_server

from demo_app import create_app
from demo_app.__main__ import SETTINGS
from demo_app.acme import prepare
from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.sandbox import Sandbox

IMAGES = Path(__file__).parent / "images"
APPLICATION_URL = "https://app.example.com/o/acme/"
VERSIONS = {"7.6": "7.19", "8.19": "7.20", "10.2": "10.1"}
"""A version of each dialog, and the name of its picture."""


def take(page: Page, name: str, height: int) -> None:
    """Save the upper part of *page*, with this *height* in pixels."""
    page.screenshot(path=IMAGES / f"{name}.png", clip={"x": 0, "y": 0, "width": 640, "height": height}, full_page=True)


def log_in_as_admin(page: Page, address: str) -> None:
    """Open the page with the application links."""
    page.goto(address)
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("admin")
    page.get_by_role("button", name="Log in").click()


def take_dialogs(page: Page) -> None:
    """Take the dialog that makes a link, for each generation, and the form that takes the public key."""
    for version, name in VERSIONS.items():
        page.context.clear_cookies()
        with Sandbox(context="/bitbucket", version=version) as sandbox:
            log_in_as_admin(page, f"{sandbox.url}/plugins/servlet/applinks/listApplicationLinks")
            if name == "7.19":
                page.get_by_label("Application URL").fill(APPLICATION_URL)
                take(page, "dialogs/7.19", 400)
                page.get_by_role("button", name="Create new link").click()
                take(page, "dialogs/7.19-no-response", 460)
                continue
            page.get_by_role("link", name="Create link").click()
            page.get_by_label("Application URL").fill(APPLICATION_URL)
            take(page, f"dialogs/{name}", 780)
    with Sandbox(context="/bitbucket") as sandbox:
        page.context.clear_cookies()
        public_key = PrivateKey.generate().public.pem
        sandbox.link(name="Acme", application_url=APPLICATION_URL, consumer_key="acme", public_key=public_key)
        log_in_as_admin(page, f"{sandbox.url}/plugins/servlet/applinks/listApplicationLinks")
        page.get_by_role("link", name="Edit Acme", exact=True).click()
        take(page, "dialogs/incoming-authentication", 900)


def take_login_page(page: Page) -> None:
    """Take the login page of the demo's organization."""
    with tempfile.TemporaryDirectory() as folder, Sandbox(context="/bitbucket") as sandbox:
        app = create_app("http://127.0.0.1", Path(folder), **SETTINGS)
        prepare(app, sandbox, "http://127.0.0.1", Path(folder))
        server = create_server(app, listen="127.0.0.1:0")
        Thread(target=server.run, daemon=True).start()
        page.goto(f"http://127.0.0.1:{server.effective_port}/o/acme/login")
        take(page, "login-page", 690)
        server.close()


def main() -> None:
    """Take all pictures."""
    (IMAGES / "dialogs").mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 640, "height": 640})
        take_dialogs(page)
        take_login_page(page)
        browser.close()


if __name__ == "__main__":
    main()
