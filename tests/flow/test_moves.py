"""Edits that concern people: a server that moved, another server in its place, disabling, and deleting."""

from __future__ import annotations

import pytest

from social_bitbucket_server.sandbox import Sandbox
from tests.capabilities import capability
from tests.flask_app.models import User, models
from tests.flow.site import Site, connect, log_in, on_every_database
from tests.flow.test_condition import state_of
from tests.flow.test_oauth2 import BEGIN_BY_OAUTH2, prepare_upgrade
from tests.visitor import Page, Visitor


def edit(owner: Visitor, path: str, base_url: str, **fields: str) -> Page:
    return owner.post(f"{path}/edit", **{"name": "Bitbucket", "base_url": base_url} | fields)


def link_as_before(sandbox: Sandbox, moved: Sandbox) -> None:
    """The server at its new address has the application links that it had."""
    for link in sandbox.links.all():
        assert link.consumer is not None
        moved.link(consumer_key=link.consumer.key, public_key=link.consumer.public_key)


def try_the_move(owner: Visitor, path: str, moved: Sandbox, user: str = "jane") -> Page:
    begun = owner.post(f"{path}/move/try", path)
    assert begun.location.startswith(moved.url)
    return owner.get(owner.get(moved.authorize(begun.location, user=user)).location)


def base_url(site: Site) -> object:
    ((found,),) = site.rows(models.integration.base_url)
    return found


def people_of(site: Site) -> list[tuple[object, ...]]:
    return site.rows(models.storage.user.uid, models.storage.user.user_id)


@pytest.fixture
def moving(site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, acme: str) -> str:
    """Acme's integration, through which jane logged in, while its new base URL waits for a trial login."""
    log_in(site.visitor(), acme, sandbox)
    link_as_before(sandbox, other_sandbox)
    edit(owner, acme, other_sandbox.url, server="moved")
    return acme


