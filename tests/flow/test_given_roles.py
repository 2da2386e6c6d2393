"""Roles that an organization's admin gives on the integration's page, from the form to what the application is told."""

import json
import re

import pytest
from flask import request
from sqlalchemy import update

from social_bitbucket_server.flask.organizations import access, current_roles
from social_bitbucket_server.sandbox import Project
from tests.capabilities import capability
from tests.flask_app.models import Organization, models
from tests.flow.site import connect, log_in, on_every_database
from tests.flow.test_configuration import run

CONFIGURATION = "/o/acme/settings/configuration"


@pytest.fixture
def site_settings():
    return {"STORE_ACCESS_TOKENS": "1"}


def give(owner, integration, *conditions, form_at=None):
    """Give roles by *conditions*, each a role, a kind and a name."""
    roles, kinds, names = ([condition[i] for condition in conditions] for i in range(3))
    path = f"{integration}/roles"
    return owner.post(path, form_at or path, save="1", role=roles, kind=kinds, name=names)


def person(site, integration, sandbox, user="jane"):
    visitor = site.visitor()
    assert log_in(visitor, integration, sandbox, user).location == "/o/acme/account"
    return visitor


@pytest.fixture(autouse=True)
def page_of_the_application(site):
    """The application's own page with the roles of the person who is logged in, for each organization."""

    @site.app.get("/roles")
    def roles():
        organizations = models.session().query(Organization)
        return {organization.slug: sorted(current_roles(organization)) for organization in organizations}


def roles_of(visitor, slug="acme"):
    return json.loads(visitor.get("/roles").text)[slug]


@capability("roles")
@on_every_database
def test_people_have_the_roles_that_the_admin_gives_from_their_next_login_on(site, owner, acme, sandbox):
    assert give(owner, acme, ("editor", "project", "WEB"), ("viewer", "project", "DOCS")).location == acme
    assert "editor, viewer" in owner.get(acme).words
    jane, kim = person(site, acme, sandbox), person(site, acme, sandbox, "kim")
    assert (roles_of(jane), roles_of(kim)) == (["editor", "viewer"], ["viewer"])
    assert roles_of(owner) == [], "the owner came in by password"
    assert roles_of(site.visitor()) == [], "nobody is logged in"
    assert "editor, viewer" in owner.get("/o/acme/settings/people").words
    sandbox.projects.put(Project("WEB", "Website", users=("kim",)))
    assert roles_of(person(site, acme, sandbox)) == ["viewer"]
    give(owner, acme)
    assert roles_of(person(site, acme, sandbox)) == []


def test_a_recheck_takes_roles_away_and_gives_them(site, owner, acme, sandbox):
    give(owner, acme, ("editor", "group", "developers"))
    jane, kim = person(site, acme, sandbox), person(site, acme, sandbox, "kim")
    sandbox.projects.take_from_group("developers", "jane")
    sandbox.projects.add_to_group("developers", "kim")
    assert (roles_of(jane), roles_of(kim)) == (["editor"], [])
    assert run(site, "bitbucket-server", "recheck-people")[0] == 0
    assert (roles_of(jane), roles_of(kim)) == ([], ["editor"])


def test_roles_count_in_their_own_organization_alone(site, owner, acme, sandbox, other_sandbox):
    other = site.visitor()
    other.create_organization("globex")
    globex = connect(other, "globex", other_sandbox)
    give(owner, acme, ("editor", "project", "DOCS"))
    jane = person(site, acme, sandbox)
    assert (roles_of(jane), roles_of(jane, "globex")) == (["editor"], [])
    assert owner.get(f"{globex}/roles").status == 404
    foreign = f"{acme.rpartition('/')[0]}/{globex.rpartition('/')[2]}"
    assert give(owner, foreign, form_at=acme).status == 404


def test_a_condition_that_cannot_be_any_is_refused_where_it_was_typed(owner, acme):
    page = give(owner, acme, ("editor", "project", "WEB"), ("root", "group", "a"), ("viewer", "repository", "website"))
    assert page.status == 422
    assert "Condition 2 : There is no role root here. The roles are: editor, viewer." in page.words
    assert "Condition 3 : The role viewer: A repository is named by its project's key" in page.words
    wrong = re.findall(r'<input[^>]*aria-invalid="true"[^>]*>', page.text)
    assert ["website" in each for each in wrong] == [False, True]
    assert "Nobody has a role by Bitbucket." in owner.get(f"{acme}/roles").words


