"""The test of an integration's connection, stage by stage, for its owner."""

from __future__ import annotations

from flask import url_for

from social_bitbucket_server.checkup import Outcome, Result, check_up, first_failure

from . import audit, integrations, navigation
from .models import IntegrationRecord


def test(record: IntegrationRecord) -> list[Result]:
    """What each stage found; how it came out is recorded."""
    callback = navigation.absolute(url_for("login.complete", integration=record.id))
    results = list(check_up(lambda: integrations.signing_with(record, record.active_key_pair), callback))
    failed = first_failure(results)
    audit.record(
        "integration.tested",
        outcome=Outcome.PASSED if failed is None else Outcome.FAILED,
        integration_id=record.id,
        problem=failed.problem.code if failed is not None and failed.problem is not None else None,
    )
    return results
