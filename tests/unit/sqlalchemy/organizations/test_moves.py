"""Servers that move, and servers that are replaced."""

import pytest

from social_bitbucket_server.account import Profile
from social_bitbucket_server.integration import ServerURL
from social_bitbucket_server.sqlalchemy.organizations import new_server_url

NEW = ServerURL.parse("https://new.acme.example")


def profile(number=42, username="jane"):
    return Profile(number, username, username, "Jane", None, None, None)


@pytest.fixture
def moving(app, store, record):
    app.log_in(record)
    store.moves.begin(record, NEW)
    app.recorded.take()
    return record


def test_people_log_in_at_the_old_address_until_the_new_one_is_shown(store, moving):
    assert str(new_server_url(moving)) == str(NEW)
    assert str(store.integrations.for_login(moving.id).server.url) == moving.base_url != str(NEW)


def test_somebody_who_is_known_there_shows_that_the_server_moved(app, store, moving):
    namespace = moving.namespace
    assert store.moves.finish(moving, profile(), str(NEW))
    assert (moving.base_url, moving.moving_to, moving.namespace) == (str(NEW), None, namespace)
    assert app.recorded.told[-1][:2] == ("integration.moved", "success")
    assert store.identities.count(moving) == 1


@pytest.mark.parametrize(
    ("seen", "tried"),
    [
        (profile(number=7), str(NEW)),
        (profile(username="somebody"), str(NEW)),
        (profile(), "https://third.example"),
    ],
)
def test_anybody_else_and_another_address_show_nothing(app, store, moving, seen, tried):
    before = moving.base_url
    assert not store.moves.finish(moving, seen, tried)
    assert (moving.base_url, moving.moving_to) == (before, str(NEW))
    assert app.recorded.told[-1][:2] == ("integration.moved", "failure")


def test_a_move_can_be_given_up(app, store, moving):
    store.moves.give_up(moving)
    store.moves.give_up(moving)
    assert moving.moving_to is None
    assert app.recorded.codes == ["integration.move_given_up"]
    assert not store.moves.finish(moving, profile(), str(NEW))


def test_an_operator_who_knows_that_the_server_moved_needs_no_proof(app, store, moving):
    store.moves.take_over(moving, NEW)
    assert (moving.base_url, moving.moving_to) == (str(NEW), None)
    assert store.identities.count(moving) == 1


def test_at_another_server_everybody_begins_anew(app, store, moving):
    app.log_in(moving, number=43, username="kim")
    store.upgrade.keep_credentials(moving, "id", "secret")
    namespace, number = moving.namespace, app.count(app.User)
    app.recorded.take()
    assert store.moves.begin_anew(moving, NEW) == 2
    app.session.expire_all()
    assert moving.namespace != namespace
    assert (moving.base_url, moving.moving_to, moving.client_credentials) == (str(NEW), None, None)
    assert store.identities.count(moving) == 0
    assert app.count(app.User) == number
    assert app.recorded.codes == ["integration.updated", "integration.began_anew"]
    assert app.recorded.details_of("integration.began_anew")["people"] == 2
    assert app.log_in(moving).user_id not in (None, 1)


def test_the_old_servers_link_is_forgotten_with_it(app, store, record):
    store.key_rotation.begin(record, with_new_link=True)
    store.key_rotation.promote_after_a_login(store.integrations.signing_with(record, record.pending_key_pair))
    assert record.replaced_key_pair is not None
    store.moves.begin_anew(record, NEW)
    assert record.replaced_key_pair is None
    assert record.active_key_pair is not None
