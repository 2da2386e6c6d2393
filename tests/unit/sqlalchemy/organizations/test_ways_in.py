"""Login links that are replaced and closed, integrations that are enforced, and set-up links."""

import threading

import pytest
from sqlalchemy import select

from social_bitbucket_server.organizations import ClosedBy, LoginWays, SetupLinkCondition, SetupLinkLife
from social_bitbucket_server.sqlalchemy.organizations import condition_of_link


@pytest.fixture
def ways_in(store):
    return store.ways_in


def test_an_organization_without_a_row_is_open(app, acme, ways_in):
    assert ways_in.of(acme) == LoginWays()
    assert ways_in.enforced(acme) is None
    assert app.count(app.models.ways) == 0


def test_a_login_link_that_was_replaced_is_not_the_current_one(app, acme, ways_in):
    keys = [""]
    for _ in range(2):
        ways_in.replace_link(acme)
        keys.append(ways_in.of(acme).key)
    assert [ways_in.of(acme).is_current_link(key) for key in keys] == [False, False, True]
    assert app.recorded.told[-1] == ("login_link.replaced", "success", {"organization_id": acme.id})


def test_a_closed_login_link_can_be_opened_again(app, acme, ways_in, record, standing_clock):
    ways_in.close_link(acme)
    closed_at = app.session.scalar(select(app.models.ways)).closed_at
    standing_clock.advance(hours=1)
    ways_in.close_link(acme)
    assert app.session.scalar(select(app.models.ways)).closed_at == closed_at
    assert ways_in.of(acme).closed_by(record.id) is ClosedBy.LOGIN_LINK
    ways_in.open_link(acme)
    assert ways_in.of(acme).closed_by(record.id) is None
    assert app.recorded.codes == ["login_link.closed"] * 2 + ["login_link.opened"]


def replace(ways_in, acme, record):
    ways_in.replace_link(acme)


def close(ways_in, acme, record):
    ways_in.close_link(acme)


def enforce(ways_in, acme, record):
    ways_in.enforce(record)


@pytest.mark.parametrize("change", [replace, close, enforce])
def test_logins_under_way_end_when_ways_in_change(app, acme, ways_in, record, change):
    before = app.store.integrations.for_login(record.id).revision
    change(ways_in, acme, record)
    after = app.store.integrations.for_login(record.id).revision
    assert after != before
    ways_in.lock(acme)
    app.session.commit()
    assert app.store.integrations.for_login(record.id).revision == after


def test_an_enforced_integration_is_the_only_way_in(app, acme, ways_in, record):
    other = app.integration(acme, "Other")
    for enforced, shut_out in ((record, other), (other, record)):
        ways_in.enforce(enforced)
        assert ways_in.enforced(acme) is enforced
        assert ways_in.of(acme).enforced == enforced.id
        assert ways_in.of(acme).closed_by(shut_out.id) is ClosedBy.ENFORCEMENT
        assert ways_in.of(acme).closed_by(enforced.id) is None
    revision = ways_in.lock(acme).revision
    ways_in.lift(acme)
    assert ways_in.of(acme).enforced is None
    assert ways_in.lock(acme).revision == revision + 1
    ways_in.lift(acme)
    assert app.recorded.codes[-3:] == ["integration.enforced"] * 2 + ["integration.not_enforced"]


def test_organizations_have_ways_in_of_their_own(app, acme, ways_in, record):
    globex = app.organization("globex")
    foreign = app.integration(globex)
    ways_in.enforce(record)
    ways_in.close_link(acme)
    assert ways_in.of(globex).closed_by(foreign.id) is None
    ways_in.enforce(foreign)
    assert ways_in.of(acme).enforced == record.id


