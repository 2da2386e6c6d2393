"""The signal that tells an application's own code of each event."""

import pytest
from django.db import transaction

from social_bitbucket_server.django import events, integrations
from social_bitbucket_server.django.events import event_recorded
from social_bitbucket_server.django.models import Event
from social_bitbucket_server.organizations import EventCode
from tests.frameworks.django.conftest import happenings


@pytest.fixture
def told():
    told = []

    def receive(sender, event, details, **_kwargs):
        assert sender is Event
        told.append((event, details))

    event_recorded.connect(receive)
    yield told
    event_recorded.disconnect(receive)


def test_a_login_is_told_with_identifiers_alone(told, acme, bitbucket_sandbox, visitor):
    told.clear()
    visitor.log_in(acme, bitbucket_sandbox)
    assert [event for event, _ in told] == [EventCode.LOGIN_BEGIN, EventCode.LOGIN_SUCCESS]
    assert set(told[1][1]) == {"integration_id", "user_id"}
    assert told[1][1]["integration_id"] == acme.pk
    assert "jane" not in str(told)


def test_a_failed_login_is_told_with_its_problem_stage_and_reference(told, acme, bitbucket_sandbox, visitor):
    begun = visitor.begin(acme)
    visitor.open(bitbucket_sandbox.authorize(begun["Location"], allow=False))
    event, details = told[-1]
    assert event is EventCode.LOGIN_FAILURE
    assert set(details) == {"integration_id", "problem", "stage", "reference"}
    assert (details["problem"], details["stage"]) == ("login_declined", "callback")


def test_what_is_taken_back_is_not_told(told):
    with transaction.atomic():
        events.record(EventCode.KEY_PROMOTED)
        transaction.set_rollback(True)
    assert told == []


def test_a_receiver_that_fails_breaks_nothing(told, acme, caplog):
    def fail(**_kwargs):
        raise ValueError("jane")

    event_recorded.connect(fail)
    try:
        integrations.enable(acme, enabled=False)
    finally:
        event_recorded.disconnect(fail)
    assert told[-1][0] is EventCode.INTEGRATION_DISABLED
    assert happenings()[-1] == "integration.disabled"
    assert "failed at integration.disabled: ValueError" in caplog.text
