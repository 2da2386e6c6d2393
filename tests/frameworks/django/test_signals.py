"""The signal and the setting that tell an application's own code of each event."""

from urllib.parse import urlsplit

import pytest
from django.db import transaction
from django.middleware.csrf import _get_new_csrf_string
from django.test import override_settings

from social_bitbucket_server.django import events, integrations
from social_bitbucket_server.django.events import event_recorded
from social_bitbucket_server.django.models import Event
from social_bitbucket_server.organizations import EventCode
from tests.frameworks.django.conftest import Visitor, happenings, newest_event


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


def listen(event, details):
    LISTENED.append((event, details))


LISTENED = []


@pytest.fixture
def listened():
    """What the function of the setting is told."""
    LISTENED.clear()
    with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_ON_EVENT=f"{__name__}.listen"):
        yield LISTENED


def test_the_function_of_the_setting_is_told_what_the_signal_tells(told, listened, acme, bitbucket_sandbox, visitor):
    told.clear()
    listened.clear()
    visitor.log_in(acme, bitbucket_sandbox)
    visitor.open(bitbucket_sandbox.authorize(visitor.begin(acme)["Location"], allow=False))
    integrations.enable(acme, enabled=False)
    events_told = [EventCode.LOGIN_BEGIN, EventCode.LOGIN_SUCCESS, EventCode.LOGIN_BEGIN, EventCode.LOGIN_FAILURE]
    assert [event for event, _ in told] == [*events_told, EventCode.INTEGRATION_DISABLED]
    assert listened == told


@pytest.mark.usefixtures("single")
def test_with_one_server_each_login_is_told_once(listened, single):
    for allow in (True, False):
        client = Visitor().client
        client.cookies["csrftoken"] = token = _get_new_csrf_string()
        begun = client.post("/login/bitbucket-server/", {"csrfmiddlewaretoken": token})
        callback = urlsplit(single.authorize(begun["Location"], user="jane", allow=allow))
        client.get(f"{callback.path}?{callback.query}")
    events_told = [EventCode.LOGIN_BEGIN, EventCode.LOGIN_SUCCESS, EventCode.LOGIN_BEGIN, EventCode.LOGIN_FAILURE]
    assert [event for event, _ in listened] == events_told
    assert listened[-1][1] == {
        "integration_id": "default",
        "problem": "login_declined",
        "stage": "callback",
        "reference": newest_event().reference,
    }


def test_a_function_that_fails_ends_no_login(acme, bitbucket_sandbox, visitor, caplog):
    with override_settings(SOCIAL_AUTH_BITBUCKET_SERVER_ON_EVENT=lambda event, details: details["nothing"]):
        assert visitor.log_in(acme, bitbucket_sandbox).status_code == 303
    assert visitor.name == "jane"
    assert "ON_EVENT failed at login.success: KeyError" in caplog.text
