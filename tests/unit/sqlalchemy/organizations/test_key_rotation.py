"""New key pairs in place of old ones, and OAuth 2 in place of OAuth 1. A test decides what Bitbucket answers."""

import pytest

from social_bitbucket_server.organizations import KeyState, OAuth
from social_bitbucket_server.problems import BitbucketServerError, Code
from social_bitbucket_server.sqlalchemy.organizations import clock, key_rotation, link_number

CALLBACK = "https://app.example/complete/"


class Bitbucket:
    """Answers requests for tokens: it knows some public keys, each under its consumer key, and may do something while
    it is asked."""

    def __init__(self):
        self.knows = set()
        self.asked = []
        self.problem = Code.SIGNATURE_INVALID
        self.meanwhile = None

    def enter(self, *pairs):
        """Let it know these key pairs, and no others."""
        self.knows = {(pair.consumer_key, pair.public_key) for pair in pairs}

    def __call__(self, integration, _budget):
        self._integration = integration
        return self

    def request_token(self, callback):
        assert callback == CALLBACK
        key = (self._integration.consumer_key, self._integration.private_key.public.pem)
        self.asked.append(key)
        if self.meanwhile is not None:
            self.meanwhile()
        if key not in self.knows:
            raise BitbucketServerError(self.problem)


@pytest.fixture
def bitbucket(monkeypatch):
    bitbucket = Bitbucket()
    monkeypatch.setattr(key_rotation, "Client", bitbucket)
    return bitbucket


@pytest.fixture
def rotation(store):
    return store.key_rotation


@pytest.fixture
def waiting(rotation, record, app):
    """The integration, with a key pair that waits for the link in use."""
    rotation.begin(record)
    app.recorded.take()
    return record


@pytest.fixture
def waiting_for_new_link(rotation, record, app):
    rotation.begin(record, with_new_link=True)
    app.recorded.take()
    return record


def states(record):
    return sorted(pair.state.value for pair in record.key_pairs)


def test_a_new_key_pair_waits_beside_the_old_one(app, rotation, record):
    assert rotation.begin(record)
    pending, active = record.pending_key_pair, record.active_key_pair
    assert pending.public_key != active.public_key
    assert pending.consumer_key == active.consumer_key
    assert not record.has_new_link
    assert record.key_pair_to_set_up is pending
    assert app.recorded.codes == ["key.created"]


def test_one_that_waits_already_is_replaced(app, rotation, waiting):
    before = waiting.pending_key_pair
    assert rotation.begin(waiting)
    assert (before.state, before.sealed_private_key) == (KeyState.RETIRED, None)
    assert waiting.pending_key_pair is not before
    assert states(waiting) == ["active", "pending", "retired"]
    assert app.recorded.codes == ["key.retired", "key.created"]


def test_a_new_link_has_a_consumer_key_and_a_number_of_its_own(app, rotation, record):
    assert rotation.begin(record, with_new_link=True)
    assert record.has_new_link
    assert record.pending_key_pair.consumer_key != record.active_key_pair.consumer_key
    assert link_number(record, record.pending_key_pair) == 2
    assert app.recorded.codes == ["key.created", "consumer_key.created"]


def test_there_are_no_three_links(app, rotation, waiting_for_new_link, bitbucket):
    record = waiting_for_new_link
    bitbucket.enter(record.pending_key_pair)
    rotation.verify(record, CALLBACK)
    assert not rotation.begin(record, with_new_link=True)
    app.session.rollback()
    assert rotation.begin(record)
    rotation.note_removal(record)
    assert rotation.begin(record, with_new_link=True)


def test_a_key_pair_that_bitbucket_accepts_takes_the_place_of_the_old_one(app, rotation, waiting, bitbucket):
    old, new = waiting.active_key_pair, waiting.pending_key_pair
    bitbucket.enter(new)
    assert rotation.verify(waiting, CALLBACK)
    app.session.expire_all()
    assert (old.state, old.sealed_private_key) == (KeyState.RETIRED, None)
    assert waiting.active_key_pair is new
    assert app.store.integrations.for_login(waiting.id).private_key.public.pem == new.public_key
    assert app.recorded.codes == ["key.retired", "key.promoted"]


