from dataclasses import replace

import pytest

from social_bitbucket_server.problems import BitbucketServerError
from social_bitbucket_server.transport import BEGIN, CALLBACK, WHOLE, Budget, Limits, Share, bulkhead
from social_bitbucket_server.transport.bulkhead import MOST_REQUESTS, Bulkhead, Bulkheads

LIMITS = Limits(login_seconds=30, patience=1.8, slow_steps=4)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def answer_after(self, needed):
        """Return a function that waits for an answer. The answer takes *needed* seconds, over one call or several."""
        left = [needed]

        def block(seconds):
            waited = min(left[0], seconds)
            left[0] -= waited
            self.now += waited
            if left[0] > 0:
                raise TimeoutError
            return "an answer"

        return block


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(bulkhead, "time", clock)
    return clock


@pytest.fixture
def ask(clock):
    """Wait for one answer within a budget: ``ask(budget, seconds)``."""

    def ask(budget, needed, *, timeout=10.0, block=None, lag=lambda: None):
        with budget.request():
            return budget.wait(block or clock.answer_after(needed), budget.deadline(timeout), lag)

    return ask


def code_of(call, *arguments, **options):
    with pytest.raises(BitbucketServerError) as caught:
        call(*arguments, **options)
    return caught.value.code


# Patience


def test_a_server_that_takes_400_ms_for_an_answer_loses_nobody_of_fifty(clock, ask):
    room = Bulkhead()
    budgets = [Budget(room, Limits(login_seconds=3600, patience=1.8), WHOLE) for _ in range(50)]
    for _ in range(4):
        assert {ask(budget, 0.4) for budget in budgets} == {"an answer"}


def test_slow_steps_get_a_place_and_go_on_and_one_more_is_ended(ask):
    room = Bulkhead()
    budgets = [Budget(room, LIMITS) for _ in range(5)]
    assert [ask(budget, 5) for budget in budgets[:4]] == ["an answer"] * 4
    assert code_of(ask, budgets[4], 5) == "server_busy"


def test_many_short_answers_use_the_patience_up_as_well(ask):
    room = Bulkhead()
    four = [Budget(room, LIMITS) for _ in range(4)]
    one_more = Budget(room, LIMITS)
    for budget in four:
        ask(budget, 5)
    for _ in range(4):
        ask(one_more, 0.4)
    assert code_of(ask, one_more, 0.4) == "server_busy"


def test_a_step_does_not_wait_for_one_answer_as_long_as_for_several(clock, ask):
    room = Bulkhead()
    slow = [Budget(room, LIMITS) for _ in range(4)]
    one_more = Budget(room, LIMITS)
    for budget in slow:
        ask(budget, 5)
    began = clock.now
    assert code_of(ask, one_more, 5) == "server_busy"
    assert clock.now - began == pytest.approx(1.2)


def test_while_all_places_are_taken_nobody_else_begins(ask):
    room = Bulkhead()
    slow = [Budget(room, LIMITS) for _ in range(4)]
    for budget in slow:
        ask(budget, 5)
    assert code_of(Budget, room, LIMITS) == "server_busy"


def test_a_step_that_ends_gives_its_place_back_once(clock, ask):
    room = Bulkhead()
    with Budget(room, LIMITS) as budget:
        ask(budget, 5)
        budget.end()
    assert room.is_idle is False, "it remembers the slow answer"
    clock.now += 100
    assert room.is_idle


def test_a_step_that_fails_gives_its_place_back(ask):
    room = Bulkhead()
    one_place = Limits(login_seconds=30, patience=1.8, slow_steps=1)
    for _ in range(2):
        with pytest.raises(TimeoutError), Budget(room, one_place) as budget:
            ask(budget, 60)


# A busy process


@pytest.fixture
def crowded(ask):
    """A step for which there is no place."""
    room = Bulkhead()
    slow, crowded = [Budget(room, LIMITS) for _ in range(4)], Budget(room, LIMITS)
    for budget in slow:
        ask(budget, 5)
    return crowded


def test_an_answer_that_was_here_before_this_process_looked_took_no_longer(clock, ask, crowded):
    for _ in range(5):
        assert ask(crowded, 1.0, lag=lambda: 0.9) == "an answer"
    assert code_of(ask, crowded, 5, lag=lambda: 0.1) == "server_busy"


def test_a_timer_that_rings_before_the_answer_is_seen_ends_nothing(clock, ask, crowded):
    calls = []

    def block(seconds):
        calls.append(seconds)
        if len(calls) == 1:
            clock.now += seconds
            raise TimeoutError
        return "an answer"

    assert ask(crowded, 0, block=block, lag=lambda: 1.0) == "an answer"
    assert len(calls) == 2


