"""*Test connection* in a real browser."""

import re
from contextlib import ExitStack

import pytest

from tests.browser.test_story import Worksheet, add_integration, create_organization, log_into_sandbox
from tests.browser.waiting import expect
from tests.wrong_bitbuckets import EVERYTHING, Bench

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


@pytest.fixture
def bench(monkeypatch):
    with ExitStack() as stack:
        yield Bench(stack, monkeypatch)


@pytest.mark.parametrize("wrong", EVERYTHING, ids=lambda wrong: wrong.what)
def test_each_thing_that_is_wrong_is_found_by_its_right_name(page, demo_url, bench, wrong):
    place = wrong.arrange(bench)
    create_organization(page, demo_url)
    add_integration(page, place.url, ca_certificates=place.ca_certificates)
    worksheet = Worksheet(page)
    place.paste(worksheet["Consumer Key"], worksheet["Public Key"])
    run_test(page)
    failed = page.locator(".stages > .failed").first.inner_text()
    assert failed.startswith(wrong.stage)
    assert wrong.sentence in failed
    assert "What to do:" in failed


def test_the_page_fits_a_telephone(page, integration):
    page.set_viewport_size({"width": 390, "height": 844})
    link(page, integration)
    integration.faults.seen_host = "internal.example"
    run_test(page)
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0


def state_of(page):
    page.goto(re.sub("/(test|trial)$", "", page.url))
    return page.locator(".heading-line .status").inner_text()


def test_the_state_follows_what_happens_and_the_owner_finds_the_persons_number(page, chromium, integration):
    states = [state_of(page)]
    link(page, integration)
    run_test(page)
    states.append(state_of(page))
    login_link = page.get_by_label("Login link").input_value()
    jane = chromium.new_context().new_page()

    def log_in():
        jane.goto(login_link)
        jane.get_by_role("button", name="Log in with").click()

    log_in()
    log_into_sandbox(jane, "jane")
    jane.get_by_role("button", name="Allow").click()
    jane.get_by_text("You are logged in to").wait_for()
    states.append(state_of(page))
    integration.faults.server_error = True
    jane.context.clear_cookies()
    log_in()
    expect(jane.get_by_role("main")).to_contain_text(re.compile(r"\b[0-9A-F]{8}\b"))
    number = re.search(r"\b[0-9A-F]{8}\b", jane.get_by_role("main").inner_text())[0]
    states.append(state_of(page))
    attempts = page.locator("#attempts")
    attempts.get_by_label("Reference number").fill(number)
    attempts.get_by_role("button", name="Find").click()
    found = page.locator("#attempts li")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("The Bitbucket Server reported an error of its own.")
    expect(found).to_contain_text("What to do:")
    integration.faults.server_error = False
    run_test(page)
    states.append(state_of(page))
    jane.context.close()
    assert [state.partition(" since ")[0] for state in states] == [
        "Draft",
        "Never used",
        "Working",
        "Failing",
        "Working",
    ]


def test_a_trial_login_is_the_last_stage_and_leaves_the_owner_logged_in(page, integration):
    link(page, integration)
    run_test(page)
    page.get_by_role("button", name="Try a login").click()
    log_into_sandbox(page, "jane")
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("Bitbucket says that you are Jane Doe.").wait_for()
    expect(page.locator(".stages")).to_contain_text("passed")
    page.get_by_role("link", name="People").click()
    expect(page.get_by_role("heading", name="People")).to_be_visible()
    expect(page.get_by_role("main")).not_to_contain_text("Jane Doe")


def test_a_trial_login_that_is_declined_says_so(page, integration):
    link(page, integration)
    run_test(page)
    page.get_by_role("button", name="Try a login").click()
    log_into_sandbox(page, "jane")
    page.get_by_role("button", name="Deny").click()
    page.get_by_text("Access was declined in Bitbucket.").wait_for()
    page.get_by_role("button", name="Test the connection again").wait_for()
