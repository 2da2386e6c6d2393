"""Tests of somebody's own application."""

from __future__ import annotations

from typing import Any

from social_bitbucket_server.sandbox import (
    BrowserError,
    Consumer,
    ExternalApplication,
    Faults,
    Link,
    LinkRefusedError,
    LoginFailedError,
    Project,
    RequestRecord,
    Sandbox,
    User,
)


def a_person_logs_in(bitbucket_sandbox: Sandbox, client: Any) -> int:
    settings: dict[str, str] = bitbucket_sandbox.settings()
    try:
        answer = bitbucket_sandbox.login(client, "jane", page="/", allow=True)
    except LoginFailedError as error:
        return len(str(error)) + len(settings)
    records: list[RequestRecord] = list(bitbucket_sandbox.requests)
    return int(answer.status_code) + len(records)


def what_is_linked(public_key: str) -> str:
    with Sandbox(users=[User(1, "jane", "Jane")]) as sandbox:
        try:
            link: Link = sandbox.link(consumer_key="my-application", public_key=public_key)
        except LinkRefusedError as error:
            return str(error)
        sandbox.links.set_consumer(link.id, Consumer("my-application", "My application", public_key))
        other: ExternalApplication = sandbox.link_external_application(redirect_url="https://app.example.com/back")
        faults: Faults = sandbox.faults
        faults.server_error = True
        sandbox.clock.advance(601)
        try:
            return sandbox.authorize(f"{sandbox.url}/x", user="jane") + other.client_id
        except BrowserError as error:
            return str(error.status)


def projects() -> list[Project]:
    return []