def test_a_new_link_that_bitbucket_accepts_leaves_the_old_one_to_be_removed(
    app, rotation, waiting_for_new_link, bitbucket
):
    record = waiting_for_new_link
    old, new = record.active_key_pair, record.pending_key_pair
    bitbucket.enter(new)
    assert rotation.verify(record, CALLBACK)
    assert (record.active_key_pair, record.replaced_key_pair) == (new, old)
    assert old.replaced_at == clock.now()
    assert app.store.integrations.for_login(record.id).predecessor.private_key.public.pem == old.public_key
    assert app.recorded.codes == ["consumer_key.replaced", "key.promoted"]
    rotation.note_removal(record)
    rotation.note_removal(record)
    assert (old.state, old.sealed_private_key) == (KeyState.RETIRED, None)
    assert app.recorded.codes[2:] == ["key.retired"]


def test_a_key_pair_that_bitbucket_does_not_accept_goes_on_waiting(app, rotation, waiting, bitbucket):
    with pytest.raises(BitbucketServerError):
        rotation.verify(waiting, CALLBACK)
    assert states(waiting) == ["active", "pending"]
    assert app.recorded.codes == []


def test_there_is_nothing_to_verify_or_to_give_up_without_a_key_pair_that_waits(rotation, record, bitbucket):
    assert not rotation.verify(record, CALLBACK)
    assert not rotation.give_up(record, CALLBACK)
    assert bitbucket.asked == []


def test_one_that_is_given_up_is_erased(app, rotation, waiting, bitbucket):
    old, new = waiting.active_key_pair, waiting.pending_key_pair
    bitbucket.enter(old)
    assert rotation.give_up(waiting, CALLBACK)
    assert (new.state, new.sealed_private_key) == (KeyState.RETIRED, None)
    assert waiting.active_key_pair is old
    assert app.recorded.codes == ["key.retired"]


def test_nothing_is_given_up_if_bitbucket_has_the_new_key_already(app, rotation, waiting, bitbucket):
    bitbucket.enter(waiting.pending_key_pair)
    with pytest.raises(BitbucketServerError):
        rotation.give_up(waiting, CALLBACK)
    assert states(waiting) == ["active", "pending"]
    assert app.recorded.codes == []


def test_bitbucket_is_asked_while_no_connection_is_held(app, rotation, waiting, bitbucket):
    held = []
    bitbucket.enter(waiting.pending_key_pair)
    bitbucket.meanwhile = lambda: held.append(app.session().in_transaction())
    rotation.verify(waiting, CALLBACK)
    assert held == [False]


def test_a_key_pair_that_was_replaced_while_bitbucket_was_asked_is_not_put_in_use(app, rotation, waiting, bitbucket):
    old = waiting.active_key_pair
    bitbucket.enter(waiting.pending_key_pair)
    bitbucket.meanwhile = lambda: rotation.begin(waiting)
    assert not rotation.verify(waiting, CALLBACK)
    assert waiting.active_key_pair is old
    assert states(waiting) == ["active", "pending", "retired"]


def test_a_login_puts_the_key_pair_in_use_that_it_was_signed_with(app, rotation, waiting):
    new = waiting.pending_key_pair
    successor = app.store.integrations.for_login(waiting.id).successor
    rotation.promote_after_a_login(successor)
    rotation.promote_after_a_login(successor)
    assert waiting.active_key_pair is new
    assert app.recorded.codes == ["key.retired", "key.promoted"]


def test_a_login_with_a_key_pair_that_was_given_up_changes_nothing(app, rotation, waiting):
    successor = app.store.integrations.for_login(waiting.id).successor
    rotation.begin(waiting)
    app.recorded.take()
    rotation.promote_after_a_login(successor)
    assert app.recorded.codes == []
    app.store.integrations.delete(waiting)
    app.recorded.take()
    rotation.promote_after_a_login(successor)
    assert app.recorded.codes == []


def test_an_old_key_that_does_not_open_does_not_stop_its_replacement(app, rotation, waiting_for_new_link, bitbucket):
    record = waiting_for_new_link
    old = record.active_key_pair
    old.sealed_private_key = record.pending_key_pair.sealed_private_key
    app.session.commit()
    bitbucket.enter(record.pending_key_pair)
    assert rotation.verify(record, CALLBACK)
    assert record.replaced_key_pair is old
    assert app.store.integrations.for_login(record.id).predecessor is None


