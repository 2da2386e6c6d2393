"""Roles that an administrator gives in an integration's form, from the form to Django's groups."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import override_settings
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from social_django.models import UserSocialAuth

from social_bitbucket_server.account import roles_of
from social_bitbucket_server.django import configuration_text, integrations, setup_links
from social_bitbucket_server.django.admin import IntegrationAdmin
from social_bitbucket_server.django.groups import sync_rechecked_groups
from social_bitbucket_server.django.models import Integration
from social_bitbucket_server.django.rechecks import person_rechecked
from social_bitbucket_server.integration import Roles
from social_bitbucket_server.organizations import UnusableConfigurationError
from tests.capabilities import capability
from tests.frameworks.django.conftest import Visitor, newest_event
from tests.frameworks.django.test_admin import ADMIN, change, press, text_of

OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
EDITOR = {"editor": {"projects": ["WEB"]}}


@pytest.fixture(autouse=True)
def offered():
    with override_settings(**{f"{OWN}ORGANIZATION_ROLES": ["editor", "viewer"]}):
        yield


def roles(name="jane"):
    return sorted(roles_of(UserSocialAuth.objects.get(user__username=name)))


def groups(name="jane"):
    return sorted(get_user_model().objects.get(username=name).groups.values_list("name", flat=True))


@capability("roles")
def test_roles_are_entered_in_the_form_and_count_from_the_next_login_on(staff, acme, bitbucket_sandbox):
    assert change(staff, acme, role_conditions="editor = project WEB\r\nviewer = project DOCS").status_code == 302
    assert newest_event().what == "integration.updated"
    assert (
        ">\neditor = project WEB\nviewer = project DOCS</textarea>"
        in staff.open(f"{ADMIN}{acme.pk}/change/").content.decode()
    )
    for name in ("jane", "kim"):
        Visitor().log_in(acme, bitbucket_sandbox, name)
    assert (roles("jane"), roles("kim")) == (["editor", "viewer"], ["viewer"])
    acme.refresh_from_db()
    change(staff, acme, role_conditions="")
    Visitor().log_in(acme, bitbucket_sandbox)
    assert roles() == []


def test_the_integrations_id_gives_djangos_groups_at_logins_and_rechecks(staff, acme, globex, bitbucket_sandbox):
    Group.objects.create(name="Editors of Acme")
    Integration.objects.update(role_conditions={"editor": {"groups": ["developers"]}})
    mapping = {f"{acme.pk}:editor": ["Editors of Acme"]}
    step = "social_bitbucket_server.django.groups.sync_groups"
    settings = {"GROUPS_MAP": mapping, "PIPELINE": [*DEFAULT_AUTH_PIPELINE, step], "STORE_ACCESS_TOKEN": True}
    person_rechecked.connect(sync_rechecked_groups)
    with override_settings(**{f"{OWN}{name}": value for name, value in settings.items()}):
        Visitor().log_in(acme, bitbucket_sandbox)
        assert groups() == ["Editors of Acme"]
        bitbucket_sandbox.projects.take_from_group("developers", "jane")
        call_command("bitbucket_server", "recheck-people")
    person_rechecked.disconnect(sync_rechecked_groups)
    assert (roles(), groups()) == ([], [])


def delete(record):
    integrations.delete(record)


def replace_server(record):
    record.base_url = "https://127.0.0.1:8443"
    integrations.change(record)


@pytest.mark.parametrize("end", [delete, replace_server])
def test_nobody_keeps_the_groups_of_an_integration_that_is_deleted_or_gets_another_server(
    end, acme, globex, bitbucket_sandbox, other_sandbox
):
    for name in ("Editors of Acme", "Editors of Globex", "Staff"):
        Group.objects.create(name=name)
    Integration.objects.update(role_conditions={"editor": {"groups": ["developers"]}})
    mapping = {f"{acme.pk}:editor": ["Editors of Acme"], f"{globex.pk}:editor": ["Editors of Globex"]}
    step = "social_bitbucket_server.django.groups.sync_groups"
    settings = {"GROUPS_MAP": mapping, "PIPELINE": [*DEFAULT_AUTH_PIPELINE, step]}
    with override_settings(**{f"{OWN}{name}": value for name, value in settings.items()}):
        Visitor().log_in(acme, bitbucket_sandbox)
        Visitor().log_in(globex, other_sandbox)
        jane, other = get_user_model().objects.order_by("pk")
        jane.groups.add(Group.objects.get(name="Staff"))
        assert groups() == ["Editors of Acme", "Staff"]
        acme.refresh_from_db()
        end(acme)
        assert (groups(), groups(other.username)) == (["Staff"], ["Editors of Globex"])


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("editor = project WEB\nroot = group a", "Line 2: There is no role root here. The roles are: editor, viewer."),
        ("editor: project WEB", "Line 1: Write a role, an equals sign, group, project or repository, and its name."),
        ("editor = repository website", "Line 1: The role editor: A repository is named by"),
        ("\n".join(f"editor = group {number}" for number in range(4)), "There are 6 groups, projects and repositories"),
    ],
)
def test_what_cannot_be_roles_is_refused_by_its_line_and_shown_again(staff, acme, lines, says):
    page = text_of(change(staff, acme, role_conditions=lines, allow_groups="a\nb"))
    assert says in page
    assert lines.split("\n")[-1] in page
    assert "may have five different names together. One with a permission" in page
    assert Integration.objects.get().roles == Roles()


def test_an_administrator_who_was_faster_is_shown_in_lines(staff, acme):
    stale = acme.revision
    change(staff, acme, role_conditions="editor = project WEB")
    page = text_of(change(staff, acme, role_conditions="viewer = project WEB", revision=stale))
    assert "There is now: editor = project WEB" in page


def test_the_trial_login_says_which_roles_the_person_would_have(staff, acme, bitbucket_sandbox):
    def tried(user):
        begun = press(staff, acme, "try")
        answer = staff.open(bitbucket_sandbox.authorize(begun["Location"], user=user))
        return text_of(staff.open(answer["Location"]))

    assert "Your roles" not in tried("jane")
    Integration.objects.update(role_conditions=EDITOR)
    assert "<h2>Your roles</h2> <p>editor</p>" in tried("jane")
    assert "None of the roles is yours." in tried("kim")


def test_configuration_as_text_has_the_roles(acme):
    acme.role_conditions = EDITOR
    integrations.change(acme)
    text = configuration_text.write([acme])
    assert text.endswith('[integrations.roles."editor"]\nprojects = ["WEB"]\n')
    viewer = text.replace('"editor"', '"viewer"')
    assert list(configuration_text.take_over(configuration_text.read(viewer))) == ["“acme” is changed."]
    assert Integration.objects.get().role_conditions == {"viewer": {"projects": ["WEB"]}}
    with pytest.raises(UnusableConfigurationError, match="There is no role root here"):
        configuration_text.read(text.replace('"editor"', '"root"'))


def test_without_roles_to_offer_the_form_has_no_field_for_them(staff, acme, bitbucket_sandbox):
    Integration.objects.update(role_conditions=EDITOR)
    with override_settings(**{f"{OWN}ORGANIZATION_ROLES": None}):
        assert "role_conditions" not in staff.open(f"{ADMIN}{acme.pk}/change/").content.decode()
        assert "role_conditions" not in staff.open(f"{ADMIN}add/").content.decode()
        assert change(staff, acme, name="Acme & Co").status_code == 302
        assert "editor" not in configuration_text.write([acme])
        Visitor().log_in(acme, bitbucket_sandbox)
    assert roles() == [], "what is offered no more is not given"


def test_conditions_from_elsewhere_that_cannot_be_any_let_nobody_in(staff, acme, visitor):
    Integration.objects.update(role_conditions=["WEB"])
    assert visitor.begin(acme).status_code == 503
    assert newest_event().problem == "setting_invalid"
    assert staff.open(f"{ADMIN}{acme.pk}/change/").status_code == 200


def test_roles_that_are_too_many_by_now_concern_only_a_form_that_has_them(visitor, bitbucket_sandbox):
    draft = Integration(name="Acme", slug="acme", base_url="http://127.0.0.1:1")
    integrations.create(draft)
    Integration.objects.update(role_conditions={"editor": {"groups": ["a", "b", "c"]}}, allow_groups=["d", "e", "f"])
    path = setup_links.make(draft).removeprefix("http://127.0.0.1:8000")
    answer = visitor.post(f"{path}server/", form_at=path, base_url=bitbucket_sandbox.url, ca_certificates="")
    assert answer["Location"] == f"{path}?corrected"
    assert Integration.objects.get().base_url == bitbucket_sandbox.url


def test_a_form_without_roles_does_not_let_who_may_log_in_be_too_many_with_them(staff, acme, monkeypatch):
    Integration.objects.update(role_conditions={"editor": {"groups": ["a", "b", "c"]}})
    monkeypatch.setattr(IntegrationAdmin, "exclude", ("role_conditions",))
    page = change(staff, acme, allow_groups="d\ne\nf")
    assert "There are 6 groups, projects and repositories, including those" in text_of(page)
    assert Integration.objects.get().allow_groups == []
    assert change(staff, acme, allow_groups="d\ne").status_code == 302
