"""The way of a new integration: Server, Bitbucket, Test, Share the link. It can be left and continued."""

from __future__ import annotations

import re

import pytest

from social_bitbucket_server.sandbox import Sandbox
from tests.capabilities import capability
from tests.flow.site import Site, connect, log_in
from tests.visitor import Page, Visitor


@pytest.fixture
def owner(site: Site) -> Visitor:
    owner = site.visitor()
    owner.create_organization("acme")
    return owner


def steps(page: Page) -> tuple[str, list[str]]:
    """Return the present step of *page*, and the names of those that are done and linked."""
    (way,) = re.findall(r'<ol class="steps".*?</ol>', page.text, re.DOTALL)
    (present,) = re.findall(r'<li aria-current="step">.*?<span>(.*?)</span>', way)
    return present, re.findall(r'<a href="[^"]+">(.*?)</a>', way)


def test_each_step_is_ticked_when_it_is_done(site: Site, owner: Visitor, sandbox: Sandbox) -> None:
    assert steps(owner.get("/o/acme/settings/integrations/add")) == ("Server", [])
    integration = connect(owner, "acme", sandbox)
    assert steps(owner.worksheet(integration)) == ("Bitbucket", ["Server"])
    assert steps(owner.get(f"{integration}/test")) == ("Test", ["Server", "Bitbucket"])
    tested = owner.post(f"{integration}/test")
    assert "The connection works." in tested.words
    assert steps(owner.get(f"{integration}/share")) == ("Share the link", ["Server", "Bitbucket", "Test"])
    log_in(site.visitor(), integration, sandbox)
    assert 'class="steps"' not in owner.worksheet(integration).text, "the way is over"


def test_after_a_login_a_test_asks_for_no_trial_login(site: Site, owner: Visitor, sandbox: Sandbox) -> None:
    integration = connect(owner, "acme", sandbox)
    assert "Trial login : next" in owner.post(f"{integration}/test").words
    log_in(site.visitor(), integration, sandbox)
    assert "Trial login" not in owner.post(f"{integration}/test").words


def test_a_disabled_integration_is_tested_and_offers_no_trial_login(owner: Visitor, sandbox: Sandbox) -> None:
    integration = connect(owner, "acme", sandbox)
    owner.post(f"{integration}/disable")
    tested = owner.post(f"{integration}/test").words
    assert "Trial login" not in tested
    assert "Try a login" not in tested
    assert "Enable it before you try a login." in tested


@capability("condition")
def test_a_set_up_is_continued_at_its_step(site: Site, owner: Visitor, sandbox: Sandbox) -> None:
    integration = owner.add_integration("acme", sandbox.url)
    way_on = f"{integration}/continue"
    assert way_on in owner.get("/o/acme/settings/integrations").text
    assert owner.get(way_on).location == f"{integration}/bitbucket"
    assert "Bitbucket does not know the consumer key." in owner.post(f"{integration}/test").words
    assert owner.get(way_on).location == f"{integration}/test"
    page = owner.worksheet(integration)
    sandbox.link(consumer_key=page.value_of("Consumer Key"), public_key=page.value_of("Public Key"))
    owner.post(f"{integration}/test")
    assert owner.get(way_on).location == f"{integration}/share"
    log_in(site.visitor(), integration, sandbox)
    assert owner.get(way_on).location == integration


def test_the_login_link_comes_after_the_test(site: Site, owner: Visitor, sandbox: Sandbox) -> None:
    integration = connect(owner, "acme", sandbox)
    login_link = f"{site.origin}/o/acme/login"
    for path in (integration, f"{integration}/bitbucket", f"{integration}/test", "/o/acme/settings/integrations"):
        assert login_link not in owner.get(path).text, path
    assert owner.get(f"{integration}/share").location == integration
    owner.post(f"{integration}/test")
    assert owner.get(f"{integration}/share").value_of("Login link") == login_link