def test_a_request_as_of_a_login_tries_the_key_pair_that_waits(rotation, waiting, bitbucket):
    new = waiting.pending_key_pair
    bitbucket.enter(new)
    rotation.ask_as_a_login_does(waiting, CALLBACK)
    assert waiting.active_key_pair is new
    assert len(bitbucket.asked) == 2


@pytest.mark.parametrize(("problem", "asked"), [(Code.SIGNATURE_INVALID, 2), (Code.CONNECTION_FAILED, 1)])
def test_the_problem_with_the_active_key_pair_is_the_one_that_is_told(rotation, waiting, bitbucket, problem, asked):
    bitbucket.problem = problem
    with pytest.raises(BitbucketServerError) as caught:
        rotation.ask_as_a_login_does(waiting, CALLBACK)
    assert caught.value.code == problem
    assert len(bitbucket.asked) == asked
    assert states(waiting) == ["active", "pending"]


def test_an_integration_without_a_key_pair_asks_for_nothing(app, acme, rotation, bitbucket):
    with pytest.raises(ValueError, match=r"."):
        rotation.ask_as_a_login_does(app.integration(acme, oauth=OAuth.TWO), CALLBACK)


@pytest.fixture
def upgrade(store):
    return store.upgrade


def test_an_upgrade_begins_with_client_credentials(app, record, upgrade):
    upgrade.keep_credentials(record, "id", "secret")
    assert record.ways == (OAuth.ONE, OAuth.TWO)
    assert "secret" not in record.client_credentials.sealed_client_secret
    assert upgrade.can_go_back(record)
    upgrade.keep_credentials(record, "another", "secret")
    assert app.store.integrations.for_oauth2_login(record.id).client_id == "another"
    assert app.count(app.models.client_credentials) == 1
    assert app.recorded.codes == ["upgrade.prepared"] * 2


def test_an_upgrade_ends_once_with_the_first_login_by_oauth_2(app, record, upgrade):
    upgrade.keep_credentials(record, "id", "secret")
    for _ in range(2):
        upgrade.end_oauth1(record)
        app.session.commit()
    assert record.ways == (OAuth.TWO,)
    assert record.active_key_pair.sealed_private_key
    assert record.key_pair_to_set_up is None
    assert app.recorded.codes == ["upgrade.prepared", "upgrade.finished"]


def test_an_upgrade_that_was_only_begun_is_given_up_without_asking(app, record, upgrade, bitbucket):
    upgrade.keep_credentials(record, "id", "secret")
    upgrade.go_back(record, CALLBACK)
    app.session.expire_all()
    assert (record.ways, record.client_credentials) == ((OAuth.ONE,), None)
    assert bitbucket.asked == []
    upgrade.go_back(record, CALLBACK)
    assert app.recorded.codes == ["upgrade.prepared", "upgrade.abandoned"]


def test_the_way_back_is_open_while_bitbucket_accepts_oauth_1(app, record, upgrade, bitbucket):
    identity = app.log_in(record)
    revision = identity.session_revision
    upgrade.keep_credentials(record, "id", "secret")
    upgrade.end_oauth1(record)
    app.session.commit()
    with pytest.raises(BitbucketServerError):
        upgrade.go_back(record, CALLBACK)
    app.session.rollback()
    assert record.ways == (OAuth.TWO,)
    bitbucket.enter(record.active_key_pair)
    upgrade.go_back(record, CALLBACK)
    assert record.ways == (OAuth.ONE,)
    assert app.store.identities.of_session(identity.id, revision) is identity


def test_the_way_back_puts_a_key_pair_in_use_that_waits(app, waiting, upgrade, bitbucket):
    new = waiting.pending_key_pair
    upgrade.keep_credentials(waiting, "id", "secret")
    upgrade.end_oauth1(waiting)
    app.session.commit()
    bitbucket.enter(new)
    upgrade.go_back(waiting, CALLBACK)
    assert (waiting.ways, waiting.active_key_pair) == ((OAuth.ONE,), new)


def test_there_is_no_way_back_without_a_key_pair(app, acme, upgrade, bitbucket):
    record = app.integration(acme, oauth=OAuth.TWO)
    upgrade.keep_credentials(record, "id", "secret")
    assert not upgrade.can_go_back(record)
    upgrade.go_back(record, CALLBACK)
    assert record.ways == (OAuth.TWO,)
