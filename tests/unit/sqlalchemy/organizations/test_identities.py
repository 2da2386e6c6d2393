"""Identities, the sessions that begin with them, and the people whose identities they are."""

import pytest
from social_core.exceptions import AuthPolicyError
from sqlalchemy import delete

from social_bitbucket_server.organizations import OAuth
from social_bitbucket_server.sqlalchemy.organizations import server_url


@pytest.fixture
def jane(app, record):
    """Jane's identity."""
    made = app.log_in(record)
    app.recorded.take()
    return made


@pytest.fixture
def other(app, acme):
    """Another integration of the organization."""
    return app.integration(acme, "Other")


@pytest.fixture
def elsewhere(app, other, jane):
    """Jane's identity at the other integration."""
    made = app.log_in(other, number=7, username="jane.doe", user=jane.user)
    app.recorded.take()
    return made


class Session:
    """A session that began with an identity."""

    def __init__(self, app, identity):
        self._find = app.store.identities.of_session
        self._key = (identity.id, identity.session_revision)
        app.session.commit()

    @property
    def goes_on(self):
        return self._find(*self._key) is not None


@pytest.fixture
def session(app, jane):
    return Session(app, jane)


def person_of(app, acme, identity):
    return app.store.people.find(acme, str(identity.user_id))


def test_a_session_goes_on(app, acme, record, other, jane, session):
    app.integration(acme, "Third")
    app.store.integrations.change(record, name="Renamed", server_url=server_url(record))
    assert session.goes_on


def disable_integration(app, acme, record, jane):
    app.store.integrations.set_enabled(record, enabled=False)


def disable_integration_for_a_moment(app, acme, record, jane):
    for enabled in (False, True):
        app.store.integrations.set_enabled(record, enabled=enabled)


def delete_integration(app, acme, record, jane):
    app.store.integrations.delete(record)


def delete_user(app, acme, record, jane):
    app.session.execute(delete(app.User))
    app.session.commit()


def delete_organization(app, acme, record, jane):
    app.session.delete(acme)
    app.session.commit()


def disable_person(app, acme, record, jane):
    app.store.people.disable(acme, person_of(app, acme, jane))


def log_out(app, acme, record, jane):
    app.store.people.log_out(acme, person_of(app, acme, jane))


def enforce_another(app, acme, record, jane):
    app.store.ways_in.enforce(app.integration(acme, "Third"))


def enforce_another_for_a_moment(app, acme, record, jane):
    enforce_another(app, acme, record, jane)
    app.store.ways_in.lift(acme)


def begin_anew(app, acme, record, jane):
    app.store.moves.begin_anew(record, server_url(record))


def close_organization(app, acme, record, jane):
    app.store.may_log_in = lambda _organization: False


def disable_at_bitbucket(app, acme, record, jane):
    app.store.people.disable_whom_bitbucket_disabled(jane.uid)


@pytest.mark.parametrize(
    "end",
    [
        disable_integration,
        disable_integration_for_a_moment,
        delete_integration,
        delete_user,
        delete_organization,
        disable_person,
        log_out,
        enforce_another,
        enforce_another_for_a_moment,
        begin_anew,
        close_organization,
        disable_at_bitbucket,
    ],
)
def test_a_session_ends(app, acme, record, jane, session, end):
    end(app, acme, record, jane)
    assert not session.goes_on


def enforce_this_one(app, acme, record, jane):
    app.store.ways_in.enforce(record)
    app.store.ways_in.lift(acme)


def close_the_login_link(app, acme, record, jane):
    app.store.ways_in.close_link(acme)
    app.store.ways_in.replace_link(acme)


def replace_keys(app, acme, record, jane):
    app.store.key_rotation.begin(record)


def log_in_by_oauth_2(app, acme, record, jane):
    app.store.upgrade.keep_credentials(record, "id", "secret")
    app.store.upgrade.end_oauth1(record)
    app.session.commit()


def move(app, acme, record, jane):
    app.store.moves.take_over(record, server_url(record))


