"""Old events are deleted by a command alone, and what is still needed stays."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from social_bitbucket_server.flask.organizations.current import store
from social_bitbucket_server.organizations import State
from social_bitbucket_server.sqlalchemy.organizations import clock, events
from tests.capabilities import capability
from tests.flask_app import database
from tests.flask_app.models import models
from tests.flow.site import log_in, on_every_database


def add(site, days, event="admin.denied", **columns):
    """An event as it was written so many days ago."""
    row = {"at": clock.now() - timedelta(days=days), "event": event, "outcome": "success", "details": {}} | columns
    with site.app.app_context():
        database.session.execute(insert(models.event).values(row))
        database.session.commit()


def ages(site, event="admin.denied"):
    now = clock.now()
    with site.app.app_context():
        moments = database.session.scalars(select(models.event.at).where(models.event.event == event))
        return sorted(round((now - at) / timedelta(days=1)) for at in moments)


def condition(site, integration):
    with site.app.app_context():
        return store.events.condition_of(database.session.get_one(models.integration, integration))


def prune(site, *arguments):
    result = site.app.test_cli_runner().invoke(args=["bitbucket-server", "prune", *arguments])
    return result.exit_code, result.output.splitlines()


@capability("pruning")
@on_every_database
def test_old_events_are_deleted_by_command_and_younger_ones_stay(site, monkeypatch):
    monkeypatch.setattr(events, "_DELETED_AT_ONCE", 2)
    for days in (1, 89, 91, 120, 120, 400):
        add(site, days)
    assert prune(site, "--events-older-than", "119")[1][1] == "3 events older than 119 days are deleted."
    assert ages(site) == [1, 89, 91]
    assert prune(site, "--events-older-than", "90")[1][1] == "1 events older than 90 days are deleted."
    assert ages(site) == [1, 89]
    assert prune(site, "--events-older-than", "90")[1][1] == "0 events older than 90 days are deleted."
    assert ages(site, "audit.pruned") == [0, 0, 0]


def test_without_the_option_events_are_left_alone(site):
    add(site, 400)
    assert prune(site) == (0, ["0 logins that are over are forgotten."])
    assert ages(site) == [400]


@pytest.mark.parametrize("days", ["89", "0", "-1", "all"])
def test_less_than_ninety_days_is_refused(site, days):
    add(site, 400)
    status, lines = prune(site, "--events-older-than", days)
    assert (status, ages(site)) == (2, [400])
    assert "--events-older-than" in lines[-1]


@on_every_database
def test_how_an_integration_fares_is_known_after_old_events_are_gone(site, acme, sandbox):
    log_in(site.visitor(), acme, sandbox)
    integration = acme.rpartition("/")[2]
    for days, event, problem in (
        (400, "login.success", None),
        (300, "login.success", None),
        (200, "login.failure", "signature_invalid"),
        (150, "login.failure", "signature_invalid"),
    ):
        add(site, days, event, integration_id=integration, problem=problem)
    before = condition(site, integration)
    assert before.state is State.FAILING
    assert prune(site, "--events-older-than", "90")[0] == 0
    assert ages(site, "login.success") == [0, 300]
    assert ages(site, "login.failure") == [200]
    assert condition(site, integration) == before
