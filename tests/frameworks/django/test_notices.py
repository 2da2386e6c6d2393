"""Notices in Django: in the administration, and recorded by the command that is run daily."""

from datetime import timedelta

import pytest
import trustme
from django.core.management import call_command
from django.utils import timezone

from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Event, Integration
from social_bitbucket_server.organizations import NOTICES
from tests.capabilities import capability
from tests.client_certificates import issue
from tests.frameworks.django.conftest import Visitor
from tests.frameworks.django.test_admin import ADMIN, setup_page, text_of

CLIENT, CA, FAILING = NOTICES


def set_up(record, **fields):
    Integration.objects.filter(pk=record.pk).update(**fields)


def listed(capsys):
    """Run the command; returns what it says about each notice."""
    call_command("bitbucket_server", "notices")
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def recorded():
    return list(Event.objects.filter(what__in=NOTICES).order_by("id").values_list("what", "problem"))


@capability("what ends soon")
def test_the_administration_says_which_certificate_ends_when_and_what_to_do(staff, acme):
    assert "certificate end" not in text_of(staff.open(setup_page(acme)))
    authority = trustme.CA()
    soon, over = (issue(authority, days=days).client_certificate for days in (9, -3))
    set_up(acme, client_certificate=soon, ca_certificates=over)
    day, past = (timezone.localtime() + timedelta(days=days) for days in (9, -3))
    sentences = (
        f"The client certificate ends on {day:%Y-%m-%d}. After that day a gateway refuses it. Enter a new one",
        f"A CA certificate ended on {past:%Y-%m-%d}. Ask your Bitbucket admin for the next CA certificate",
        "and enter it in place of this one.",
    )
    for page in (setup_page(acme), ADMIN):
        for sentence in sentences:
            assert sentence in text_of(staff.open(page))
    set_up(acme, ca_certificates=soon)
    assert "and enter it below this one" in text_of(staff.open(setup_page(acme)))
    integrations.enable(Integration.objects.get(), enabled=False)
    for page in (setup_page(acme), ADMIN):
        assert "certificate end" not in text_of(staff.open(page))


@capability("what ends soon")
def test_the_daily_command_lists_each_notice_and_records_it_once_a_month(acme, capsys):
    set_up(acme, ca_certificates=issue(trustme.CA(), days=9).client_certificate)
    for days, times in ((0, 1), (29, 1), (30, 2)):
        Event.objects.update(at=timezone.now() - timedelta(days=days))
        ((*names, sentence, day),) = listed(capsys)
        assert (names, sentence) == ([acme.pk, "acme", "Acme"], CA.sentence)
        assert day == f"{timezone.now() + timedelta(days=9):%Y-%m-%d}"
        assert recorded() == [(CA, "")] * times
    set_up(acme, enabled=False)
    assert listed(capsys) == []


@pytest.mark.parametrize(("hours", "times"), [(23, 0), (25, 1)])
def test_an_integration_that_has_been_failing_for_a_day_is_recorded(acme, bitbucket_sandbox, capsys, hours, times):
    Visitor().log_in(acme, bitbucket_sandbox)
    bitbucket_sandbox.faults.server_error = True
    Visitor().begin(acme)
    Event.objects.update(at=timezone.now() - timedelta(hours=hours))
    for _ in range(2):
        assert len(listed(capsys)) == times
    assert recorded() == [(FAILING, "server_error")] * times