def log_in_again(app, acme, record, jane):
    app.log_in(record)


def log_somebody_else_out(app, acme, record, jane):
    kim = app.log_in(record, number=43, username="kim")
    app.store.people.disable(acme, person_of(app, acme, kim))


@pytest.mark.parametrize(
    "change",
    [
        enforce_this_one,
        close_the_login_link,
        replace_keys,
        log_in_by_oauth_2,
        move,
        log_in_again,
        log_somebody_else_out,
    ],
)
def test_a_session_goes_on_after(app, acme, record, jane, session, change):
    change(app, acme, record, jane)
    assert session.goes_on


def test_a_session_of_another_revision_ends(store, jane):
    assert store.identities.of_session(jane.id, "") is None
    assert store.identities.of_session(jane.id + 1, jane.session_revision) is None


def test_an_identity_is_found_by_its_uid_by_whichever_oauth(app, store, record, jane):
    assert jane.provider == OAuth.ONE.backend
    assert store.identities.with_uid(jane.uid) is jane
    assert store.identities.with_uid(f"{record.namespace}:43") is None


def test_nobody_finds_another_persons_identity(app, store, record, jane):
    kim = app.log_in(record, number=43, username="kim")
    assert store.identities.find(jane.user, jane.id) is jane
    assert store.identities.find(kim.user, jane.id) is None


def test_people_connect_the_integrations_that_they_have_not_and_that_let_them_in(app, acme, store, jane, other):
    app.integration(acme, "Disabled").disabled_at = jane.last_login_at
    app.integration(acme, "Unfinished", oauth=OAuth.TWO)
    app.integration(app.organization("globex"))
    app.session.commit()
    assert store.identities.to_connect(acme, jane.user) == [other]
    assert not store.identities.is_connected(jane.user, other)
    app.log_in(other, number=7, user=jane.user)
    assert store.identities.is_connected(jane.user, other)
    assert store.identities.to_connect(acme, jane.user) == []


def test_the_last_way_in_stays(app, store, acme, jane):
    assert store.identities.can_be_disconnected(jane.user) == set()
    assert not store.identities.disconnect(jane.user, jane)
    assert store.identities.of(acme, jane.user) == [jane]


def test_one_of_two_ways_in_can_be_disconnected_which_ends_the_others_sessions(app, store, acme, jane, elsewhere):
    user, session = jane.user, Session(app, elsewhere)
    assert store.identities.of(acme, user) == [jane, elsewhere]
    assert store.identities.can_be_disconnected(user) == {jane.id, elsewhere.id}
    assert store.identities.disconnect(user, jane)
    assert not session.goes_on
    assert app.recorded.codes == ["identity.disconnected"]
    assert app.recorded.details_of("identity.disconnected")["user_id"] == user.id
    assert store.identities.of(acme, user) == [elsewhere]
    assert not store.identities.disconnect(user, elsewhere)


def test_a_way_in_that_is_disabled_is_none(app, store, jane, other, elsewhere):
    store.integrations.set_enabled(other, enabled=False)
    assert store.identities.can_be_disconnected(jane.user) == {elsewhere.id}
    assert not store.identities.disconnect(jane.user, jane)
    assert store.identities.disconnect(jane.user, elsewhere)


def test_nobody_disconnects_another_persons_identity(app, store, record, jane, elsewhere):
    kim = app.log_in(record, number=43, username="kim")
    assert not store.identities.disconnect(kim.user, elsewhere)
    assert store.identities.count(elsewhere.integration) == 1


def test_people_are_counted_by_integration(app, store, record, jane, other, standing_clock):
    standing_clock.advance(minutes=1)
    app.log_in(record, number=43, username="kim")
    assert store.identities.counts([record.id, other.id]) == {record.id: 2}
    assert (store.identities.count(record), store.identities.count(other)) == (2, 0)
    assert store.identities.last_persons([record.id, other.id]) == {record.id: "kim of 43"}


