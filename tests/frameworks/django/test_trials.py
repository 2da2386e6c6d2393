"""The trial login shows staff whether people may log in, and is worth nothing else."""

from unittest.mock import Mock

import pytest
from django.contrib.auth import get_user_model
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import events, integrations, login_ways
from social_bitbucket_server.organizations import State
from social_bitbucket_server.problems import BitbucketServerError, Code
from social_bitbucket_server.transport.bulkhead import Bulkhead
from tests.capabilities import capability
from tests.frameworks.django.conftest import Visitor, newest_event
from tests.frameworks.django.test_admin import ADMIN, press, setup_page, text_of


def trial_page(record):
    return f"{ADMIN}{record.pk}/trial/"


def try_login(staff, record, sandbox, user="jane", **allow):
    """The whole way; returns the page that shows the result."""
    begun = press(staff, record, "try")
    assert begun.status_code == 303
    back = staff.open(sandbox.authorize(begun["Location"], user=user, **allow))
    assert (back.status_code, back["Location"]) == (303, trial_page(record))
    return text_of(staff.open(back["Location"]))


@capability("trial login")
def test_a_trial_shows_the_account_and_logs_nobody_in(staff, acme, bitbucket_sandbox):
    page = try_login(staff, acme, bitbucket_sandbox)
    assert "Bitbucket says that you are <strong>Jane Doe</strong>." in page
    assert staff.name == "root"
    assert not UserSocialAuth.objects.exists()
    assert get_user_model().objects.count() == 1
    assert (newest_event().what, newest_event().problem) == ("integration.tested", "")
    assert newest_event().user_id == str(get_user_model().objects.get().pk)
    assert events.condition_of(acme).state is State.NEVER_USED


def test_a_trial_works_while_the_login_link_is_closed(staff, acme, bitbucket_sandbox):
    login_ways.close_link(acme)
    assert "Bitbucket says that you are" in try_login(staff, acme, bitbucket_sandbox)


def test_a_trial_says_which_conditions_hold(staff, acme, bitbucket_sandbox):
    acme.allow_groups, acme.allow_projects = ["nobody"], ["NONE"]
    integrations.change(acme)
    page = try_login(staff, acme, bitbucket_sandbox)
    for sentence in ("You may not log in", "You are no member of nobody.", "You cannot see NONE."):
        assert sentence in page


def test_a_trial_that_fails_says_why_and_is_an_event(staff, acme, bitbucket_sandbox):
    begun = press(staff, acme, "try")
    back = bitbucket_sandbox.authorize(begun["Location"], user="jane")
    bitbucket_sandbox.faults.update({"server_error": True, "only_path": "/access-token"})
    page = text_of(staff.open(staff.open(back)["Location"]))
    assert "The Bitbucket Server reported an error of its own." in page
    event = newest_event()
    assert (event.what, event.problem) == ("integration.tested", "server_error")
    assert f"Reference {event.reference}" in page


def test_a_trial_that_cannot_begin_says_why(staff, acme, bitbucket_sandbox):
    bitbucket_sandbox.faults.server_error = True
    page = press(staff, acme, "try")
    assert page.status_code == 502
    assert "The Bitbucket Server reported an error of its own." in text_of(page)


@pytest.mark.parametrize(
    ("user", "allow", "says"), [("jane", {"allow": False}, "Access was declined"), ("build-bot", {}, "not a person")]
)
def test_what_is_one_persons_own_does_not_make_the_integration_fail(staff, acme, bitbucket_sandbox, user, allow, says):
    Visitor().log_in(acme, bitbucket_sandbox)
    page = try_login(staff, acme, bitbucket_sandbox, user, **allow)
    assert says in page
    acme.refresh_from_db()
    assert events.condition_of(acme).state is State.WORKING


def test_a_trial_that_comes_back_to_another_person_is_refused(staff, acme, bitbucket_sandbox):
    begun = press(staff, acme, "try")
    callback = bitbucket_sandbox.authorize(begun["Location"], user="jane")
    assert Visitor().open(callback).status_code == 400
    staff.client.logout()
    assert staff.open(callback).status_code == 400
    assert not bitbucket_sandbox.requests.to("/access-token")


def test_a_trial_works_once(staff, acme, bitbucket_sandbox):
    callback = bitbucket_sandbox.authorize(press(staff, acme, "try")["Location"], user="jane")
    assert staff.open(callback).status_code == 303
    assert staff.open(callback).status_code == 400
    assert len(bitbucket_sandbox.requests.to("/access-token")) == 1


def test_a_trial_that_found_no_room_at_the_server_can_come_back(staff, acme, bitbucket_sandbox, monkeypatch):
    callback = bitbucket_sandbox.authorize(press(staff, acme, "try")["Location"], user="jane")
    with monkeypatch.context() as full:
        full.setattr(Bulkhead, "enter", Mock(side_effect=BitbucketServerError(Code.SERVER_BUSY)))
        refused = staff.open(callback)
    assert (refused.status_code, refused["Refresh"]) == (503, "5")
    assert staff.open(callback)["Location"] == trial_page(acme)


def test_a_disabled_integration_cannot_be_tried(staff, acme, bitbucket_sandbox):
    integrations.enable(acme, enabled=False)
    assert press(staff, acme, "try")["Location"] == setup_page(acme)
    assert not bitbucket_sandbox.requests.to("/request-token")


def test_there_is_no_result_of_another_integration(staff, acme, globex, bitbucket_sandbox):
    try_login(staff, acme, bitbucket_sandbox)
    assert staff.open(trial_page(globex))["Location"] == setup_page(globex)
