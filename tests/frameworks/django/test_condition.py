"""The condition of an integration, from the events in Django's table."""

import re
from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from social_bitbucket_server.django import events, integrations, key_rotation
from social_bitbucket_server.django.models import Event, Integration
from social_bitbucket_server.organizations import State
from social_bitbucket_server.problems import PROBLEMS, Code
from tests.capabilities import capability
from tests.frameworks.django.conftest import Visitor, happenings, link, make_integration
from tests.frameworks.django.test_admin import ADMIN, setup_page, text_of


def condition():
    return events.condition_of(Integration.objects.get())


@capability("condition")
def test_the_state_goes_from_draft_to_working_to_failing_and_back(acme, visitor, bitbucket_sandbox, other_sandbox):
    seen = [condition().state]
    list(integrations.check_up(acme))
    seen.append(condition().state)
    visitor.log_in(acme, bitbucket_sandbox)
    seen.append(condition().state)
    bitbucket_sandbox.faults.server_error = True
    Visitor().begin(acme)
    seen.append(condition().state)
    bitbucket_sandbox.faults.server_error = False
    Visitor().log_in(acme, bitbucket_sandbox)
    seen.append(condition().state)
    record = Integration.objects.get()
    record.base_url = other_sandbox.url
    integrations.change(record)
    seen.append(condition().state)
    Visitor().begin(record)
    seen.append(condition().state)
    link(record, other_sandbox)
    Visitor().log_in(record, other_sandbox)
    seen.append(condition().state)
    integrations.enable(record, enabled=False)
    seen.append(condition().state)
    assert seen == [
        State.DRAFT,
        State.NEVER_USED,
        State.WORKING,
        State.FAILING,
        State.WORKING,
        State.DRAFT,
        State.DRAFT,
        State.WORKING,
        State.DISABLED,
    ]


@capability("condition")
def test_a_failing_integration_says_since_when_and_why(staff, acme, visitor, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    bitbucket_sandbox.faults.server_error = True
    for _ in range(2):
        Visitor().begin(acme)
    first = Event.objects.filter(what="login.failure").earliest("id")
    assert (condition().since, condition().problem) == (first.at, Code.SERVER_ERROR)
    page = text_of(staff.open(setup_page(acme)))
    assert "It has failed since" in page
    assert "It works:" not in page
    assert 'id="login-link"' in page


def test_a_login_that_one_person_declined_does_not_make_it_fail(acme, visitor, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    begun = Visitor().begin(acme)
    Visitor().open(bitbucket_sandbox.authorize(begun["Location"], user="jane", allow=False))
    assert condition().state is State.WORKING


def test_a_change_that_keeps_the_server_keeps_the_condition(acme):
    list(integrations.check_up(acme))
    acme.name = "Acme's code"
    integrations.change(acme)
    assert condition().state is State.NEVER_USED


def test_an_integration_fails_when_a_test_fails_that_passed_before(acme, bitbucket_sandbox):
    list(integrations.check_up(acme))
    bitbucket_sandbox.faults.server_error = True
    list(integrations.check_up(acme))
    assert condition().state is State.FAILING


def test_a_key_pair_that_waits_belongs_to_the_condition(acme):
    key_rotation.begin(acme)
    assert condition().waits_for_key


def fail(record, sandbox):
    sandbox.faults.server_error = True
    Visitor().begin(record)
    sandbox.faults.server_error = False


def notices(staff):
    page = text_of(staff.open(ADMIN))
    return re.findall(r'<p class="errornote">(.*?)</p>', page)


@capability("notices")
def test_the_list_begins_with_what_fails_since_when_and_who_can_mend_it(
    staff, acme, globex, visitor, bitbucket_sandbox, other_sandbox
):
    for record, sandbox in ((acme, bitbucket_sandbox), (globex, other_sandbox)):
        Visitor().log_in(record, sandbox)
    assert notices(staff) == []
    fail(acme, bitbucket_sandbox)
    (notice,) = notices(staff)
    problem = PROBLEMS[Code.SERVER_ERROR]
    since = timezone.localtime(Event.objects.get(what="login.failure").at).strftime("%Y-%m-%d %H:%M %Z")
    assert setup_page(acme) in notice
    assert f"has failed since {since}." in notice
    assert problem.title in notice
    assert f"This is for {problem.who.value}." in notice
    assert re.findall(r'class="field-state">([^<]+)<', text_of(staff.open(ADMIN))) == ["Failing", "In use"]
    assert "Failing" in text_of(staff.open(f"{ADMIN}{acme.pk}/change/"))
    Visitor().log_in(acme, bitbucket_sandbox)
    assert notices(staff) == []


def test_nothing_is_said_of_what_never_worked_is_disabled_or_nobody_has_tried_for_long(
    staff, acme, globex, bitbucket_sandbox, other_sandbox
):
    fail(globex, other_sandbox)
    Visitor().log_in(acme, bitbucket_sandbox)
    fail(acme, bitbucket_sandbox)
    assert len(notices(staff)) == 1
    integrations.enable(acme, enabled=False)
    assert notices(staff) == []
    integrations.enable(acme, enabled=True)
    Event.objects.update(at=timezone.now() - timedelta(days=events.DAYS_OF_NOTICE + 1))
    assert notices(staff) == []


def test_the_list_asks_no_more_queries_for_more_integrations_that_work(staff, acme, bitbucket_sandbox, other_sandbox):
    Visitor().log_in(acme, bitbucket_sandbox)
    with CaptureQueriesContext(connection) as one:
        staff.open(ADMIN)
    for slug in ("globex", "initech"):
        Visitor().log_in(make_integration(slug, other_sandbox), other_sandbox)
    with CaptureQueriesContext(connection) as three:
        staff.open(ADMIN)
    assert len(three) == len(one)


def test_the_application_is_told_when_an_integration_begins_to_fail_and_when_it_works_again(acme, bitbucket_sandbox):
    def turns():
        return [what for what in happenings() if what in {"integration.failing", "integration.working"}]

    bitbucket_sandbox.faults.server_error = True
    list(integrations.check_up(acme))
    bitbucket_sandbox.faults.server_error = False
    Visitor().log_in(acme, bitbucket_sandbox)
    assert turns() == [], "it was a draft"
    bitbucket_sandbox.faults.server_error = True
    for _ in range(2):
        Visitor().begin(acme)
    assert turns() == ["integration.failing"]
    failing = Event.objects.get(what="integration.failing")
    failed = Event.objects.filter(what="login.failure").earliest("id")
    assert (failing.problem, failing.reference) == (Code.SERVER_ERROR, failed.reference)
    bitbucket_sandbox.faults.server_error = False
    for _ in range(2):
        Visitor().log_in(acme, bitbucket_sandbox)
    assert turns() == ["integration.failing", "integration.working"]
    assert condition().state is State.WORKING
