"""Rules of many organizations, for an application with tables of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from social_bitbucket_server.account import Profile
from social_bitbucket_server.organizations import (
    ENDED_ATTEMPTS,
    FAILED_ATTEMPTS,
    TO_BE_MENDED,
    ClosedBy,
    Condition,
    EventCode,
    EventKind,
    FailureEvent,
    LoginOutcome,
    LoginWays,
    OAuth,
    OAuthVersions,
    ServerChange,
    SetupStep,
    State,
    condition,
    link_name,
    link_path,
    login_outcome,
    next_step,
    server_change,
    shows_same_server,
)


@dataclass
class Row:
    at: datetime
    event: str
    problem: str | None


def sentences(kind: EventKind) -> dict[str, str]:
    return {code.value: code.sentence for code in EventCode if code.kind is kind and code.is_shown}


def labels() -> list[tuple[str, str, int]]:
    return [(kind.value, kind.label, len(kind.codes)) for kind in EventKind]


def condition_of(rows: list[Row], is_used: bool) -> Condition:
    failed = next((row for row in rows if row.event in FAILED_ATTEMPTS and row.problem in TO_BE_MENDED), None)
    failure = FailureEvent(failed.at, failed.problem) if failed is not None else None
    return condition(is_enabled=True, has_worked=True, is_used=is_used, failure=failure)


def advice(found: Condition) -> str:
    if found.state is State.FAILING and found.since is not None:
        hint = "Test the connection. " if found.is_explained else ""
        return f"{found.since:%Y-%m-%d} {found.cause} {hint}{found.remedy}"
    step: SetupStep | None = next_step(found.state, has_credentials=True, is_tested=False)
    return step.value if step is not None and found.is_ready else ""


def outcomes(rows: list[Row]) -> list[LoginOutcome]:
    ended = [row for row in rows if row.event in ENDED_ATTEMPTS]
    return [login_outcome(row.event, problem=row.problem, may_come_back=False) for row in ended]


def place(integration: int, link: int) -> tuple[str, str]:
    path = link_path("/o/acme/", integration=integration, link=link)
    return path, link_name("Packages", "Acme", integration=integration, link=link, is_upgrade=False)


def buttons(versions: OAuthVersions, ways: LoginWays, integration_id: str) -> list[str]:
    closed_by: ClosedBy | None = ways.closed_by(integration_id)
    return [oauth.backend for oauth in versions.usable] if closed_by is None else []


def is_upgrade(versions: OAuthVersions, wanted: str | None) -> bool:
    return versions.choose(wanted) is OAuth.TWO and versions.is_tried(OAuth.TWO)


def keeps_people(before: str, after: str, profile: Profile, known_username: str | None) -> bool:
    is_same = shows_same_server(profile, known_username)
    change = server_change(before, after, has_people=True, says_moved=is_same, needs_proof=True)
    return change is not ServerChange.ANOTHER
