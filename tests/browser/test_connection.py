"""*Test connection* in a real browser: what it shows besides words, and where its advice leads.

``tests/flow/test_wrong_bitbuckets.py`` has the words of everything that can be wrong.
"""

import re
import threading
from contextlib import ExitStack

import pytest

from tests.browser.acts import Worksheet, log_into_sandbox, run_test
from tests.browser.waiting import expect
from tests.flow.site import log_in
from tests.raw_server import answer
from tests.wrong_bitbuckets import HERE, Bench

pytestmark = pytest.mark.browser


@pytest.fixture
def bench(monkeypatch):
    with ExitStack() as stack:
        yield Bench(stack, monkeypatch)


def test_each_stage_is_shown_while_the_next_one_still_waits(owners_page, site, owner, bench):
    is_shown = threading.Event()

    def answer_when_it_is_shown(peer):
        while peer.read():
            is_shown.wait(60)
            peer.send(answer(b"no", "404 Not Found", "Content-Type: text/plain"))

    owners_page.goto(site.origin + owner.add_integration("acme", bench.plain(answer_when_it_is_shown).url) + "/test")
    owners_page.get_by_role("button", name="Test connection").press("Enter")
    stages, again = owners_page.locator(".stages"), owners_page.get_by_role("button", name="Test again")
    try:
        expect(stages.get_by_text("None: the base URL begins with http://")).to_be_visible()
        expect(stages.get_by_role("listitem")).to_have_count(4)
        expect(again).to_have_count(0)
    finally:
        is_shown.set()
    expect(again).to_be_visible()
    expect(stages.locator(".failed")).to_contain_text("Something else than Bitbucket answers at the base URL.")


def test_the_certificate_that_is_offered_is_copied_and_mends_it(owners_page, site, owner, bench):
    page = owners_page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    integration = owner.add_integration("acme", bench.tls(bench.company.create_child_ca().issue_cert(HERE)).url)
    page.goto(f"{site.origin}{integration}/test")
    assert "was issued by a CA that is not trusted here" in run_test(page)
    expect(page.locator(".stages dl:has(.finger) dt")).to_have_text(["Certificate", "Issuer"])
    page.get_by_role("button", name="Copy The certificate that would mend it").click()
    page.locator("#announcer").get_by_text("Copied").wait_for(state="attached")
    offered = page.evaluate("navigator.clipboard.readText()")
    assert offered == page.locator("#offered-ca").text_content()
    page.goto(f"{site.origin}{integration}/edit")
    page.get_by_text("Private CA, client certificate").click()
    page.get_by_label("CA certificate").fill(offered)
    page.get_by_role("button", name="Save").click()
    page.goto(f"{site.origin}{integration}/test")
    assert "and the certificate is trusted" in run_test(page)


def test_a_better_base_url_is_entered_where_the_test_leads_and_then_everything_passes(
    owners_page, site, owner, sandbox
):
    page = owners_page
    integration = owner.add_integration("acme", sandbox.url.removesuffix("/bitbucket"))
    worksheet = owner.worksheet(integration)
    sandbox.link(consumer_key=worksheet.value_of("Consumer Key"), public_key=worksheet.value_of("Public Key"))
    page.goto(f"{site.origin}{integration}/test")
    assert "Bitbucket is below another address." in run_test(page)
    better = Worksheet(page, ".stages .failed")["Enter"]
    assert better == sandbox.url
    page.locator(".stages .failed").get_by_role("link", name="Server").click()
    page.get_by_label("Base URL").fill(better)
    page.get_by_role("button", name="Save").click()
    page.goto(f"{site.origin}{integration}/test")
    shown = run_test(page)
    assert len(re.findall(r"\bpassed\b", shown)) == 7
    assert "Bitbucket 10.2.0" in shown


def test_the_owner_finds_the_number_that_a_person_was_told(owners_page, site, acme, sandbox):
    log_in(site.visitor(), acme, sandbox)
    sandbox.faults.server_error = True
    number = re.search(r"\b[0-9A-F]{8}\b", site.visitor().begin(acme).words)[0]
    owners_page.goto(f"{site.origin}/o/acme/settings/events")
    owners_page.get_by_label("Reference number").fill(number)
    owners_page.get_by_role("button", name="Show").click()
    failed = owners_page.get_by_role("row").filter(has_text="Login failed")
    expect(failed).to_have_count(1)
    expect(failed).to_contain_text("The Bitbucket Server reported an error of its own")
    failed.get_by_role("link", name=number).click()
    expect(owners_page.get_by_role("main")).to_contain_text("Who can mend it")


def test_a_trial_login_that_was_declined_is_tried_again_and_leaves_the_owner_logged_in(owners_page, site, acme):
    page = owners_page
    page.goto(f"{site.origin}{acme}/test")
    run_test(page)
    page.get_by_role("button", name="Try a login").click()
    log_into_sandbox(page, "jane")
    page.get_by_role("button", name="Deny").click()
    page.get_by_role("heading", name="Trial login", exact=True).wait_for()
    expect(page.locator(".stages .failed")).to_contain_text("Access was declined in Bitbucket")
    page.get_by_role("button", name="Test the connection again").wait_for()
    page.get_by_role("button", name="Try the login again").click()
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("Bitbucket says that you are Jane Doe.").wait_for()
    expect(page.locator(".stages .passed")).to_contain_text("Username jane")
    page.get_by_role("link", name="People").click()
    expect(page.get_by_role("heading", name="People")).to_be_visible()
    expect(page.get_by_role("main")).not_to_contain_text("Jane Doe")
