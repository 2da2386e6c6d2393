"""Limits on waiting for servers: a budget for each step of a login, and a bulkhead for each tenant.

A worker has few threads, and one organization's slow server must not hold them all. A step is whatever one thread does
at a server: it begins a login, finishes one, checks an integration up, or calls Bitbucket's REST API.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from ..problems import BitbucketServerError, Code

_T = TypeVar("_T")

LONGEST_LOGIN = 3600
"""Seconds that a whole login may be given."""

MOST_REQUESTS = 12
"""Requests of a whole login, of a check-up, and of a REST call."""

_EARLY = 0.01  # seconds that a timer may ring before its time
_LATE = 0.25  # seconds by which it rings late when this process, or the machine, is very busy
_SHORT = 0.05  # seconds of a wait that is not looked at closely
_WEIGHT = 0.25  # of the newest value in an average


def _invalid(parameter: str, reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.SETTING_INVALID, reason, parameter=parameter)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits on how long an organization's server may keep threads waiting.

    *login_seconds*: for a whole login, and for a whole check-up. *patience*: seconds that a step may wait for the
    server whatever else is going on. *slow_steps*: steps of one organization that may wait longer than that at the same
    time; choose a quarter of a worker's threads. Raises ``setting_invalid``.
    """

    login_seconds: float = 30.0
    # A callback with four answers of 0.4 seconds fits in. Others wait less than two seconds when a server hangs.
    patience: float = 1.75
    slow_steps: int = 4

    def __post_init__(self) -> None:
        if type(self.login_seconds) not in {int, float} or not 0 < self.login_seconds <= LONGEST_LOGIN:
            raise _invalid("LOGIN_SECONDS", f"It is a number of seconds up to {LONGEST_LOGIN}.")
        if type(self.patience) not in {int, float} or not 0 < self.patience <= self.login_seconds:
            raise _invalid("PATIENCE", "It is a number of seconds, at most LOGIN_SECONDS.")
        if type(self.slow_steps) is not int or self.slow_steps < 1:
            raise _invalid("SLOW_STEPS", "It is a number of steps, at least 1.")

    def with_settings(self, setting: Callable[[str], Any]) -> Limits:
        """Return these limits with those that are configured in their place.

        *setting* looks a setting up by its name without prefix. Raises ``setting_invalid``.
        """
        configured = {
            "login_seconds": setting("LOGIN_SECONDS"),
            "patience": setting("PATIENCE"),
            "slow_steps": setting("SLOW_STEPS"),
        }
        given = {name: value for name, value in configured.items() if value is not None}
        return replace(self, **given) if given else self

    @property
    def slow_answer(self) -> float:
        """Seconds after which one answer is slow. A callback needs three at least, so none slower than that fits into
        the patience."""
        return self.patience / 3

    @property
    def patience_for_one_answer(self) -> float:
        """Seconds that a step may wait for one answer alone. A server that hangs ends steps sooner than one that
        answers."""
        return self.patience * 2 / 3

    @property
    def crowd(self) -> int:
        """The number of steps of one organization that may be in progress before others must be brief.

        It is half of a worker's threads if :attr:`slow_steps` is a quarter of them."""
        return 2 * self.slow_steps

    def is_brief(self, seconds: float, share: Share) -> bool:
        """Return whether a step that has this *share* may wait for *seconds*, however many others do."""
        return seconds < self.patience * share.fraction * 5 / 6


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a whole login that a step may use: a *fraction* of its seconds, and a number of *requests*. *answers*
    is how many it needs at least."""

    fraction: float
    requests: int
    answers: int


BEGIN = Share(1 / 3, 2, answers=1)
CALLBACK = Share(2 / 3, MOST_REQUESTS - BEGIN.requests, answers=3)
WHOLE = Share(1, MOST_REQUESTS, answers=3)


class Bulkhead:
    """The threads of one tenant that wait for its servers, in one process.

    Slow steps have *places*, as many as :attr:`Limits.slow_steps`. A step takes one when its patience is over. While
    the tenant's server is known to be slow, a step takes its place when it begins. Without a free place the step ends.

    Any number of brief steps may be in progress without a place. If steps are longer, and there are as many as
    :attr:`Limits.crowd`, no other one begins.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0
        self._in_progress = 0
        self._slow_until = 0.0
        self._answered_at = 0.0
        self._usual_answer = 0.0
        self._usual_step: dict[Share, float] = {}

    def enter(self, limits: Limits, share: Share) -> bool:
        """Let a step begin. Return whether it has a place already. Raises ``server_busy``."""
        with self._lock:
            is_crowded = self._in_progress >= limits.crowd and not limits.is_brief(self._expected(share, limits), share)
            if is_crowded or self._taken >= limits.slow_steps:
                raise BitbucketServerError(Code.SERVER_BUSY)
            is_slow = self._slow_until - time.monotonic() > limits.patience
            self._taken += is_slow
            self._in_progress += 1
            return is_slow

    def _expected(self, share: Share, limits: Limits) -> float:
        """Return how many seconds a step will probably wait. Answers older than a login may take do not count."""
        if time.monotonic() - self._answered_at > limits.login_seconds:
            return 0.0
        return max(self._usual_step.get(share, 0.0), self._usual_answer * share.answers)

    def leave(self, share: Share, waited: float | None) -> None:
        """Let a step end that *waited* so many seconds in all, or asked nothing."""
        with self._lock:
            self._in_progress -= 1
            if waited is not None:
                usual = self._usual_step.get(share, waited)
                self._usual_step[share] = usual + (waited - usual) * _WEIGHT

    def take_place(self, limits: Limits) -> bool:
        """Take a place for a step whose patience is over. Return whether one was free."""
        with self._lock:
            is_free = self._taken < limits.slow_steps
            self._taken += is_free
            return is_free

    def give_place_back(self) -> None:
        """Free the place of a step that ended."""
        with self._lock:
            self._taken -= 1

    def count(self, seconds: float, limits: Limits) -> None:
        """Note that a thread waited *seconds* for one answer, whatever came of it.

        Slow answers add up, and the sum drains as fast as all places together can wait. So slow answers hold no more
        threads than there are places, on average. Fast answers in between change nothing. A server that was slow is
        taken for fast again after the seconds of a login.
        """
        with self._lock:
            now = time.monotonic()
            self._answered_at = now
            self._usual_answer += (seconds - self._usual_answer) * _WEIGHT
            if seconds > limits.slow_answer:
                until = max(self._slow_until, now) + seconds / limits.slow_steps
                self._slow_until = min(until, now + limits.login_seconds)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to remember."""
        return not self._in_progress and self._slow_until < time.monotonic()


class Bulkheads:
    """The bulkheads of all tenants, each made when it is first asked for. Idle ones are forgotten when there are many.

    *most*: how many are kept if they are idle.
    """

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._known: dict[str, Bulkhead] = {}

    def of(self, tenant: str) -> Bulkhead:
        """Return the bulkhead of *tenant*."""
        found = self._known.get(tenant)
        if found is not None:
            return found
        if len(self) >= self._most:
            for known, bulkhead in list(self._known.items()):
                if bulkhead.is_idle:
                    self._known.pop(known, None)
        return self._known.setdefault(tenant, Bulkhead())

    def __len__(self) -> int:
        return len(self._known)


class Budget:
    """The rest of what one step may cost: time, requests, and a thread that waits. Use it as a context manager.

    The step begins with it. Raises ``server_busy`` if *bulkhead* has no room. With *is_admitted*, the step's requests
    are sent even if other requests fail.
    """

    def __init__(self, bulkhead: Bulkhead, limits: Limits, share: Share = WHOLE) -> None:
        self._bulkhead = bulkhead
        self._limits = limits
        self._share = share
        self._requests_left = share.requests
        self._waited = 0.0
        self._patience = limits.patience_for_one_answer
        self._deadline = time.monotonic() + limits.login_seconds * share.fraction
        self._has_place = bulkhead.enter(limits, share)
        self.is_admitted = False
        self._is_over = False

    @classmethod
    def of_one_request(cls, seconds: float) -> Budget:
        """Return a budget for one request of a program that has no other work, such as a command."""
        return cls(Bulkhead(), Limits(seconds, seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def end(self) -> None:
        """End the step; the server is asked no more."""
        if self._is_over:
            return
        self._is_over = True
        has_asked = self._requests_left < self._share.requests
        self._bulkhead.leave(self._share, self._waited if has_asked else None)
        if self._has_place:
            self._has_place = False
            self._bulkhead.give_place_back()

    def request(self) -> AbstractContextManager[None]:
        """Count one request, and how long its answer takes. Raises ``conversation_too_long`` after too many."""
        if self._requests_left <= 0:
            raise BitbucketServerError(Code.CONVERSATION_TOO_LONG)
        self._requests_left -= 1
        return self.answer()

    @contextmanager
    def answer(self) -> Iterator[None]:
        """Count how long one answer takes."""
        before = self._waited
        self._patience = min(self._limits.patience, before + self._limits.patience_for_one_answer)
        try:
            yield
        finally:
            self._bulkhead.count(self._waited - before, self._limits)

    def deadline(self, seconds: float) -> float:
        """Return when something ends that may take *seconds*, by :func:`time.monotonic`: not after the step."""
        return min(time.monotonic() + seconds, self._deadline)

    def wait(self, block: Callable[[float], _T], deadline: float, lag: Callable[[], float | None] = lambda: None) -> _T:
        """Call *block*, which waits for the server, and return what it returns.

        *block* gets the seconds that it may wait, and raises TimeoutError after them. Where patience is over before the
        *deadline*, *block* is called again, if the step gets a place. *lag* tells how many seconds ago the last sign of
        the server came in, or ``None``. Raises TimeoutError after the deadline, and ``server_busy`` without a
        place.

        What counts as waiting is the time that the server took. In a busy process a thread also waits for others.
        """
        stretch = 1
        while True:
            began = time.monotonic()
            seconds = deadline - began
            if seconds <= 0:
                raise TimeoutError
            if not self._has_place:
                seconds = min(seconds, self._seconds_without_place() * stretch)
            try:
                result = block(seconds)
            except TimeoutError:
                took = time.monotonic() - began
                if took < seconds - _EARLY:
                    raise  # the network's own
                came_in = lag()
                if came_in is not None:
                    self._waited += took - came_in if came_in < took else seconds
                elif took < seconds + _LATE:
                    self._waited += seconds
                else:
                    # An event loop that is late looks at its timers first, and the server may have answered.
                    stretch *= 2
            else:
                took = time.monotonic() - began
                came_in = lag() if took > _SHORT else None
                self._waited += max(took - (came_in or 0.0), 0.0)
                return result

    def pause(self, seconds: float, sleep: Callable[[float], None]) -> bool:
        """Sleep for *seconds*, because the server asks for it, and put the deadline off for as long.

        Return whether it did: a pause longer than the patience needs a place.
        """
        if not self._has_place and self._waited + seconds >= self._limits.patience:
            self._has_place = self._bulkhead.take_place(self._limits)
            if not self._has_place:
                return False
        sleep(seconds)
        self._waited += seconds
        self._deadline += seconds
        return True

    def _seconds_without_place(self) -> float:
        """Return how many seconds the step may wait without a place. If its patience is over, take one."""
        left = self._patience - self._waited
        if left > 0:
            return max(left, _EARLY)
        self._has_place = self._bulkhead.take_place(self._limits)
        if not self._has_place:
            raise BitbucketServerError(Code.SERVER_BUSY)
        return self._limits.login_seconds