def test_the_row_of_an_organization_is_made_once_by_two_at_once(make_app, tmp_path):
    app = make_app(url=f"sqlite:///{tmp_path / 'app.db'}")
    acme_id = app.organization().id
    problems, begin = [], threading.Barrier(2)

    def close_it():
        try:
            acme = app.session.get(app.Organization, acme_id)
            app.session.commit()
            begin.wait(60)
            app.store.ways_in.replace_link(acme)
        except Exception as problem:  # noqa: BLE001  # it is told below
            problems.append(problem)
        finally:
            app.session.remove()

    threads = [threading.Thread(target=close_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    (ways,) = app.session.scalars(select(app.models.ways)).all()
    assert ways.revision == 2


def test_the_row_that_another_request_makes_meanwhile_is_taken(app, acme, ways_in, monkeypatch):
    touch = ways_in._touch
    touched = []

    def touch_too_early(key):
        if not touched:
            touched.append(touch(key))
            app.session.add(app.models.ways(organization_id=key, key="theirs"))
            app.session.flush()
            app.session.expunge_all()
            return False
        return touch(key)

    monkeypatch.setattr(ways_in, "_touch", touch_too_early)
    assert ways_in.lock(acme).key == "theirs"
    assert touched == [False]


@pytest.fixture
def links(store):
    return store.setup_links


def test_a_set_up_link_opens_for_as_long_as_its_maker_chose(app, links, record, standing_clock):
    for life, words in (
        (SetupLinkLife.HOUR, "one hour"),
        (SetupLinkLife.DAY, "one day"),
        (SetupLinkLife.WEEK, "seven days"),
    ):
        token = links.make(record, life)
        link = links.find(token)
        assert life.words == words
        assert links.live(record) is link
        standing_clock.advance(seconds=life.length.total_seconds() - 1)
        assert condition_of_link(link) is SetupLinkCondition.LIVE
        standing_clock.advance(seconds=1)
        assert condition_of_link(link) is SetupLinkCondition.EXPIRED
        assert links.live(record) is None
    assert link.integration is record


def test_the_database_holds_no_token(app, links, record):
    token = links.make(record)
    (link,) = app.session.scalars(select(app.models.setup_link)).all()
    assert token not in (link.token_sha256, link.opened_from)


def test_a_new_link_revokes_the_one_before(app, links, record):
    old, new = links.make(record), links.make(record)
    assert condition_of_link(links.find(old)) is SetupLinkCondition.REVOKED
    assert condition_of_link(links.find(new)) is SetupLinkCondition.LIVE
    assert app.recorded.codes == ["setup_link.created", "setup_link.revoked", "setup_link.created"]


def test_a_revoked_link_opens_nothing(app, links, record, standing_clock):
    token = links.make(record)
    assert links.revoke(record)
    assert not links.revoke(record)
    assert links.live(record) is None
    assert condition_of_link(links.find(token)) is SetupLinkCondition.REVOKED
    links.make(record, SetupLinkLife.HOUR)
    standing_clock.advance(hours=1)
    assert not links.revoke(record), "it has expired"


def test_a_link_is_done_after_somebody_logged_in_and_while_no_key_pair_waits(app, links, record, standing_clock):
    record.last_login_at = standing_clock()
    token = links.make(record)
    assert links.live(record) is not None, "the login was before"
    standing_clock.advance(minutes=2)
    app.store.integrations.note_login(record)
    assert condition_of_link(links.find(token)) is SetupLinkCondition.DONE
    assert links.live(record) is None
    app.store.key_rotation.begin(record)
    assert condition_of_link(links.find(token)) is SetupLinkCondition.LIVE


def test_links_of_disabled_integrations_and_closed_organizations_are_not_found(app, links, record):
    token = links.make(record)
    app.store.integrations.set_enabled(record, enabled=False)
    assert links.find(token) is None
    app.store.integrations.set_enabled(record, enabled=True)
    assert links.find(token) is not None
    app.store.may_log_in = lambda _organization: False
    assert links.find(token) is None


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "a" * 44, "ä" * 43, "a" * 42 + "\n"])
def test_what_is_no_token_is_not_found(links, record, token):
    links.make(record)
    assert links.find(token) is None
    assert links.ended(token) is None


def test_an_opened_link_says_when_and_from_which_address(app, links, record, standing_clock):
    link = links.find(links.make(record))
    links.note_opening(link, "192.0.2.7")
    app.session.expire_all()
    assert (link.opened_at, link.opened_from) == (standing_clock(), "192.0.2.7")
    assert app.recorded.codes == ["setup_link.created", "setup_link.opened"]


def test_a_link_that_ended_with_its_integration_says_so_for_thirty_days(app, links, acme, record, standing_clock):
    token = links.make(record)
    app.store.integrations.delete(record)
    assert links.find(token) is None
    assert links.ended(token) is SetupLinkCondition.DELETED
    standing_clock.advance(days=31)
    app.store.integrations.delete(app.integration(acme))
    assert links.ended(token) is None


def test_links_that_were_over_before_say_nothing(app, links, record, standing_clock):
    revoked = links.make(record)
    expired = links.make(record, SetupLinkLife.HOUR)
    standing_clock.advance(hours=2)
    app.store.integrations.delete(record)
    assert links.ended(revoked) is links.ended(expired) is None


def test_old_links_are_deleted_with_the_next_one(app, links, record, standing_clock):
    links.make(record, SetupLinkLife.HOUR)
    standing_clock.advance(days=31)
    links.make(record)
    assert app.count(app.models.setup_link) == 1