def test_without_client_credentials_there_is_nothing_to_test(owner: Visitor, other_sandbox: Sandbox) -> None:
    integration = owner.add_integration("acme", other_sandbox.url, oauth_version="2")
    assert owner.get(f"{integration}/test").location == f"{integration}/bitbucket"
    page = owner.worksheet(integration)
    assert "I saved it: test the connection" not in page.words
    refused = owner.post(f"{integration}/bitbucket", client_id="", client_secret="")
    assert refused.status == 422
    assert "Copy the Client ID from Bitbucket." in refused.words
    made = other_sandbox.link_external_application(redirect_url=page.value_of("Redirect URL"))
    tested = owner.post(f"{integration}/bitbucket", client_id=made.client_id, client_secret=made.client_secret)
    assert "The connection works." in tested.words
    assert owner.get(f"{integration}/continue").location == f"{integration}/share"


@pytest.mark.parametrize(
    ("dialog", "choices", "pick"),
    [
        ("7.20", ["Atlassian product", "External application"], "Atlassian product"),
        (
            "10.1",
            ["Atlassian product via OAuth 1.0", "Atlassian product via OAuth 2.0", "External application"],
            "Atlassian product via OAuth 1.0",
        ),
    ],
)
def test_the_dialog_of_each_generation_is_shown_with_its_choice(
    owner: Visitor, sandbox: Sandbox, dialog: str, choices: list[str], pick: str
) -> None:
    integration = owner.add_integration("acme", sandbox.url)
    page = owner.get(f"{integration}/bitbucket?bitbucket={dialog}").text
    (shown,) = re.findall(r'<figure class="dialog">.*?</ul>', page, re.DOTALL)
    assert [choice.partition("<")[0] for choice in re.findall(r"<li[^>]*>(.*?)</li>", shown)] == choices
    assert re.findall(r'<li class="pick">([^<]+)<em>Choose this one</em>', shown) == [pick]


def test_the_oldest_dialog_is_an_address_field(owner: Visitor, sandbox: Sandbox) -> None:
    page = owner.get(f"{owner.add_integration('acme', sandbox.url)}/bitbucket?bitbucket=7.19")
    assert 'class="dialog"' not in page.text
    assert "Create new link" in page.words


@pytest.mark.parametrize(
    ("pasted", "base_url"),
    [
        ("/projects/WEB/repos/website/browse", ""),
        ("/bitbucket/dashboard", "/bitbucket"),
        ("/plugins/servlet/applinks/listApplicationLinks", ""),
    ],
)
def test_who_pastes_a_pages_address_is_told(owner: Visitor, pasted: str, base_url: str) -> None:
    server = "https://bitbucket.acme.example"
    add = "/o/acme/settings/integrations/add"
    page = owner.post(add, name="Bitbucket", base_url=server + pasted)
    assert page.status == 422
    assert f"This is the address of a page. Enter the part before it: {server}{base_url} " in page.words


@capability("check-up")
def test_a_failed_stage_names_the_field(owner: Visitor, sandbox: Sandbox) -> None:
    integration = owner.add_integration("acme", sandbox.url)
    assert "Field Consumer Key in the application link's Incoming Authentication" in (
        owner.post(f"{integration}/test").words
    )
    other = owner.add_integration("acme", sandbox.url.removesuffix("/bitbucket"), "Other")
    failed = owner.post(f"{other}/test").words
    assert "Field Base URL , under Server" in failed
    assert f"Enter {sandbox.url}" in failed


def test_what_was_skipped_or_is_unprotected_is_not_shown_as_passed(owner: Visitor, sandbox: Sandbox) -> None:
    page = owner.post(f"{connect(owner, 'acme', sandbox)}/test")
    outcomes = dict(re.findall(r'<li class="(\w+)"><svg.*?</svg><b>([\w ]+)<', page.text))
    assert "passed" in outcomes
    (tls,) = re.findall(r'<li class="(\w+)"><svg(?:(?!<li).)*?<b>TLS<span class="hidden">: ([\w ]+)<', page.text)
    assert tls in {("unprotected", "unprotected"), ("later", "skipped")}
