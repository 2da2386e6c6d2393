"""*Test connection* in a real browser."""

import re

import pytest

from tests.browser.test_story import Worksheet, add_integration, create_organization

pytestmark = pytest.mark.browser


@pytest.fixture
def integration(page, demo_url, make_sandbox):
    sandbox = make_sandbox(context="/bitbucket")
    create_organization(page, demo_url)
    add_integration(page, sandbox.url)
    return sandbox


def link(page, sandbox):
    worksheet = Worksheet(page)
    sandbox.link(consumer_key=worksheet["Consumer Key"], public_key=worksheet["Public Key"])


def run_test(page):
    page.get_by_role("button", name="Test connection").click()
    page.get_by_role("button", name="Test again").wait_for()
    return page.locator(".stages").inner_text()


def test_before_the_values_were_pasted_it_says_what_is_missing(page, integration):
    shown = run_test(page)
    assert "Bitbucket does not know the consumer key." in shown
    assert "your Bitbucket admin" in shown


def test_everything_passes_when_the_values_were_pasted(page, integration):
    link(page, integration)
    shown = run_test(page)
    assert len(re.findall(r"\bpassed\b", shown)) == 8
    assert "Bitbucket 8.19.0" in shown


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"interception": "page"}, "Something else than Bitbucket's OAuth answered."),
        ({"interception": "redirect"}, "The Bitbucket Server answered with a redirect."),
        ({"rate_limited": True}, "The Bitbucket Server limits our requests."),
        ({"server_error": True}, "The Bitbucket Server reported an error of its own."),
        ({"clock_skew": 900}, "The clocks differ too much."),
        ({"seen_scheme": "https"}, "The server sees https:// instead of http://"),
        ({"seen_host": "internal.example"}, "The server sees the host internal.example"),
        ({"seen_port": 1234}, "The server sees port 1234"),
        ({"seen_context_twice": True}, "The server sees the context path twice"),
    ],
)
def test_each_fault_is_found_by_its_right_name(page, integration, faults, words):
    link(page, integration)
    integration.faults.update(faults)
    assert words in run_test(page)


def test_the_page_fits_a_telephone(page, integration):
    page.set_viewport_size({"width": 390, "height": 844})
    link(page, integration)
    integration.faults.seen_host = "internal.example"
    run_test(page)
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