def test_roles_and_who_may_log_in_have_five_names_together(owner, acme):
    assert owner.let_in(acme, *(("group", f"group {number}") for number in range(3))).status == 303
    roles = [("editor", "group", f"group {number}") for number in range(5)]
    assert give(owner, acme, *roles).status == 303, "a name in both counts once"
    page = give(owner, acme, *roles[:3], ("viewer", "group", "a"), ("viewer", "group", "b"), ("viewer", "group", "c"))
    assert page.status == 422
    assert "There are 6 groups, projects and repositories, including those that say who may log in" in page.words
    page = owner.let_in(acme, ("project", "WEB"))
    assert (page.status, "There are 6 groups" in page.words) == (422, True)


@on_every_database
def test_who_may_log_in_that_was_changed_meanwhile_counts_for_the_five_names(site, owner, acme, monkeypatch):
    found = access.integration_or_404

    def change_meanwhile(*which):
        record = found(*which)
        if request.method == "POST":
            with site.app.extensions["engine"].begin() as connection:
                connection.execute(update(models.integration).values(allow_groups=["a", "b", "c"]))
        return record

    with monkeypatch.context() as patched:
        patched.setattr(access, "integration_or_404", change_meanwhile)
        page = give(owner, acme, *(("editor", "project", f"P{number}") for number in range(3)), form_at=acme)
    assert (page.status, "There are 6 groups" in page.words) == (422, True)
    assert "Nobody has a role by Bitbucket." in owner.get(f"{acme}/roles").words


def test_conditions_are_added_and_removed_without_scripts(owner, acme):
    def shown(**fields):
        page = owner.post(f"{acme}/roles", **fields)
        names = re.findall(r' name="name"[^>]*value="(\w*)"', page.text)
        return re.findall(r"<option selected>(\w+)", page.text), names

    row = {"role": ["viewer"], "kind": ["project"], "name": ["WEB"]}
    assert shown(add="1", **row) == (["viewer", "editor"], ["WEB", ""])
    assert shown(remove="1", **row) == ([], [])


def test_the_trial_login_says_which_roles_the_person_would_have(owner, acme, sandbox):
    def tried(user):
        begun = owner.post(f"{acme}/try", acme)
        return owner.get(owner.get(sandbox.authorize(begun.location, user=user)).location).words

    assert "Roles" not in tried("jane")
    give(owner, acme, ("editor", "project", "WEB"), ("viewer", "group", "nobody"))
    assert "Roles editor" in tried("jane")
    assert "You, by your last trial login editor" in owner.get(f"{acme}/roles").words
    assert "Roles None of the roles is yours" in tried("kim")


def test_a_login_under_way_ends_if_the_roles_change(site, owner, acme, sandbox):
    jane = site.visitor()
    back = sandbox.authorize(jane.begin(acme).location, user="jane")
    give(owner, acme, ("editor", "project", "DOCS"))
    page = jane.get(back)
    assert (page.status, site.rows(models.event.problem)[-1]) == (400, ("integration_changed",))


def test_configuration_as_text_has_the_roles(site, owner, acme):
    give(owner, acme, ("editor", "project", "WEB"), ("viewer", "group", 'a "b"'))
    text = owner.get(f"{CONFIGURATION}/integrations.toml").text
    assert '[integrations.roles."editor"]\nprojects = ["WEB"]' in text
    give(owner, acme)
    assert owner.post(CONFIGURATION, text=text).status == 303
    assert owner.get(f"{CONFIGURATION}/integrations.toml").text == text
    refused = owner.post(CONFIGURATION, text=text.replace('"viewer"', '"root"'))
    assert (refused.status, "Integration 1: " in refused.words) == (422, True)
    assert "There is no role root here." in refused.words


def test_an_application_that_offers_no_roles_has_no_page_for_them(site, owner, acme, sandbox):
    give(owner, acme, ("editor", "project", "DOCS"))
    site.app.extensions["bitbucket_organizations"].store.role_names = ()
    assert [page.status for page in (owner.get(f"{acme}/roles"), give(owner, acme, form_at=acme))] == [404, 404]
    assert "Given by group" not in owner.get(acme).words
    assert "editor" not in owner.get(f"{CONFIGURATION}/integrations.toml").text
    assert roles_of(person(site, acme, sandbox)) == [], "what is offered no more is not given"
