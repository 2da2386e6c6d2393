"""A real browser, and the tests' application with a sandbox beside it.

What a test is not about is done without the browser: visitors do it within this process.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waitress import create_server
from waitress.wasyncore import close_all

from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sandbox.oauth2 import rules as oauth2
from tests.flask_app import create_app
from tests.flow.site import Site, connect
from tests.visitor import SESSION, Visitor

# Without these Chromium looks for its maker's servers, which are none of a test's business.
QUIET = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"]

# One process shows all pages: each further one takes longer to begin than most pages take.
FRUGAL = ["--renderer-process-limit=1", "--disable-site-isolation-trials"]

SECONDS = 120
"""How long a page may take on a busy machine."""


@pytest.fixture(scope="session")
def started_chromium() -> Iterator[tuple[Any, asyncio.AbstractEventLoop]]:
    """Start Chromium once for this process. The second value is Playwright's event loop."""
    playwright = pytest.importorskip("playwright.sync_api")
    executable = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    playwright.expect.set_options(timeout=SECONDS * 1000)
    with playwright.sync_playwright() as started:
        browser = (
            started.chromium.launch(
                executable_path=executable, args=["--no-sandbox", *QUIET, *FRUGAL], timeout=SECONDS * 1000
            )
            if executable
            else None
        )
        loop = asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(playwright.Locator, "click", _click_until_loaded(playwright.Locator.click))
            patched.setattr(playwright.Browser, "new_context", _with_patience(playwright.Browser.new_context))
            asyncio._set_running_loop(None)
            yield browser, loop
            asyncio._set_running_loop(loop)
        if browser:
            browser.close()


@pytest.fixture
def chromium(started_chromium) -> Iterator[Any]:
    """Return the browser. Playwright marks its event loop as the one that runs in this thread, and leaves it so between
    its calls. Other tests run loops of their own, so the mark lasts for one test."""
    browser, loop = started_chromium
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)


def _click_until_loaded(click: Callable[..., None]) -> Callable[..., None]:
    """Playwright's own is over when the next page begins to come, before its forms and images are there."""

    def click_until_loaded(locator: Any, **options: Any) -> None:
        click(locator, **options)
        locator.page.wait_for_load_state()

    return click_until_loaded


def _with_patience(new_context: Callable[..., Any]) -> Callable[..., Any]:
    def with_patience(browser: Any, **options: Any) -> Any:
        context = new_context(browser, **options)
        context.set_default_timeout(SECONDS * 1000)
        return context

    return with_patience


@pytest.fixture(autouse=True)
def slow_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code of OAuth 2 lives for ten seconds, which a busy machine may need to follow a redirect."""
    monkeypatch.setattr(oauth2, "CODE_LIFETIME", SECONDS)


@pytest.fixture
def open_browser(chromium, must_be_there) -> Iterator[Callable[..., Any]]:
    """Return what opens a page in a new, empty browser, or in one that is logged in as a *visitor* is.

    Errors of scripts and of the pages' security policy fail the test.
    """
    must_be_there(chromium is not None, "Chromium")
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_browser(visitor: Visitor | None = None) -> Any:
        context = chromium.new_context()
        contexts.append(context)
        if visitor is not None:
            session = {"name": SESSION, "value": visitor.transport.session_cookie, "url": visitor.transport.origin}
            context.add_cookies([{**session, "httpOnly": True, "sameSite": "Lax"}])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        return page

    yield open_browser
    for context in contexts:
        context.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []


@pytest.fixture
def page(open_browser) -> Any:
    """A page in a new, empty browser."""
    return open_browser()


@pytest.fixture
def owners_page(open_browser, owner: Visitor) -> Any:
    """A page in the browser of acme's owner, who is logged in."""
    return open_browser(owner)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The tests' application, empty, on a port of its own."""
    sockets: dict[int, Any] = {}

    class LateApplication:
        """The port is known before the application is made with it."""

        app: Any = None

        def __call__(self, environ: Any, start_response: Any) -> Any:
            return self.app(environ, start_response)

    late = LateApplication()
    server = create_server(late, map=sockets, host="127.0.0.1", port=0, threads=8)
    url = f"http://127.0.0.1:{server.effective_port}"
    late.app = create_app(
        {
            "PUBLIC_BASE_URL": url,
            "OUTBOUND_MODE": "test",
            "INSTANCE_PATH": str(tmp_path / "instance"),
            "DATABASE_URL": f"sqlite:///{tmp_path / 'application.sqlite'}",
        }
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield Site(late.app, url)
    server.task_dispatcher.shutdown()
    # Closed in the loop, the trigger might be gone while it is still being pulled.
    left: dict[int, Any] = {}
    server.trigger.pull_trigger(lambda: (left.update(sockets), sockets.clear()))
    thread.join()
    close_all(left)
    late.app.extensions["engine"].dispose()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(context="/bitbucket") as sandbox:
        yield sandbox


@pytest.fixture
def other_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def owner(site: Site) -> Visitor:
    """The owner of acme, logged in."""
    owner = site.visitor()
    owner.create_organization("acme")
    return owner


@pytest.fixture
def acme(owner: Visitor, sandbox: Sandbox) -> str:
    """The path of the page of acme's integration, which is connected to the sandbox."""
    return connect(owner, "acme", sandbox)
