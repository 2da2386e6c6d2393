"""Who of a server's people may log in, for each integration."""

import pytest

from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Integration
from social_bitbucket_server.integration import Admission
from social_bitbucket_server.sandbox import Project
from tests.capabilities import capability
from tests.frameworks.django.conftest import Visitor, newest_event
from tests.frameworks.django.test_admin import ADMIN, change, text_of


@capability("who may log in")
def test_conditions_are_entered_in_the_form_and_count_from_the_next_login(staff, visitor, acme, bitbucket_sandbox):
    bitbucket_sandbox.projects.put(Project("WEB", "Website", users=("jane",)))
    assert change(staff, acme, allow_projects=" WEB \r\n\r\nWEB").status_code == 302
    acme.refresh_from_db()
    assert (acme.allow_projects, acme.allow_groups) == (["WEB"], [])
    assert ">\nWEB</textarea>" in staff.open(f"{ADMIN}{acme.pk}/change/").content.decode()
    refused = Visitor().log_in(acme, bitbucket_sandbox, "kim")
    assert (refused.status_code, newest_event().problem) == (403, "person_not_allowed")
    visitor.log_in(acme, bitbucket_sandbox)
    assert visitor.name == "jane"
    change(staff, acme, allow_projects="")
    Visitor().log_in(acme, bitbucket_sandbox, "kim")
    assert newest_event().what == "login.success"


def test_they_are_the_integrations_own(staff, acme, globex):
    change(staff, acme, allow_groups="developers", allow_repositories="WEB/website")
    assert integrations.find(acme.pk).admission == Admission(groups=("developers",), repositories=("WEB/website",))
    assert integrations.find(globex.pk).admission == Admission()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"allow_groups": "x" * 256}, "A group is named by a text of at most 255 characters"),
        ({"allow_projects": "WEB site"}, "A project is named by its key, such as WEB or WEB:write."),
        ({"allow_repositories": "website"}, "A repository is named by its project"),
        ({"allow_projects": "A\nB\nC\nD\nE\nF"}, "There are 6 groups, projects and repositories"),
    ],
)
def test_names_that_cannot_be_any_are_not_kept(staff, acme, wrong, says):
    page = text_of(change(staff, acme, **wrong))
    assert says in page
    assert next(iter(wrong.values())).split("\n")[-1] in page
    assert Integration.objects.get().admission == Admission()


def test_conditions_from_elsewhere_that_cannot_be_any_let_nobody_in(visitor, acme):
    Integration.objects.update(allow_projects="WEB")
    assert visitor.begin(acme).status_code == 503
    assert newest_event().problem == "setting_invalid"