def test_a_server_that_shows_signs_of_life_and_no_answer_is_waited_for_no_longer(clock, ask, crowded):
    began = clock.now
    assert code_of(ask, crowded, 60, lag=lambda: 0.01) == "server_busy"
    assert clock.now - began < 1.3


def test_a_timer_that_rings_late_says_nothing_and_more_time_is_given(clock, ask, crowded):
    calls = []

    def block(seconds):
        calls.append(seconds)
        if len(calls) == 3:
            return "an answer"
        clock.now += seconds + 1
        raise TimeoutError

    assert ask(crowded, 0, block=block) == "an answer"
    assert calls == pytest.approx([1.2, 2.4, 4.4])


# Deadlines


def test_a_step_ends_at_its_deadline_whatever_each_request_may_take(clock, ask):
    budget = Budget(Bulkhead(), LIMITS, CALLBACK)
    assert ask(budget, 9.9) == ask(budget, 9.9) == "an answer"
    with pytest.raises(TimeoutError):
        ask(budget, 9.9)
    assert clock.now == pytest.approx(1020)
    with pytest.raises(TimeoutError):
        ask(budget, 0)


def test_a_request_ends_at_its_own_timeout(clock, ask):
    budget = Budget(Bulkhead(), LIMITS)
    with pytest.raises(TimeoutError):
        ask(budget, 60, timeout=3)
    assert clock.now == pytest.approx(1003)


def test_a_timeout_of_the_network_is_not_waited_for_again(clock):
    calls = []

    def fail(seconds):
        calls.append(seconds)
        raise TimeoutError

    budget = Budget(Bulkhead(), LIMITS)
    with pytest.raises(TimeoutError):
        budget.wait(fail, budget.deadline(10))
    assert len(calls) == 1


def test_begin_and_callback_share_the_seconds_and_requests_of_a_login():
    assert BEGIN.fraction + CALLBACK.fraction == WHOLE.fraction == 1
    assert BEGIN.requests + CALLBACK.requests == WHOLE.requests == MOST_REQUESTS


def test_a_step_has_so_many_requests_and_no_more(ask):
    budget = Budget(Bulkhead(), LIMITS, Share(1, 3, answers=3))
    for _ in range(3):
        ask(budget, 0)
    assert code_of(ask, budget, 0) == "conversation_too_long"


# A server that is known to be slow


def test_slow_answers_leave_a_tenant_its_places_alone(clock, ask):
    room = Bulkhead()
    for _ in range(9):
        with Budget(room, LIMITS) as budget:
            ask(budget, 0.9)
            clock.now -= 0.9  # they wait at the same time
    four = [Budget(room, LIMITS) for _ in range(4)]
    assert code_of(Budget, room, LIMITS) == "server_busy"
    four[0].end()
    Budget(room, LIMITS)


def test_fast_answers_in_between_change_nothing(clock, ask):
    room = Bulkhead()
    for _ in range(9):
        with Budget(room, LIMITS) as budget:
            ask(budget, 0.9)
            clock.now -= 0.9
            for _ in range(11):
                ask(budget, 0.001)
    four = [Budget(room, LIMITS) for _ in range(4)]
    assert code_of(Budget, room, LIMITS) == "server_busy"
    assert len(four) == 4


def test_what_was_slow_is_forgotten_after_a_while(clock, ask):
    room = Bulkhead()
    for _ in range(40):
        with Budget(room, LIMITS) as budget:
            ask(budget, 0.9)
            clock.now -= 0.9
    clock.now += 40 * 0.9 / LIMITS.slow_steps
    assert len([Budget(room, LIMITS) for _ in range(LIMITS.crowd)]) == LIMITS.crowd > LIMITS.slow_steps


def test_nothing_is_remembered_for_longer_than_a_login(clock, ask):
    room = Bulkhead()
    for _ in range(1000):
        room.count(9.9, LIMITS)
    clock.now += LIMITS.login_seconds + 1
    assert len([Budget(room, LIMITS) for _ in range(16)]) == 16


def test_one_slow_login_after_the_other_is_not_too_much(ask):
    room = Bulkhead()
    for _ in range(20):
        with Budget(room, LIMITS) as budget:
            for _ in range(3):
                ask(budget, 0.9)
    assert len([Budget(room, LIMITS) for _ in range(8)]) == 8


# Crowds


def come_at_once(room, ask, people, share, answers):
    """Let *people* do the same step one after the other; returns the bulkhead, which remembers how long they waited."""
    for _ in range(people):
        with Budget(room, LIMITS, share) as budget:
            for seconds in answers:
                ask(budget, seconds)
    return room