@capability("server that moved")
@on_every_database
def test_everybody_keeps_their_account_when_a_trial_login_showed_that_the_server_moved(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    for name in ("jane", "kim"):
        log_in(site.visitor(), acme, sandbox, name)
    before = people_of(site)
    link_as_before(sandbox, other_sandbox)

    assert edit(owner, acme, other_sandbox.url, server="moved").status == 303
    assert "waits for a trial login" in owner.get(acme).words
    assert base_url(site) == sandbox.url
    assert log_in(site.visitor(), acme, sandbox).status == 303, "until then people log in at the old address"

    assert "It is the same server." in try_the_move(owner, acme, other_sandbox).words
    assert base_url(site) == other_sandbox.url
    for name in ("jane", "kim"):
        assert log_in(site.visitor(), acme, other_sandbox, name).status == 303
    assert people_of(site) == before
    assert site.rows(models.event.event).count(("integration.moved",)) == 1


def test_a_disabled_integration_offers_no_trial_at_its_new_address(owner: Visitor, moving: str) -> None:
    offered = "Try a login at the new address"
    assert offered in owner.get(moving).words
    owner.post(f"{moving}/disable")
    assert offered not in owner.get(moving).words
    assert "Keep the old base URL" in owner.get(moving).words
    assert owner.post(f"{moving}/move/try", moving).location == moving
    assert "A disabled integration cannot be tried. Enable it first." in owner.get(moving).words


def test_somebody_who_never_logged_in_shows_nothing(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, moving: str
) -> None:
    assert "This does not show that it is the same server." in try_the_move(owner, moving, other_sandbox, "kim").words
    assert base_url(site) == sandbox.url


def test_another_person_with_the_same_number_is_another_server(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, moving: str
) -> None:
    other_sandbox.users.rename("jane", "mallory")
    page = try_the_move(owner, moving, other_sandbox, "mallory")
    assert "This does not show that it is the same server." in page.words
    assert base_url(site) == sandbox.url


def test_who_declined_at_the_new_address_can_try_again_there(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, moving: str
) -> None:
    begun = owner.post(f"{moving}/move/try", moving)
    page = owner.get(owner.get(other_sandbox.authorize(begun.location, allow=False)).location)
    assert "Access was declined in Bitbucket." in page.words
    assert f'action="{moving}/move/try"' in page.text
    assert f"form-action 'self' {other_sandbox.url};" in page.headers["Content-Security-Policy"]
    assert base_url(site) == sandbox.url


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_trial_that_fails_at_the_new_address_says_nothing_about_the_old_one(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, moving: str, comes_back: bool
) -> None:
    if comes_back:
        address = other_sandbox.authorize(owner.post(f"{moving}/move/try", moving).location)
        other_sandbox.faults.server_error = True
        assert "reported an error of its own" in owner.get(owner.get(address).location).words
    else:
        other_sandbox.faults.server_error = True
        assert owner.post(f"{moving}/move/try", moving).status == 502
    assert state_of(owner.get(moving)) == "Working"
    events = site.rows(models.event.event, models.event.outcome == "success", models.event.problem)
    assert ("integration.moved", False, "server_error") in events


def test_a_trial_at_another_server_does_not_show_that_the_old_address_works(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, moving: str
) -> None:
    sandbox.faults.server_error = True
    site.visitor().begin(moving)
    try_the_move(owner, moving, other_sandbox, "kim")
    assert state_of(owner.get(moving)).startswith("Failing")
    assert site.rows(models.event.event).count(("integration.moved",)) == 1


def test_an_ordinary_trial_decides_nothing_about_a_move(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, moving: str
) -> None:
    begun = owner.post(f"{moving}/try", moving)
    assert begun.location.startswith(sandbox.url)
    owner.get(sandbox.authorize(begun.location))
    assert base_url(site) == sandbox.url


def test_a_move_that_was_given_up_leaves_everything_as_it_was(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, moving: str
) -> None:
    begun = owner.post(f"{moving}/move/try", moving)
    for _ in range(2):
        owner.post(f"{moving}/move/give-up", moving)
    assert site.rows(models.event.event).count(("integration.move_given_up",)) == 1
    owner.get(other_sandbox.authorize(begun.location))
    assert base_url(site) == sandbox.url
    assert "Is it the same server?" not in owner.get(moving).words
    assert owner.post(f"{moving}/move/try", moving).location == moving


def test_a_change_that_does_not_say_which_is_refused_with_the_number_of_people(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    for name in ("jane", "kim"):
        log_in(site.visitor(), acme, sandbox, name)
    page = edit(owner, acme, other_sandbox.url)
    assert page.status == 422
    assert "2 people log in through it." in page.words
    assert '<fieldset class="stack" aria-describedby="server-error">' in page.text
    assert base_url(site) == sandbox.url


def test_on_another_server_everybody_begins_anew_and_the_old_identities_never_come_back(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    jane = site.visitor()
    log_in(jane, acme, sandbox)
    ((old_uid, old_user),) = people_of(site)
    link_as_before(sandbox, other_sandbox)
    edit(owner, acme, other_sandbox.url, server="another")
    assert "1 person begins anew there" in owner.get(acme).words
    assert jane.get("/o/acme/account").status == 303
    assert people_of(site) == []
    assert "Jane Doe" not in owner.get("/o/acme/settings/people").words

    assert log_in(site.visitor(), acme, other_sandbox).status == 303
    ((new_uid, new_user),) = people_of(site)
    assert (new_uid, new_user) != (old_uid, old_user)
    edit(owner, acme, sandbox.url, server="another")
    assert log_in(site.visitor(), acme, sandbox).status == 303
    ((again_uid, again_user),) = people_of(site)
    assert again_uid not in {old_uid, new_uid}
    assert again_user not in {old_user, new_user}


def test_a_login_under_way_is_not_finished_at_another_server(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    log_in(site.visitor(), acme, sandbox)
    kim = site.visitor()
    answer = sandbox.authorize(kim.begin(acme).location, user="kim")
    edit(owner, acme, other_sandbox.url, server="another")
    assert kim.get(answer).status == 400
    assert not list(other_sandbox.requests)


def test_a_client_secret_is_not_sent_to_another_server_where_nobody_logged_in_so_far_either(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    prepare_upgrade(owner, acme, sandbox)
    assert "client secret are erased" in owner.get(f"{acme}/edit").words
    assert edit(owner, acme, other_sandbox.url).status == 303
    assert "enter those of the new server" in owner.get(acme).words
    assert base_url(site) == other_sandbox.url
    assert site.rows(models.client_credentials.client_id) == []
    assert site.visitor().begin(acme, **BEGIN_BY_OAUTH2).status == 404
    assert site.rows(models.event.event).count(("integration.began_anew",)) == 1


def test_without_client_credentials_a_new_base_url_is_a_plain_change_while_nobody_logged_in(
    sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    assert "client secret" not in owner.get(f"{acme}/edit").words
    assert edit(owner, acme, other_sandbox.url).status == 303
    assert "The changes are saved." in owner.get(acme).words


def test_a_client_secret_is_never_sent_to_another_server(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    sandbox.faults.version = "8.19.0"
    prepare_upgrade(owner, acme, sandbox)
    log_in(site.visitor(), acme, sandbox, **BEGIN_BY_OAUTH2)
    edit(owner, acme, other_sandbox.url, server="another")
    assert site.rows(models.client_credentials.id) == []
    assert "It waits for its client ID and client secret." in owner.get(acme).words


def test_a_server_that_moved_is_shown_by_oauth_2_too(
    site: Site, sandbox: Sandbox, other_sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    sandbox.faults.version = "8.19.0"
    prepare_upgrade(owner, acme, sandbox)
    log_in(site.visitor(), acme, sandbox, **BEGIN_BY_OAUTH2)
    before = people_of(site)
    (link,) = sandbox.external_applications.all()
    other_sandbox.external_applications._by_id[link.id] = link
    edit(owner, acme, other_sandbox.url, server="moved")
    assert "It is the same server." in try_the_move(owner, acme, other_sandbox).words
    assert log_in(site.visitor(), acme, other_sandbox).status == 303
    assert people_of(site) == before


def test_disabling_deletes_nothing_and_enabling_lets_everybody_in_again(
    site: Site, sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    jane = site.visitor()
    log_in(jane, acme, sandbox)
    before = people_of(site)
    assert "Accounts, keys and conditions stay. Nothing is deleted." in owner.get(f"{acme}/disable").words
    owner.post(f"{acme}/disable")
    assert jane.get("/o/acme/account").status == 303
    edit(owner, acme, sandbox.url)
    assert "Disabled" in owner.get(acme).words, "a change enables nothing"
    owner.post(f"{acme}/enable", f"{acme}/disable")
    assert log_in(jane, acme, sandbox).status == 303
    assert people_of(site) == before


def test_people_of_a_deleted_integration_do_not_come_back_with_a_new_one_for_the_same_server(
    site: Site, sandbox: Sandbox, owner: Visitor, acme: str
) -> None:
    jane = site.visitor()
    log_in(jane, acme, sandbox)
    ((old_uid, _),) = people_of(site)
    assert "1 person" in owner.get(f"{acme}/delete").words
    assert owner.post(f"{acme}/delete", name="Bitbucket").status == 303
    assert people_of(site) == []
    again = connect(owner, "acme", sandbox)
    assert jane.get("/o/acme/account").status == 303
    assert log_in(site.visitor(), again, sandbox).status == 303
    ((new_uid, _),) = people_of(site)
    assert new_uid != old_uid
    assert site.rows(User.username) == [("jane",), ("owner",)]
