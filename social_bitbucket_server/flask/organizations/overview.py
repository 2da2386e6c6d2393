"""Integrations at a glance, for the admin: what state each is in, who logs in through it, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...organizations import Condition, Notice, State, ending_certificates
from ...problems import PROBLEMS, Who
from ...sqlalchemy.organizations import IntegrationMixin, clock
from . import words
from .current import store
from .events_in_words import in_words

_KINDS = {State.FAILING: "bad", State.WORKING: "good", State.DISABLED: ""}
_ORDER = (State.FAILING, State.DRAFT, State.NEVER_USED, State.WORKING, State.DISABLED)


@dataclass(frozen=True)
class Summary:
    """One integration in a list.

    *last_person* is the name of the person who logged in last, and empty if nobody did or they were deleted.
    """

    record: IntegrationMixin
    condition: Condition
    people: int
    last_person: str

    @property
    def state(self) -> State:
        """How the integration fares."""
        return self.condition.state

    @property
    def kind(self) -> str:
        """How its condition is marked: ``good``, ``wait``, ``bad``, or nothing for what is off."""
        if self.state is State.WORKING and (self.waits or self.ending):
            return "wait"
        return _KINDS.get(self.state, "wait")

    @cached_property
    def ending(self) -> tuple[Notice, ...]:
        """The notices of certificates that end soon or have ended. A disabled integration has none."""
        return ending_certificates(self.record, clock.now()) if self.state is not State.DISABLED else ()

    @property
    def waits(self) -> str:
        """The thing that a working integration waits for, in words. Empty if it waits for nothing."""
        if self.state is not State.WORKING:
            return ""
        if self.record.moving_to:
            return "The new base URL waits for a trial login"
        if self.record.pending_key_pair:
            return "A new key pair waits for Bitbucket"
        if self.record.replaced_key_pair:
            return "The old application link can be removed"
        if len(self.record.ways) > 1:
            return "OAuth 2 waits for its first login"
        return ""

    @property
    def needs_an_admin(self) -> bool:
        """Whether an admin has something to do."""
        return self.state in {State.FAILING, State.DRAFT} or bool(self.waits or self.ending)

    @property
    def oauth(self) -> str:
        """The versions of OAuth that people log in by."""
        return "OAuth " + (" and ".join(self.record.ways) or "2")

    @property
    def address(self) -> str:
        """The base URL without its scheme."""
        return self.record.base_url.partition("://")[2]


def admission_of(record: IntegrationMixin) -> str:
    """Return who may log in, in numbers: "Everybody", or "2 groups, 1 project"."""
    numbers = (
        (len(record.allow_groups), "group", "groups"),
        (len(record.allow_projects), "project", "projects"),
        (len(record.allow_repositories), "repository", "repositories"),
    )
    return ", ".join(words.count(*number) for number in numbers if number[0]) or "Everybody"


def key_pair_of(record: IntegrationMixin) -> str:
    """Return what there is to say about the key pair: whether another one waits, or how old it is."""
    if record.pending_key_pair is not None:
        return "A new one waits"
    if record.replaced_key_pair is not None:
        return "The old link can be removed"
    pair = record.active_key_pair
    return f"Made {words.ago(pair.created_at)}" if pair is not None else ""


def of(organization: Any) -> list[Summary]:
    """Return all integrations, those that need an admin first. It takes a fixed number of statements."""
    return sorted(
        summaries(store.integrations.of(organization)),
        key=lambda summary: (not summary.needs_an_admin, _ORDER.index(summary.state), summary.record.number),
    )


def trouble_of(summary: Summary, application: str) -> dict[str, Any] | None:
    """Return why an integration fails, or ``None`` if it does not: what, since when, who can mend it, what to do, and
    the first and last event.

    *message* has paragraphs to pass on. It is empty where the organization's own admin can mend it. *application* is
    the name for it.
    """
    condition, record = summary.condition, summary.record
    if condition.since is None:
        return None
    problem = PROBLEMS.get(condition.problem or "")
    number, first, last = store.events.failures_since(record, condition.since)
    both = in_words(record.organization, [row for row in (first, last) if row is not None])
    trouble = {
        "title": problem.title if problem else "The last test failed.",
        "meaning": problem.meaning if problem else "",
        "since": condition.since,
        "is_for_bitbucket_admin": problem is not None and problem.who is Who.BITBUCKET_ADMIN,
        "is_for_operator": problem is not None and problem.who is Who.OPERATOR,
        "remedy": problem.remedy if problem else "Test the connection. It says what is wrong.",
        "message": (),
        "failures": number,
        "first": both[0] if both else None,
        "last": both[-1] if both else None,
    }
    if trouble["is_for_bitbucket_admin"] or trouble["is_for_operator"]:
        reference = f" Reference number {both[-1].reference}." if both and both[-1].reference else ""
        since = words.in_full(condition.since)
        what = f"Since {since}, people cannot log in to {application} with an account of {summary.address}."
        trouble["message"] = (f"{what} {trouble['title']} {trouble['meaning']}", f"{trouble['remedy']}{reference}")
    return trouble


def summaries(records: Sequence[IntegrationMixin]) -> list[Summary]:
    """Return *records* at a glance."""
    ids = [record.id for record in records]
    conditions = store.events.conditions_of(records)
    people, last = store.identities.counts(ids), store.identities.last_persons(ids)
    return [
        Summary(record, conditions[record.id], people.get(record.id, 0), last.get(record.id, "")) for record in records
    ]