def test_people_are_listed_by_name(app, acme, store, record, jane, elsewhere, standing_clock):
    standing_clock.advance(minutes=1)
    app.log_in(record, number=43, username="Adam")
    app.log_in(app.integration(app.organization("globex")), number=44, username="foreign")
    adam, jane_doe = store.people.of(acme)
    assert (adam.name, jane_doe.name) == ("Adam of 43", "jane of 42")
    assert jane_doe.identities == (jane, elsewhere)
    assert jane_doe.last_login_at == jane.last_login_at < adam.last_login_at
    assert not jane_doe.is_disabled
    assert store.people.find(acme, jane_doe.key) == jane_doe
    assert store.people.find(acme, "999") is None
    assert store.people.find(app.organization("other"), jane_doe.key) is None


def test_somebody_who_never_logged_in_has_no_last_login(app, acme, store, jane):
    jane.last_login_at = None
    (person,) = store.people.of(acme)
    assert person.last_login_at is None


def test_the_application_says_what_people_are_called(make_app):
    app = make_app(name_of=lambda user: user.email)
    acme = app.organization()
    user = app.log_in(app.integration(acme)).user
    assert [person.name for person in app.store.people.of(acme)] == ["jane@acme.example"]
    assert app.store.people.names(acme, [user.id, None, 10**6]) == {user.id: "jane@acme.example"}
    assert app.store.people.names(acme, [None]) == {}


def test_a_disabled_person_is_let_in_nowhere_in_the_organization(app, acme, store, jane, elsewhere):
    store.people.disable(acme, person_of(app, acme, jane))
    assert person_of(app, acme, jane).is_disabled
    for identity in (jane, elsewhere):
        with pytest.raises(AuthPolicyError):
            store.logins.refuse_disabled_person(None, identity, identity.integration_id)
    assert app.recorded.codes == ["user.disabled", "session.revoked"]
    assert app.recorded.details_of("user.disabled") == {"organization_id": acme.id, "user_id": jane.user_id}
    store.people.enable(acme, person_of(app, acme, jane))
    assert not person_of(app, acme, jane).is_disabled
    store.logins.refuse_disabled_person(None, jane, jane.integration_id)
    assert app.recorded.codes[2:] == ["user.enabled"]


def test_an_organization_disables_people_for_itself_alone(app, acme, store, jane):
    app.store.may_connect = lambda _user, _organization: True
    globex = app.organization("globex")
    foreign = app.log_in(app.integration(globex), number=7, user=jane.user)
    session = Session(app, foreign)
    store.people.disable(acme, person_of(app, acme, jane))
    assert session.goes_on
    assert not person_of(app, globex, jane).is_disabled


def test_whom_bitbucket_disabled_stays_so(app, acme, store, jane, elsewhere):
    store.people.disable_whom_bitbucket_disabled("nobody:1")
    assert app.recorded.codes == []
    for _ in range(2):
        store.people.disable_whom_bitbucket_disabled(jane.uid)
    assert jane.disabled_at is not None
    assert elsewhere.disabled_at is not None
    assert app.recorded.codes == ["user.disabled", "session.revoked"]


def test_the_application_forgets_people_who_logged_in_through_a_deleted_integration_alone(make_app):
    forgotten = []
    app = make_app(forget=lambda users: forgotten.extend(user.username for user in users))
    acme = app.organization()
    record, other = app.integration(acme), app.integration(acme, "Other")
    jane = app.log_in(record).user
    app.log_in(other, number=7, user=jane)
    app.log_in(record, number=43, username="kim")
    assert app.store.people.count_only_through(record) == 1
    app.store.integrations.delete(record)
    assert forgotten == ["kim"]
    app.store.integrations.delete(other)
    assert forgotten == ["kim", "jane"]


def test_people_whom_the_application_deletes_are_gone_with_the_integration(make_app):
    app = make_app()
    app.store.forget = lambda users: [app.session.delete(user) for user in users]
    record = app.integration(app.organization())
    app.log_in(record)
    app.store.integrations.delete(record)
    assert app.count(app.User) == app.count(app.models.identity) == app.count(app.models.integration) == 0
