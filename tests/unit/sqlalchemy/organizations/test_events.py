"""Events: written, filtered, exported, pruned, and what they tell about integrations."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from social_bitbucket_server.organizations import EventCode, EventKind, State
from social_bitbucket_server.problems import Code
from social_bitbucket_server.sqlalchemy.organizations import EventFilter, clock, events
from tests.statements import statements

EVERYTHING = EventFilter()


@pytest.fixture
def tell(app, record):
    """Writes an event about the integration down."""
    return lambda code, **columns: app.tell(code, record, **columns)


def found(app, organization, most=100, before=None, **wanted):
    page, _older = app.store.events.page(organization, EventFilter(**wanted), before, most)
    return [event.event for event in page]


def test_events_outlive_what_is_rolled_back(app, acme, record, tell):
    tell(EventCode.KEY_CREATED, details={"n": 1}, reference="AAAA1111")
    app.session.rollback()
    (event,), older = app.store.events.page(acme, EVERYTHING, None, 10)
    assert (event.event, event.details, event.at, older) == ("key.created", {"n": 1}, clock.now(), False)
    assert app.store.events.find(acme, event.id) is event


def test_organizations_and_operators_see_their_own_events(app, acme, record, tell):
    tell(EventCode.OUTBOUND_BLOCKED)
    tell(EventCode.KEY_CREATED)
    globex = app.organization("globex")
    app.tell(EventCode.KEY_RETIRED, app.integration(globex))
    assert found(app, acme) == ["key.created"]
    assert found(app, globex) == ["key.retired"]
    ids = app.session.scalars(select(app.models.event.id)).all()
    assert [app.store.events.find(acme, id_) is not None for id_ in ids] == [False, True, False]


def test_pages_go_from_the_newest_to_the_oldest(app, acme, tell):
    for n in range(5):
        tell(EventCode.KEY_CREATED, details={"n": n})
    read, before, older = [], None, True
    while older:
        page, older = app.store.events.page(acme, EVERYTHING, before, 2)
        read += [event.details["n"] for event in page]
        before = page[-1].id
    assert read == [4, 3, 2, 1, 0]
    assert app.store.events.page(acme, EVERYTHING, before, 2) == ([], False)


def test_events_are_filtered(app, acme, record, tell, standing_clock):
    other = app.integration(acme, "Other")
    tell(EventCode.LOGIN_FAILURE, problem=Code.SIGNATURE_INVALID.value, reference="AAAA1111")
    tell(EventCode.LOGIN_FAILURE, problem=Code.LOGIN_DECLINED.value)
    standing_clock.advance(days=1)
    tell(EventCode.LOGIN_REPLAY)
    app.tell(EventCode.KEY_CREATED, other)
    first = standing_clock().date() - timedelta(days=1)
    assert found(app, acme) == ["key.created", "login.replay", "login.failure", "login.failure"]
    assert found(app, acme, kind=EventKind.KEY) == ["key.created"]
    assert found(app, acme, failed_logins=True) == ["login.replay", "login.failure"]
    assert found(app, acme, integration_id=other.id) == ["key.created"]
    assert found(app, acme, reference="AAAA1111") == ["login.failure"]
    assert found(app, acme, first_day=standing_clock().date()) == ["key.created", "login.replay"]
    assert found(app, acme, last_day=first) == ["login.failure"] * 2
    assert len(found(app, acme, first_day=first, last_day=date.max)) == 4
    assert app.store.events.count(acme, EventFilter(kind=EventKind.LOGIN)) == 3


def test_a_login_is_shown_by_how_it_went_on(app, acme, tell):
    tell(EventCode.LOGIN_BEGIN, transaction="finished")
    tell(EventCode.LOGIN_BEGIN, transaction="begun")
    tell(EventCode.LOGIN_SUCCESS, transaction="finished")
    assert found(app, acme) == ["login.success", "login.begin"]
    assert app.store.events.count(acme, EVERYTHING) == 2


def test_an_export_holds_the_newest_events_bit_by_bit(app, acme, tell, monkeypatch):
    monkeypatch.setattr(events, "_READ_AT_ONCE", 2)
    for n in range(6):
        tell(EventCode.KEY_CREATED, details={"n": n})
    assert exported(app, acme) == [[5, 4], [3, 2], [1, 0]]
    monkeypatch.setattr(events, "MOST_EXPORTED", 3)
    assert exported(app, acme) == [[5, 4], [3]]
    assert app.store.events.count(acme, EVERYTHING) == 4
    assert list(app.store.events.to_export(app.organization("globex"), EVERYTHING)) == []


def exported(app, organization):
    parts = app.store.events.to_export(organization, EVERYTHING)
    return [[event.details["n"] for event in part] for part in parts]


def test_an_integrations_newest_events_are_its_own(app, acme, record, tell):
    app.tell(EventCode.KEY_CREATED, app.integration(acme, "Other"))
    for n in range(4):
        tell(EventCode.KEY_RETIRED, details={"n": n})
    assert [event.details["n"] for event in app.store.events.recent(record, 3)] == [3, 2, 1]


def test_failures_are_counted_since_a_moment(app, record, tell, standing_clock):
    tell(EventCode.LOGIN_FAILURE)
    standing_clock.advance(hours=1)
    assert app.store.events.failures_since(record, clock.now()) == (0, None, None)
    for problem in (Code.SIGNATURE_INVALID, Code.LOGIN_DECLINED, Code.CONNECTION_FAILED):
        tell(EventCode.LOGIN_FAILURE, problem=problem.value)
    number, first, last = app.store.events.failures_since(record, clock.now())
    assert (number, first.problem, last.problem) == (2, "signature_invalid", "connection_failed")


@pytest.mark.parametrize(
    ("code", "problem", "was_finished"),
    [
        (EventCode.LOGIN_BEGIN, None, False),
        (EventCode.LOGIN_SUCCESS, None, True),
        (EventCode.LOGIN_FAILURE, Code.SIGNATURE_INVALID, True),
        (EventCode.LOGIN_FAILURE, Code.LOGIN_NOT_PENDING, False),
        (EventCode.LOGIN_FAILURE, Code.CALLBACK_PARAMETER_MISSING, False),
        (EventCode.IDENTITY_CONNECTED, None, True),
    ],
)
def test_a_login_was_finished(app, tell, code, problem, was_finished):
    tell(code, transaction="t", problem=problem and problem.value)
    assert app.store.events.was_finished("t") == was_finished
    assert not app.store.events.was_finished("another")
    assert not app.store.events.was_finished(None)


def test_an_integration_was_tested(app, acme, record, tell):
    assert not app.store.events.was_tested(record)
    tell(EventCode.INTEGRATION_TESTED, outcome="failed")
    assert app.store.events.was_tested(record)
    assert not app.store.events.was_tested(app.integration(acme, "Other"))


def used(app, record, tell):
    record.last_login_at = clock.now()
    tell(EventCode.LOGIN_SUCCESS)


def tested(app, record, tell):
    tell(EventCode.INTEGRATION_TESTED, outcome="passed")


def tested_without_success(app, record, tell):
    used(app, record, tell)
    tell(EventCode.INTEGRATION_TESTED, outcome="failed")


def failing(app, record, tell):
    used(app, record, tell)
    tell(EventCode.LOGIN_FAILURE, problem=Code.SIGNATURE_INVALID.value)


def failing_for_one_person(app, record, tell):
    used(app, record, tell)
    tell(EventCode.LOGIN_FAILURE, problem=Code.PERSON_NOT_ALLOWED.value)


def failing_by_oauth_2(app, record, tell):
    used(app, record, tell)
    tell(EventCode.LOGIN_FAILURE, problem=Code.SIGNATURE_INVALID.value, details={"upgrade": True})


def mended(app, record, tell):
    failing(app, record, tell)
    tell(EventCode.LOGIN_SUCCESS)


def another_server(app, record, tell):
    failing(app, record, tell)
    record.last_login_at = None
    tell(EventCode.INTEGRATION_BEGAN_ANEW)


def disabled(app, record, tell):
    failing(app, record, tell)
    record.disabled_at = clock.now()


CONDITIONS = [
    (lambda *_: None, State.DRAFT),
    (tested, State.NEVER_USED),
    (used, State.WORKING),
    (tested_without_success, State.FAILING),
    (failing, State.FAILING),
    (failing_for_one_person, State.WORKING),
    (failing_by_oauth_2, State.WORKING),
    (mended, State.WORKING),
    (another_server, State.DRAFT),
    (disabled, State.DISABLED),
]


@pytest.mark.parametrize(("happen", "state"), CONDITIONS)
def test_events_tell_how_an_integration_fares(app, record, tell, happen, state):
    happen(app, record, tell)
    app.session.commit()
    assert app.store.events.condition_of(record).state is state


def test_a_failing_integration_has_failed_since_the_first_failure(app, record, tell, standing_clock):
    used(app, record, tell)
    standing_clock.advance(hours=1)
    since = clock.now()
    for problem in (Code.SIGNATURE_INVALID, Code.CONNECTION_FAILED):
        tell(EventCode.LOGIN_FAILURE, problem=problem.value)
        standing_clock.advance(hours=1)
    condition = app.store.events.condition_of(record)
    assert (condition.since, condition.problem) == (since, "signature_invalid")


def test_a_condition_knows_what_waits(app, record, tell):
    app.store.key_rotation.begin(record)
    app.store.upgrade.keep_credentials(record, "id", "secret")
    condition = app.store.events.condition_of(record)
    assert (condition.waits_for_key, condition.is_upgrade_begun) == (True, True)


def test_conditions_of_many_take_as_many_statements_as_of_one(app, acme, record):
    for n in range(5):
        app.integration(acme, f"Other{n}")
    sent = []
    for records in ([record], app.store.integrations.of(acme)):
        app.session.commit()
        records = [app.session.merge(each) for each in records]
        app.store.integrations.of(acme)
        with statements(app.engine) as seen:
            assert len(app.store.events.conditions_of(records)) == len(records)
        sent.append(len(seen))
    assert sent[0] == sent[1]
    assert app.store.events.conditions_of([]) == {}


def test_pruning_keeps_what_tells_how_integrations_fare(app, acme, record, tell, standing_clock, monkeypatch):
    monkeypatch.setattr(events, "_DELETED_AT_ONCE", 2)
    tell(EventCode.LOGIN_SUCCESS, details={"n": 0})
    tell(EventCode.LOGIN_SUCCESS, details={"n": 1})
    for n in (2, 3, 4):
        tell(EventCode.LOGIN_FAILURE, problem=Code.SIGNATURE_INVALID.value, details={"n": n})
    standing_clock.advance(days=91)
    tell(EventCode.KEY_CREATED, details={"n": 5})
    used_at = record.last_login_at = standing_clock()
    app.session.commit()
    before = app.store.events.condition_of(record)
    assert app.store.events.prune(90) == 3
    left, _older = app.store.events.page(acme, EVERYTHING, None, 10)
    assert [event.details["n"] for event in left] == [5, 2, 1]
    assert app.store.events.condition_of(record) == before
    assert before.since < used_at
    assert app.recorded.told[-1] == ("audit.pruned", "success", {"days": 90, "entries": 3})
    assert app.store.events.prune(90) == 0


def test_nothing_is_kept_of_integrations_that_are_gone(app, acme, record, tell, standing_clock):
    tell(EventCode.LOGIN_SUCCESS)
    app.store.integrations.delete(record)
    standing_clock.advance(days=91)
    assert app.store.events.prune(90) == 1
