"""A new key pair under a new consumer key: a new application link beside the old one, which is removed later."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.sandbox import Link, Sandbox
from social_bitbucket_server.sqlalchemy.organizations import clock
from tests.capabilities import capability
from tests.flask_app import database
from tests.flask_app.models import models
from tests.flow.site import Site, log_in, on_every_database
from tests.visitor import Page, Visitor


@pytest.fixture
def owner(site: Site, acme: str) -> Visitor:
    """The owner of acme, whose integration has a key pair that waits for a new link."""
    owner = site.visitor()
    owner.log_owner_in("acme")
    answer = owner.post(f"{acme}/key-pair", f"{acme}/key-pair", link="new")
    assert answer.status == 303
    return owner


@pytest.fixture
def old_link(sandbox: Sandbox, acme: str) -> Link:
    (link,) = sandbox.links.all()
    return link


def make_new_link(sandbox: Sandbox, page: Page) -> Link:
    """Make the link from the first worksheet of the page, as the Bitbucket admin does."""
    return sandbox.link(
        name=page.value_of("Application Name"),
        application_url=page.value_of("Application URL"),
        consumer_key=page.value_of("Consumer Key"),
        public_key=page.value_of("Public Key"),
    )


def verify(owner: Visitor, acme: str) -> Page:
    return owner.post(f"{acme}/key-pair/verify", f"{acme}/key-pair")


def states(site: Site) -> list[str]:
    return sorted(state for (state,) in site.rows(models.key_pair.stored_state))


def consumer_keys_since(sandbox: Sandbox, since: int) -> list[str]:
    asked = [record for record in list(sandbox.requests)[since:] if record.path.endswith("/request-token")]
    return [record.oauth_parameters["oauth_consumer_key"] for record in asked]


@capability("new link")
@on_every_database
def test_the_new_link_is_made_verified_and_used_and_the_old_one_removed(
    site: Site, sandbox: Sandbox, acme: str, old_link: Link, owner: Visitor
) -> None:
    page = owner.key_pair(acme)
    assert page.value_of("Consumer Key") != old_link.consumer.key
    assert log_in(site.visitor(), acme, sandbox).status == 303

    refused = verify(owner, acme)
    assert refused.status == 422
    assert "Bitbucket does not have the new link yet." in refused.words
    assert states(site) == ["active", "pending"]

    new_link = make_new_link(sandbox, page)
    assert owner.get(new_link.application_url.removeprefix(site.origin)).status == 200
    assert log_in(site.visitor(), acme, sandbox).status == 303
    assert verify(owner, acme).status == 303
    assert states(site) == ["active", "replaced"]
    page = owner.key_pair(acme)
    assert "the old link can be removed" in page.words
    for words in (old_link.name, old_link.application_url, old_link.consumer.key):
        assert words in page.words
    since = len(sandbox.requests)
    assert log_in(site.visitor(), acme, sandbox).status == 303
    assert consumer_keys_since(sandbox, since) == [new_link.consumer.key]

    sandbox.links.remove(old_link.id)
    assert owner.post(f"{acme}/key-pair/old-link-removed", f"{acme}/key-pair").status == 303
    assert site.rows(models.key_pair.stored_state, models.key_pair.sealed_private_key.is_(None)) == [
        ("active", False),
        ("retired", True),
    ]
    assert old_link.consumer.key not in owner.key_pair(acme).words
    assert log_in(site.visitor(), acme, sandbox).status == 303
    events = [event for (event,) in site.rows(models.event.event)]
    for event in ("consumer_key.created", "consumer_key.replaced", "key.promoted", "key.retired"):
        assert events.count(event) == 1, event


@pytest.mark.parametrize("refusal", ["consumer_key_unknown", "signature_invalid"])
def test_a_login_that_is_refused_with_the_old_link_tries_the_new_one_once_and_puts_it_in_use(
    site: Site, sandbox: Sandbox, acme: str, old_link: Link, owner: Visitor, refusal: str
) -> None:
    new_link = make_new_link(sandbox, owner.key_pair(acme))
    if refusal == "consumer_key_unknown":
        sandbox.links.remove(old_link.id)
    else:
        other = replace(old_link.consumer, public_key=PrivateKey.generate().public.pem)
        sandbox.links.set_consumer(old_link.id, other)
    since = len(sandbox.requests)
    assert log_in(site.visitor(), acme, sandbox).status == 303
    assert consumer_keys_since(sandbox, since) == [old_link.consumer.key, new_link.consumer.key]
    since = len(sandbox.requests)
    assert log_in(site.visitor(), acme, sandbox).status == 303
    assert consumer_keys_since(sandbox, since) == [new_link.consumer.key]
    assert states(site) == ["active", "replaced"]


def test_a_login_that_is_refused_with_both_links_fails_and_changes_nothing(
    site: Site, sandbox: Sandbox, acme: str, old_link: Link, owner: Visitor
) -> None:
    sandbox.links.remove(old_link.id)
    since = len(sandbox.requests)
    assert site.visitor().begin(acme).status == 503
    assert len(consumer_keys_since(sandbox, since)) == 2
    assert states(site) == ["active", "pending"]


def test_a_login_under_way_while_the_new_link_is_put_in_use_is_finished_with_the_old_one(
    site: Site, sandbox: Sandbox, acme: str, old_link: Link, owner: Visitor
) -> None:
    jane = site.visitor()
    answer = sandbox.authorize(jane.begin(acme).location)
    make_new_link(sandbox, owner.key_pair(acme))
    assert verify(owner, acme).status == 303
    assert jane.get(answer).status == 303
    exchanged = sandbox.requests.to("/access-token")[-1]
    assert exchanged.oauth_parameters["oauth_consumer_key"] == old_link.consumer.key


def test_a_login_under_way_ends_with_its_link_and_is_exchanged_through_no_other(
    site: Site, sandbox: Sandbox, acme: str, old_link: Link, owner: Visitor
) -> None:
    jane = site.visitor()
    answer = sandbox.authorize(jane.begin(acme).location)
    make_new_link(sandbox, owner.key_pair(acme))
    sandbox.links.remove(old_link.id)
    assert jane.get(answer).status == 502
    (exchanged,) = sandbox.requests.to("/access-token")
    assert exchanged.oauth_parameters["oauth_consumer_key"] == old_link.consumer.key
    assert log_in(jane, acme, sandbox).status == 303


def test_the_old_private_key_is_erased_when_no_login_can_be_under_way_any_more(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_new_link(sandbox, owner.key_pair(acme))
    verify(owner, acme)
    kept = [("active", False), ("replaced", False)]
    assert site.rows(models.key_pair.stored_state, models.key_pair.sealed_private_key.is_(None)) == kept
    now = clock.now()
    for later, is_erased in ((timedelta(minutes=9), False), (timedelta(minutes=11), True)):
        monkeypatch.setattr(clock, "now", lambda later=later: now + later)
        with site.app.app_context():
            store.pruning.forget()
        assert site.rows(models.key_pair.sealed_private_key.is_(None)) == sorted([(False,), (is_erased,)])
    monkeypatch.undo()
    assert log_in(site.visitor(), acme, sandbox).status == 303


def test_the_old_link_can_be_kept_and_the_new_consumer_key_is_never_given_again(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor
) -> None:
    given_up = owner.key_pair(acme).value_of("Consumer Key")
    assert owner.post(f"{acme}/key-pair/give_up", f"{acme}/key-pair").status == 303
    assert states(site) == ["active", "retired"]
    assert log_in(site.visitor(), acme, sandbox).status == 303
    owner.post(f"{acme}/key-pair", f"{acme}/key-pair", link="new")
    page = owner.key_pair(acme)
    assert page.value_of("Consumer Key") != given_up
    assert page.value_of("Application URL").endswith("/o/acme/i/1/3/")
    assert page.value_of("Application Name").endswith("(Acme, link 3)")
    assert len(site.rows(models.application_link.consumer_key)) == 3


def test_an_old_link_that_bitbucket_does_not_know_any_more_is_not_kept(
    site: Site, sandbox: Sandbox, acme: str, old_link: Link, owner: Visitor
) -> None:
    make_new_link(sandbox, owner.key_pair(acme))
    sandbox.links.remove(old_link.id)
    answer = owner.post(f"{acme}/key-pair/give_up", f"{acme}/key-pair")
    assert answer.status == 422
    assert "The old key pair cannot be kept." in answer.words
    assert "Make the old link again, or verify the new one." in answer.words
    assert states(site) == ["active", "pending"]


def test_an_old_key_pair_is_kept_in_the_same_link(site: Site, sandbox: Sandbox, acme: str, owner: Visitor) -> None:
    owner.post(f"{acme}/key-pair", f"{acme}/key-pair", link="same")
    assert owner.key_pair(acme).value_of("Public Key")
    assert owner.post(f"{acme}/key-pair/give_up", f"{acme}/key-pair").status == 303
    assert states(site) == ["active", "retired", "retired"]
    assert owner.post(f"{acme}/key-pair/give_up", f"{acme}/key-pair").status == 303
    assert log_in(site.visitor(), acme, sandbox).status == 303


def test_there_is_no_third_link_before_the_old_one_is_removed(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor
) -> None:
    new_link = make_new_link(sandbox, owner.key_pair(acme))
    verify(owner, acme)
    owner.post(f"{acme}/key-pair", f"{acme}/key-pair", link="new")
    assert "An old application link waits for its removal." in owner.key_pair(acme).words
    assert states(site) == ["active", "replaced"]
    owner.post(f"{acme}/key-pair", f"{acme}/key-pair")
    sandbox.links.set_consumer(
        new_link.id, replace(new_link.consumer, public_key=owner.key_pair(acme).value_of("Public Key"))
    )
    assert verify(owner, acme).status == 303
    assert states(site) == ["active", "replaced", "retired"]
    assert log_in(site.visitor(), acme, sandbox).status == 303


def test_the_worksheet_and_the_script_of_the_new_link_are_for_the_bitbucket_admin(
    site: Site, sandbox: Sandbox, acme: str, old_link: Link, owner: Visitor
) -> None:
    new = owner.key_pair(acme).value_of("Consumer Key")
    for address in (f"{acme}/worksheet.txt?new=1", f"{acme}/link.sh?new=1"):
        page = owner.get(address)
        assert new in page.text
        assert old_link.consumer.key not in page.text
    assert old_link.consumer.key in owner.get(f"{acme}/worksheet.txt").text
    owner.post(f"{acme}/key-pair/give_up", f"{acme}/key-pair")
    for address in (f"{acme}/worksheet.txt?new=1", f"{acme}/link.sh?new=1"):
        assert owner.get(address).status == 404


def test_another_server_does_not_get_the_old_links_logins(
    site: Site, sandbox: Sandbox, acme: str, owner: Visitor
) -> None:
    log_in(site.visitor(), acme, sandbox)
    make_new_link(sandbox, owner.key_pair(acme))
    verify(owner, acme)
    with Sandbox() as another:
        fields = {"name": "Bitbucket", "base_url": another.url}
        answer = owner.post(f"{acme}/edit", server="another", **fields)
        assert answer.status == 303
    assert states(site) == ["active", "retired"]


@capability("new link")
def test_the_operator_prepares_a_new_link_by_command(site: Site, sandbox: Sandbox, acme: str) -> None:
    command = ["bitbucket-server", "rotate", acme.rpartition("/")[2], "--new-consumer-key"]
    result = site.app.test_cli_runner().invoke(args=command)
    assert result.exit_code == 0, result.output
    with site.app.app_context():
        (old, new) = database.session.query(models.application_link).order_by(models.application_link.number)
        assert f"Consumer Key = {new.consumer_key}" in result.output
        assert old.consumer_key not in result.output
    assert f"Application URL = {site.origin}/o/acme/i/1/2/" in result.output
    assert log_in(site.visitor(), acme, sandbox).status == 303
