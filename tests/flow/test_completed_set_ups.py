"""A Bitbucket admin completes the set-up by its link: client credentials, a corrected server, and how long it opens."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import trustme

from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sqlalchemy.organizations import IntegrationMixin, clock
from social_bitbucket_server.sqlalchemy.organizations.integrations import Integrations
from tests.capabilities import capability
from tests.flask_app.models import models
from tests.flow.site import Site, log_in
from tests.security.rows import row
from tests.visitor import Visitor


@pytest.fixture
def owner(site: Site) -> Visitor:
    owner = site.visitor()
    owner.create_organization("acme")
    return owner


def link_of(owner: Visitor, integration: str, **fields: str) -> str:
    page = owner.post(f"{integration}/setup-link", f"{integration}/setup-link", **fields)
    return page.value_of("Set-up link").removeprefix(owner.transport.origin)


@pytest.mark.parametrize(("life", "length"), [("hour", {"hours": 1}), ("day", {"days": 1}), ("week", {"days": 7})])
def test_a_link_opens_for_as_long_as_was_chosen(
    site: Site, owner: Visitor, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, life: str, length: dict[str, int]
) -> None:
    link = link_of(owner, owner.add_integration("acme", sandbox.url), life=life)
    end = clock.now() + timedelta(**length)
    monkeypatch.setattr(clock, "now", lambda: end - timedelta(minutes=1))
    assert site.visitor().get(link).status == 200
    monkeypatch.setattr(clock, "now", lambda: end + timedelta(seconds=1))
    assert site.visitor().get(link).status == 410


def test_another_length_is_refused(owner: Visitor, sandbox: Sandbox) -> None:
    integration = owner.add_integration("acme", sandbox.url)
    assert owner.post(f"{integration}/setup-link", f"{integration}/setup-link", life="year").status == 400


# Client ID and client secret


@capability("credentials by set-up link")
def test_the_bitbucket_admin_enters_the_credentials_and_people_log_in(
    site: Site, owner: Visitor, other_sandbox: Sandbox
) -> None:
    integration = owner.add_integration("acme", other_sandbox.url, oauth_version="2")
    link, admin = link_of(owner, integration), site.visitor()
    page = admin.get(link)
    assert "Enter what Bitbucket shows" in page.words
    assert "I saved it: test the connection" not in page.words, "there is nothing to test yet"
    made = other_sandbox.link_external_application(
        redirect_url=page.value_of("Redirect URL"), name=page.value_of("Name")
    )
    tested = admin.post(f"{link}/credentials", link, client_id=made.client_id, client_secret=made.client_secret)
    assert tested.status == 200
    assert "your part is done" in tested.words
    assert made.client_secret not in admin.get(link).text
    assert made.client_secret not in owner.worksheet(integration).text
    assert log_in(site.visitor(), integration, other_sandbox).location == "/o/acme/account"
    assert site.visitor().get(link).status == 410, "the set-up is done"


def test_credentials_that_cannot_be_any_are_refused_at_their_field(
    site: Site, owner: Visitor, sandbox: Sandbox
) -> None:
    link = link_of(owner, owner.add_integration("acme", sandbox.url, oauth_version="2"))
    page = site.visitor().post(f"{link}/credentials", link, client_id="two words", client_secret="s3cret")
    assert page.status == 422
    assert "it has no spaces" in page.words
    assert page.value_of("Client ID") == "two words"
    assert "s3cret" not in page.text
    assert site.rows(models.client_credentials.client_id) == []


@row(124)
def test_no_credentials_are_taken_where_people_log_in_already(
    site: Site, owner: Visitor, other_sandbox: Sandbox
) -> None:
    integration = owner.add_integration("acme", other_sandbox.url, oauth_version="2")
    link, admin = link_of(owner, integration), site.visitor()
    redirect_url = admin.get(link).value_of("Redirect URL")
    made = other_sandbox.link_external_application(redirect_url=redirect_url)
    admin.post(f"{link}/credentials", link, client_id=made.client_id, client_secret=made.client_secret)
    log_in(site.visitor(), integration, other_sandbox)
    later = link_of(owner, integration)
    assert "Enter what Bitbucket shows" not in admin.get(later).words
    refused = admin.post(f"{later}/credentials", later, client_id="other", client_secret="other")
    assert refused.status == 404
    assert site.rows(models.client_credentials.client_id) == [(made.client_id,)]


def test_oauth_1_takes_no_credentials(site: Site, owner: Visitor, sandbox: Sandbox) -> None:
    link = link_of(owner, owner.add_integration("acme", sandbox.url))
    assert site.visitor().post(f"{link}/credentials", link, client_id="a", client_secret="b").status == 404


# Base URL and CA certificate


def test_a_corrected_base_url_of_the_same_host_keeps_the_link(site: Site, owner: Visitor, sandbox: Sandbox) -> None:
    link = link_of(owner, owner.add_integration("acme", sandbox.url.removesuffix("/bitbucket")))
    admin = site.visitor()
    assert admin.post(f"{link}/server", link, base_url=sandbox.url, ca_certificates="").status == 303
    page = admin.get(link)
    assert "The correction is saved." in page.words
    assert page.value_of("Base URL") == sandbox.url
    assert site.rows(models.integration.base_url) == [(sandbox.url,)]
    sandbox.link(consumer_key=page.value_of("Consumer Key"), public_key=page.value_of("Public Key"))
    assert "your part is done" in admin.post(f"{link}/test", link).words


@row(124)
@pytest.mark.parametrize("end", ["revoke", "make"])
@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("server", {"base_url": "https://git.acme.example", "ca_certificates": ""}),
        ("credentials", {"client_id": "a", "client_secret": "b"}),
    ],
)
def test_nothing_is_saved_by_a_link_that_ends_meanwhile(
    site: Site, owner: Visitor, monkeypatch: pytest.MonkeyPatch, form: str, fields: dict[str, str], end: str
) -> None:
    url = "https://bitbucket.acme.example"
    link, admin = link_of(owner, owner.add_integration("acme", url, oauth_version="2")), site.visitor()
    admin.get(link)
    lock = Integrations.lock

    def late_lock(integrations: Integrations, record: IntegrationMixin) -> None:
        monkeypatch.setattr(Integrations, "lock", lock)
        getattr(store.setup_links, end)(record)
        lock(integrations, record)

    monkeypatch.setattr(Integrations, "lock", late_lock)
    ended = admin.post(f"{link}/{form}", "/organizations/new", **fields)
    assert (ended.status, "a newer one took its place" in ended.words) == (410, True)
    assert site.rows(models.integration.base_url) == [(url,)]
    assert site.rows(models.client_credentials.client_id) == []


@row(124)
def test_another_server_ends_the_link(site: Site, owner: Visitor, sandbox: Sandbox) -> None:
    integration = owner.add_integration("acme", "https://bitbucket.acme.example")
    link, admin = link_of(owner, integration), site.visitor()
    assert admin.post(f"{link}/server", link, base_url="https://git.acme.example", ca_certificates="").status == 303
    ended = admin.get(link)
    assert ended.status == 410
    assert "leads to another server now" in ended.words
    assert "https://git.acme.example" in owner.worksheet(integration).words
    assert ("setup_link.revoked",) in site.rows(models.event.event)


def test_a_ca_certificate_is_kept(site: Site, owner: Visitor) -> None:
    authority = trustme.CA().cert_pem.bytes().decode()
    url = "https://bitbucket.acme.example"
    link, admin = link_of(owner, owner.add_integration("acme", url)), site.visitor()
    refused = admin.post(f"{link}/server", link, base_url=url, ca_certificates="none")
    assert refused.status == 422
    assert "This cannot be used as CA certificate." in refused.words
    assert admin.post(f"{link}/server", link, base_url=url, ca_certificates=authority).status == 303
    assert site.rows(models.integration.ca_certificates)[0][0].strip() == authority.strip()


def test_a_page_s_address_is_recognized_there_too(site: Site, owner: Visitor) -> None:
    url = "https://bitbucket.acme.example"
    link = link_of(owner, owner.add_integration("acme", url))
    page = site.visitor().post(f"{link}/server", link, base_url=f"{url}/dashboard", ca_certificates="")
    assert page.status == 422
    assert f"This is the address of a page. Enter the part before it: {url}" in page.words


@row(124)
def test_nothing_is_corrected_where_people_log_in_already(
    site: Site, owner: Visitor, sandbox: Sandbox, other_sandbox: Sandbox
) -> None:
    integration = owner.add_integration("acme", sandbox.url)
    page = owner.worksheet(integration)
    sandbox.link(consumer_key=page.value_of("Consumer Key"), public_key=page.value_of("Public Key"))
    log_in(site.visitor(), integration, sandbox)
    link, admin = link_of(owner, integration), site.visitor()
    assert "Save the correction" not in admin.get(link).words
    assert admin.post(f"{link}/server", link, base_url=other_sandbox.url, ca_certificates="").status == 404
    assert site.rows(models.integration.base_url) == [(sandbox.url,)]


@row(124)
def test_both_forms_want_a_link_that_opens_and_the_pages_own_token(
    site: Site, owner: Visitor, sandbox: Sandbox
) -> None:
    integration = owner.add_integration("acme", sandbox.url, oauth_version="2")
    link, admin = link_of(owner, integration), site.visitor()
    token = admin.get(link).csrf_token
    fields = {"client_id": "a", "client_secret": "b", "base_url": sandbox.url, "ca_certificates": ""}
    for form in ("credentials", "server"):
        assert admin.send(f"{link}/{form}", csrf_token="x", **fields).status == 400
    owner.post(f"{integration}/setup-link/revoke", f"{integration}/setup-link")
    for form in ("credentials", "server"):
        assert admin.send(f"{link}/{form}", csrf_token=token, **fields).status == 410
        assert admin.send(f"/setup/{'A' * 43}/{form}", csrf_token=token, **fields).status == 404
    assert site.rows(models.client_credentials.client_id) == []


def test_the_page_says_who_asks_and_what_is_read_and_names_nobody(site: Site, owner: Visitor, sandbox: Sandbox) -> None:
    integration = owner.add_integration("acme", sandbox.url)
    words = site.visitor().get(link_of(owner, integration)).words
    assert re.search(r"Who asks Acme, on \d+ \w+ \d{4}", words)
    assert "the name and the e-mail address of each person." in words
    owner.let_in(integration, ("group", "developers"))
    page = site.visitor().get(link_of(owner, integration))
    assert "and whether they meet a condition of Acme." in page.words
    assert "developers" not in page.text
