"""A real browser, and the demo application with a sandbox beside it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from waitress import create_server
from waitress.wasyncore import close_all

from demo_app import create_app
from social_bitbucket_server.sandbox import Sandbox, oauth2

# Without these Chromium looks for its maker's servers, which are none of a test's business.
QUIET = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"]

SECONDS = 120
"""How long a page may take on a busy machine."""


# For a module and no longer: until it ends, Playwright's event loop is this thread's, and other tests need one.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    executable = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    playwright.expect.set_options(timeout=SECONDS * 1000)
    with playwright.sync_playwright() as started:
        browser = (
            started.chromium.launch(executable_path=executable, args=["--no-sandbox", *QUIET], timeout=SECONDS * 1000)
            if executable
            else None
        )
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(playwright.Locator, "click", _click_until_loaded(playwright.Locator.click))
            patched.setattr(playwright.Browser, "new_context", _with_patience(playwright.Browser.new_context))
            yield browser
        if browser:
            browser.close()


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
def page(chromium, must_be_there) -> Iterator[Any]:
    """A page in a new, empty browser. Errors of scripts and of the pages' security policy fail the test."""
    must_be_there(chromium is not None, "Chromium")
    context = chromium.new_context()
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []


@pytest.fixture
def make_sandbox() -> Iterator[Callable[..., Sandbox]]:
    started = []

    def make(**options: Any) -> Sandbox:
        sandbox = Sandbox(**options)
        sandbox.start()
        started.append(sandbox)
        return sandbox

    yield make
    for sandbox in started:
        sandbox.stop()


@pytest.fixture
def demo_url(tmp_path) -> Iterator[str]:
    """The address of the demo application, empty, as ``make demo`` starts it."""
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
            "DATABASE_URL": f"sqlite:///{tmp_path / 'demo.sqlite'}",
        }
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield url
    server.task_dispatcher.shutdown()
    # Closed in the loop, the trigger might be gone while it is still being pulled.
    left: dict[int, Any] = {}
    server.trigger.pull_trigger(lambda: (left.update(sockets), sockets.clear()))
    thread.join()
    close_all(left)
    late.app.extensions["engine"].dispose()
