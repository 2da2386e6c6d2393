"""Set-up links: a Bitbucket admin who has one sets up and tests one integration, without an account."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from social_bitbucket_server.sandbox import Sandbox
from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.capabilities import capability
from tests.flask_app import database
from tests.flask_app.models import models
from tests.flow.site import Site, log_in, on_every_database
from tests.security.rows import row
from tests.visitor import Page, Visitor


def make(owner: Visitor, integration: str, **fields: str) -> str:
    """Make a set-up link; returns its path."""
    page = owner.post(f"{integration}/setup-link", f"{integration}/setup-link", **fields)
    assert page.status == 200, page.words
    return page.value_of("Set-up link").removeprefix(owner.transport.origin)


def revoke(owner: Visitor, integration: str) -> Page:
    return owner.post(f"{integration}/setup-link/revoke", f"{integration}/setup-link")


def later(monkeypatch: pytest.MonkeyPatch, **by: int) -> None:
    moment = clock.now() + timedelta(**by)
    monkeypatch.setattr(clock, "now", lambda: moment)


def change(site: Site, integration: str, **values: object) -> None:
    with site.app.app_context():
        record = database.session.get_one(models.integration, integration.rpartition("/")[2])
        for name, value in values.items():
            setattr(record, name, value)
        database.session.commit()


def is_over(visitor: Visitor, link: str, why: str) -> bool:
    """Whether nothing of *link* opens any more, and it says why and nothing about what it opened."""
    pages = [visitor.get(link), visitor.get(f"{link}/link.sh"), visitor.post(f"{link}/test", "/organizations/new")]
    return all(
        page.status == 410 and why in page.words and "Acme" not in page.words and "Consumer Key" not in page.words
        for page in pages
    )


@row(124)
def test_it_opens_nothing_of_another_server(
    site: Site, acme: str, owner: Visitor, sandbox: Sandbox, other_sandbox: Sandbox
) -> None:
    log_in(site.visitor(), acme, sandbox)
    link, form = make(owner, acme), {"name": "Bitbucket", "server": "another"}
    assert owner.post(f"{acme}/edit", f"{acme}/edit", base_url=other_sandbox.url, **form).status == 303
    assert is_over(site.visitor(), link, "leads to another server now")
    assert site.visitor().get(make(owner, acme)).status == 200


@row(124)
def test_it_opens_nothing_of_another_server_before_anybody_logged_in_either(
    site: Site, acme: str, owner: Visitor, other_sandbox: Sandbox
) -> None:
    link, form = make(owner, acme), {"name": "Bitbucket", "server": "another"}
    assert owner.post(f"{acme}/edit", f"{acme}/edit", base_url=other_sandbox.url, **form).status == 303
    assert is_over(site.visitor(), link, "leads to another server now")


@row(124)
def test_it_opens_nothing_after_the_set_up_is_done(site: Site, acme: str, owner: Visitor, sandbox: Sandbox) -> None:
    link = make(owner, acme)
    assert site.visitor().get(link).status == 200
    log_in(site.visitor(), acme, sandbox)
    assert is_over(site.visitor(), link, "The set-up is done")
    assert "End it now" not in owner.get(f"{acme}/setup-link").words
    waiting = wait(owner, acme, "same")
    assert site.visitor().get(waiting).status == 200
    assert site.visitor().get(link).status == 410, "a newer one took its place"


@capability("set-up link")
@on_every_database
def test_it_shows_the_worksheet_and_the_script_to_somebody_without_an_account(
    site: Site, acme: str, owner: Visitor
) -> None:
    link = make(owner, acme)
    of_the_owner, opened = owner.worksheet(acme), site.visitor().get(link)
    assert opened.status == 200
    assert "Let Acme log in with Bitbucket" in opened.words
    for label in ("Application URL", "Application Name", "Consumer Key", "Public Key"):
        assert opened.value_of(label) == of_the_owner.value_of(label)


def test_the_values_that_it_shows_let_people_log_in(site: Site, owner: Visitor, other_sandbox: Sandbox) -> None:
    integration = owner.add_integration("acme", other_sandbox.url, "Other")
    page = site.visitor().get(make(owner, integration))
    other_sandbox.link(consumer_key=page.value_of("Consumer Key"), public_key=page.value_of("Public Key"))
    jane = site.visitor()
    assert log_in(jane, integration, other_sandbox).status == 303
    assert "You are logged in" in jane.get("/o/acme/account").words


def test_it_shows_one_integration_and_nothing_else(
    site: Site, acme: str, owner: Visitor, other_sandbox: Sandbox
) -> None:
    other = owner.add_integration("acme", other_sandbox.url, "The second one")
    admin = site.visitor()
    page = admin.get(make(owner, acme))
    second = owner.worksheet(other)
    for hidden in ("The second one", other_sandbox.url, second.value_of("Consumer Key"), "owner@acme.example"):
        assert hidden not in page.text
    assert re.findall(r'(?:href|action)="(/o/[^"]*)"', page.text) == []
    for path in (acme, f"{acme}/edit", "/o/acme/settings/people", "/o/acme/settings/events", "/o/acme/account"):
        assert admin.get(path).status in {303, 404}
    for path in (f"{acme}/edit", f"{acme}/delete", f"{acme}/test", f"{acme}/setup-link", f"{acme}/try"):
        assert admin.send(path, csrf_token=page.csrf_token).status in {303, 404}
    assert owner.get(acme).status == 200, "nothing was deleted"


def test_it_is_kept_out_of_caches_and_search_engines(site: Site, acme: str, owner: Visitor) -> None:
    link = make(owner, acme)
    for page in (site.visitor().get(link), site.visitor().get(f"{link}/link.sh")):
        assert page.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert "no-store" in page.headers["Cache-Control"]
        assert page.headers["Referrer-Policy"] == "no-referrer"


def test_it_is_shown_once_and_not_kept(site: Site, acme: str, owner: Visitor) -> None:
    token = make(owner, acme).rpartition("/")[2]
    site.visitor().get(f"/setup/{token}")
    for page in (acme, f"{acme}/setup-link", f"{acme}/bitbucket"):
        assert token not in owner.get(page).text
    assert token not in owner.get("/o/acme/settings/events").text
    with site.app.app_context():
        rows = [
            vars(row) for table in (models.setup_link, models.event) for row in database.session.scalars(select(table))
        ]
    assert token not in repr(rows)


def test_the_owner_sees_that_it_was_opened(site: Site, acme: str, owner: Visitor) -> None:
    link = make(owner, acme)
    assert "Opened last Never" in owner.get(f"{acme}/setup-link").words
    admin = site.visitor()
    admin.get(link)
    admin.get(link)
    assert re.search(r"Opened last (?!Never).* from 127\.0\.0\.1", owner.get(f"{acme}/setup-link").words)
    assert owner.get("/o/acme/settings/events").words.count("A set-up link was opened") == 1


@on_every_database
@row(124)
def test_it_opens_nothing_after_it_was_revoked(site: Site, acme: str, owner: Visitor) -> None:
    link = make(owner, acme)
    assert revoke(owner, acme).status == 303
    assert is_over(site.visitor(), link, "It was ended")
    assert "End it now" not in owner.get(f"{acme}/setup-link").words
    assert revoke(owner, acme).status == 303, "once more changes nothing"


@row(124)
def test_it_expires_after_seven_days(
    site: Site, acme: str, owner: Visitor, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = make(owner, acme)
    later(monkeypatch, days=7, seconds=-1)
    assert site.visitor().get(link).status == 200
    later(monkeypatch, seconds=1)
    asked = len(sandbox.requests)
    assert is_over(site.visitor(), link, "It has expired.")
    assert len(sandbox.requests) == asked


def test_one_that_expired_long_ago_is_forgotten_when_a_new_one_is_made(
    site: Site, acme: str, owner: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make(owner, acme)
    later(monkeypatch, days=38)
    owner.log_owner_in("acme")
    make(owner, acme)
    assert site.visitor().get(old).status == 404


@on_every_database
def test_a_new_one_takes_the_place_of_the_one_before(site: Site, acme: str, owner: Visitor) -> None:
    first, second = make(owner, acme), make(owner, acme)
    assert is_over(site.visitor(), first, "a newer one took its place")
    assert site.visitor().get(second).status == 200


@on_every_database
def test_of_several_that_are_made_at_once_one_opens(site: Site, acme: str, owner: Visitor) -> None:
    token = owner.worksheet(acme).csrf_token
    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda _: owner.send(f"{acme}/setup-link", csrf_token=token), range(4)))
    links = [page.value_of("Set-up link").removeprefix(site.origin) for page in pages if page.status == 200]
    assert sorted(site.visitor().get(link).status for link in links) == [200] + [410] * (len(links) - 1)


@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 44, "..%2f" * 9, "é" * 43])
def test_what_nobody_was_given_is_a_page_that_does_not_exist(site: Site, acme: str, owner: Visitor, token: str) -> None:
    make(owner, acme)
    unknown = site.visitor().get(f"/setup/{token}")
    assert unknown.status == 404
    assert unknown.words == site.visitor().get("/nothing/at/all").words
    assert site.visitor().get(f"/setup/{token}/link.sh").status == 404


def test_it_does_not_open_a_disabled_integration_and_opens_it_when_it_is_enabled_again(
    site: Site, acme: str, owner: Visitor
) -> None:
    link = make(owner, acme)
    change(site, acme, disabled_at=clock.now())
    assert site.visitor().get(link).status == 404
    refused = owner.post(f"{acme}/setup-link", f"{acme}/setup-link")
    assert refused.status == 303
    assert "would open nothing" in owner.get(f"{acme}/setup-link").words
    change(site, acme, disabled_at=None)
    assert site.visitor().get(link).status == 200


@row(124)
def test_it_says_that_its_integration_was_deleted_and_forgets_it_after_a_while(
    site: Site, acme: str, owner: Visitor, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    link = make(owner, acme)
    owner.post(f"{acme}/delete", f"{acme}/delete", name="Bitbucket")
    assert is_over(site.visitor(), link, "was deleted")
    later(monkeypatch, days=31)
    owner.log_owner_in("acme")
    another = owner.add_integration("acme", sandbox.url, "Another")
    owner.post(f"{another}/delete", f"{another}/delete", name="Another")
    assert site.visitor().get(link).status == 404


def test_it_tests_the_connection_and_says_what_the_bitbucket_admin_has_to_do(
    site: Site, owner: Visitor, other_sandbox: Sandbox
) -> None:
    integration = owner.add_integration("acme", other_sandbox.url, "Other")
    link = make(owner, integration)
    admin = site.visitor()
    failed = admin.post(f"{link}/test", link)
    assert "Bitbucket does not know the consumer key." in failed.words
    assert "Your part is done" not in failed.words
    page = admin.get(link)
    other_sandbox.link(consumer_key=page.value_of("Consumer Key"), public_key=page.value_of("Public Key"))
    passed = admin.post(f"{link}/test", link)
    assert passed.text.count('class="passed"') == 7
    assert "your part is done" in passed.words
    for shown in (failed, passed):
        assert re.findall(r'(?:href|action)="(/o/[^"]*)"', shown.text) == []
    assert "The connection works. Nobody has logged in yet." in owner.get(integration).words


def test_it_does_not_lead_to_the_edit_page_where_the_base_url_is_wrong(
    site: Site, owner: Visitor, sandbox: Sandbox
) -> None:
    integration = owner.add_integration("acme", sandbox.url.removesuffix("/bitbucket"), "Other")
    link = make(owner, integration)
    shown = site.visitor().post(f"{link}/test", link)
    assert f"The base URL is {sandbox.url}" in shown.words
    assert "under Server" not in shown.words


def test_a_test_wants_the_pages_own_form(site: Site, acme: str, owner: Visitor, sandbox: Sandbox) -> None:
    link = make(owner, acme)
    admin = site.visitor()
    admin.get(link)
    asked = len(sandbox.requests)
    assert admin.send(f"{link}/test", csrf_token="x").status == 400
    assert admin.get(f"{link}/test").status == 405
    assert len(sandbox.requests) == asked


def test_the_owner_alone_makes_and_revokes(site: Site, acme: str, owner: Visitor, sandbox: Sandbox) -> None:
    member, stranger, anybody = site.visitor(), site.visitor(), site.visitor()
    member.get(log_in(member, acme, sandbox).location)
    link = make(owner, acme)
    stranger.create_organization("globex")
    for visitor, form_page in (
        (member, "/o/acme/account"),
        (stranger, "/o/globex/settings/integrations/add"),
        (anybody, "/organizations/new"),
    ):
        for path in (f"{acme}/setup-link", f"{acme}/setup-link/revoke"):
            assert visitor.post(path, form_page).status in {303, 404}
        assert visitor.get(f"{acme}/link.sh").status in {303, 404}
    assert site.visitor().get(link).status == 200, "still the one that the owner made"


@capability("link script")
def test_the_script_is_a_file_and_the_owner_has_the_same(site: Site, acme: str, owner: Visitor) -> None:
    link = make(owner, acme)
    script = site.visitor().get(f"{link}/link.sh")
    assert script.text.startswith("#!/bin/sh\n")
    assert script.text == owner.get(f"{acme}/link.sh").text
    assert script.headers["Content-Disposition"] == 'attachment; filename="link.sh"'
    assert script.headers["Content-Type"] == "text/plain; charset=utf-8"


@capability("rate limits")
def test_opening_and_guessing_have_a_limit(site: Site, acme: str, owner: Visitor) -> None:
    link = make(owner, acme)
    admin = site.visitor()
    statuses = [admin.get(f"/setup/{'A' * 43}").status for _ in range(29)]
    assert set(statuses) == {404}
    assert admin.get(link).status == 200
    refused = admin.get(link)
    assert refused.status == 429
    assert "Too many set-up links were opened from your network" in refused.words
    assert int(refused.headers["Retry-After"]) > 0


def test_tests_and_new_links_have_a_limit(site: Site, acme: str, owner: Visitor) -> None:
    link = make(owner, acme)
    for _ in range(19):
        link = make(owner, acme)
    assert owner.post(f"{acme}/setup-link", f"{acme}/setup-link").status == 429
    admin = site.visitor()
    token = admin.get(link).csrf_token
    statuses = [admin.send(f"{link}/test", csrf_token=token).status for _ in range(11)]
    assert statuses == [200] * 10 + [429]


# While a new key pair waits


def wait(owner: Visitor, integration: str, link: str) -> str:
    """Let a key pair wait, for the *link* that is there or a new one; returns the path of a set-up link."""
    setup_link = make(owner, integration)
    assert owner.post(f"{integration}/key-pair", f"{integration}/key-pair", link=link).status == 303
    return setup_link


def test_it_shows_the_new_link_while_one_waits_and_says_that_the_old_one_stays(
    site: Site, acme: str, owner: Visitor, sandbox: Sandbox
) -> None:
    (old,) = sandbox.links.all()
    link = wait(owner, acme, "new")
    of_the_owner, opened = owner.key_pair(acme), site.visitor().get(link)
    for label in ("Application URL", "Application Name", "Consumer Key", "Public Key"):
        assert opened.value_of(label) == of_the_owner.value_of(label), "the new link's come first there"
    assert "a new application link beside the old one" in opened.words
    assert old.consumer.key not in opened.text
    assert site.visitor().get(f"{link}/link.sh").text == owner.get(f"{acme}/link.sh?new=1").text


def test_it_shows_the_new_public_key_while_one_waits(site: Site, acme: str, owner: Visitor, sandbox: Sandbox) -> None:
    (old,) = sandbox.links.all()
    link = wait(owner, acme, "same")
    opened = site.visitor().get(link)
    new = opened.value_of("Public Key")
    assert new == owner.key_pair(acme).value_of("Public Key")
    assert f"the link with the Consumer Key {old.consumer.key} ." in opened.words
    assert "Application Name" not in opened.words
    assert new.splitlines()[1] in site.visitor().get(f"{link}/link.sh").text


def test_it_advises_on_the_version_for_the_first_link_alone(site: Site, owner: Visitor, other_sandbox: Sandbox) -> None:
    integration = owner.add_integration("acme", other_sandbox.url, "Other")
    owner.post(f"{integration}/test", integration)  # so that the version is known
    advice = "OAuth 2 is the better way"
    assert advice in site.visitor().get(make(owner, integration)).words
    assert advice not in site.visitor().get(wait(owner, integration, "same")).words


@pytest.mark.parametrize("kind", ["same", "new"])
def test_it_tests_what_waits_and_leaves_logins_alone(
    site: Site, acme: str, owner: Visitor, sandbox: Sandbox, kind: str
) -> None:
    log_in(site.visitor(), acme, sandbox)
    (old,) = sandbox.links.all()
    link = wait(owner, acme, kind)
    admin = site.visitor()
    failed = admin.post(f"{link}/test", link)
    assert "your part is done" not in failed.words
    assert "Failing" not in owner.get(acme).words, "people log in as before"
    assert "Bitbucket did not accept a new key pair" in owner.get("/o/acme/settings/events").words

    page = admin.get(link)
    if kind == "new":
        sandbox.link(consumer_key=page.value_of("Consumer Key"), public_key=page.value_of("Public Key"))
    else:
        key = page.value_of("Public Key")
        sandbox.links.set_consumer(old.id, replace(old.consumer, public_key=key))
    passed = admin.post(f"{link}/test", link)
    assert passed.text.count('class="passed"') == 7
    assert f"Bitbucket accepts the new {'link' if kind == 'new' else 'public key'}" in passed.words
    assert "Acme verifies it next." in passed.words
    assert "Working" in owner.get(acme).words
    assert owner.post(f"{acme}/key-pair/verify", f"{acme}/key-pair").status == 303
    assert "Acme tries a login next" in admin.post(f"{link}/test", link).words