def how_many_begin(room, share):
    """Return how many of twenty people at once may begin a step."""
    budgets = []
    for _ in range(20):
        try:
            budgets.append(Budget(room, LIMITS, share))
        except BitbucketServerError:
            break
    for budget in budgets:
        budget.end()
    return len(budgets)


@pytest.mark.parametrize(
    ("share", "answers", "begin"),
    [
        (CALLBACK, [0.1] * 4, 20),
        (CALLBACK, [0.4] * 4, 8),
        (CALLBACK, [0.16] * 10, 8),
        (BEGIN, [0.4], 20),
        (BEGIN, [0.55], 8),
        (WHOLE, [0.2] * 4, 20),
        (WHOLE, [0.5] * 4, 8),
    ],
    ids=str,
)
def test_brief_steps_are_any_number_and_of_others_half_of_the_threads(ask, share, answers, begin):
    room = come_at_once(Bulkhead(), ask, 12, share, answers)
    assert how_many_begin(room, share) == begin
    assert how_many_begin(room, share) == begin, "those that ended are counted no more"


def test_how_long_callbacks_take_is_known_from_the_beginnings(ask):
    room = come_at_once(Bulkhead(), ask, 12, BEGIN, [0.4])
    assert how_many_begin(room, CALLBACK) == 8
    assert how_many_begin(room, BEGIN) == 20


def test_one_slow_answer_makes_no_slow_server(ask):
    room = come_at_once(Bulkhead(), ask, 12, CALLBACK, [0.05] * 4)
    come_at_once(room, ask, 1, CALLBACK, [0.9, 0.05, 0.05, 0.05])
    assert how_many_begin(room, CALLBACK) == 20


def test_a_server_that_is_fast_again_may_have_a_crowd_again(ask):
    room = come_at_once(Bulkhead(), ask, 12, CALLBACK, [0.4] * 4)
    come_at_once(room, ask, 8, CALLBACK, [0.05] * 4)
    assert how_many_begin(room, CALLBACK) == 20


# Tenants


def test_each_tenant_has_a_bulkhead_of_its_own():
    bulkheads = Bulkheads()
    assert bulkheads.of("organization a") is bulkheads.of("organization a")
    assert bulkheads.of("organization a") is not bulkheads.of("organization b")


def test_of_many_tenants_the_idle_ones_are_forgotten(clock, ask):
    bulkheads = Bulkheads(most=3)
    busy = bulkheads.of("busy")
    budget = Budget(busy, LIMITS)
    ask(budget, 5)
    for number in range(10):
        bulkheads.of(f"tenant {number}")
    assert bulkheads.of("busy") is busy
    assert len(bulkheads) <= 3


# Pauses that a server asks for


def test_a_pause_puts_the_deadline_off(clock, ask):
    budget = Budget(Bulkhead(), LIMITS)
    slept = []
    assert budget.pause(29, slept.append)
    clock.now += 29
    assert ask(budget, 5) == "an answer"
    assert slept == [29]


def test_a_long_pause_needs_a_place_and_a_short_one_none(ask):
    room = Bulkhead()
    slow = [Budget(room, LIMITS) for _ in range(4)]
    one_more, slept = Budget(room, LIMITS), []
    for budget in slow:
        ask(budget, 5)
    assert one_more.pause(1, slept.append)
    assert not one_more.pause(1, slept.append)
    assert slept == [1]


# Settings


def test_without_settings_the_limits_are_the_default_ones():
    assert LIMITS.with_settings(lambda name: None) == LIMITS


def test_settings_change_the_limits_that_they_name():
    settings = {"LOGIN_SECONDS": 60, "SLOW_STEPS": 8}
    limits = LIMITS.with_settings(settings.get)
    assert (limits.login_seconds, limits.slow_steps) == (60, 8)
    assert limits.patience == LIMITS.patience


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOGIN_SECONDS", 0),
        ("LOGIN_SECONDS", "30"),
        ("LOGIN_SECONDS", 3601),
        ("LOGIN_SECONDS", True),
        ("PATIENCE", 0),
        ("PATIENCE", -1),
        ("PATIENCE", 3000),
        ("PATIENCE", "2"),
        ("SLOW_STEPS", 0),
        ("SLOW_STEPS", 2.5),
        ("SLOW_STEPS", True),
        ("SLOW_STEPS", "4"),
    ],
)
def test_a_limit_that_is_none_is_refused_by_its_name(name, value):
    with pytest.raises(BitbucketServerError) as caught:
        Limits().with_settings({name: value}.get)
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", name)


def test_integrations_of_one_organization_share_a_bulkhead(integration):
    first, second = (replace(integration, id=name, organization="acme") for name in ("one", "two"))
    alone = replace(integration, id="acme")
    assert first.tenant == second.tenant != alone.tenant
    assert replace(integration, id="one").tenant != replace(integration, id="two").tenant
