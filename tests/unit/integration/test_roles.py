import dataclasses
import json

import pytest

from social_bitbucket_server.integration import (
    Admission,
    Kind,
    Roles,
    read_role_names,
    refuse_other_roles,
    refuse_too_many,
    unread_settings,
    unusable_settings,
)
from social_bitbucket_server.problems import BitbucketServerError
from tests.unit.integration.test_usable_settings import BACKENDS, ONE, OWN, many

ROLES = {"developer": {"groups": ["developers"]}, "editor": {"projects": ["DOCS"], "repositories": ["WEB/website"]}}


def problem(read):
    with pytest.raises(BitbucketServerError) as caught:
        read()
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", "ROLES")
    return caught.value.reason


def test_nothing_said_is_no_role():
    assert Roles.read(None) == Roles.read({}) == Roles()


def test_roles_have_the_conditions_of_their_lists():
    roles = Roles.read(ROLES)
    assert roles.named == (
        ("developer", Admission(groups=("developers",))),
        ("editor", Admission(projects=("DOCS",), repositories=("WEB/website",))),
    )
    assert roles.conditions == {(Kind.GROUP, "developers"), (Kind.PROJECT, "DOCS"), (Kind.REPOSITORY, "WEB/website")}
    assert Roles.read(roles) is roles


def test_roles_are_made_of_their_conditions_and_stored_as_they_are_read():
    roles = Roles.read(ROLES)
    assert Roles.of(reversed(roles.each)).names == ("editor", "developer")
    assert Roles.of([*roles.each, *roles.each]) == roles
    assert roles.fields == ROLES
    assert json.loads(json.dumps(roles.fields)) == roles.fields


def test_some_roles_are_chosen_by_name():
    assert Roles.read(ROLES).only(["editor", "other"]).names == ("editor",)
    assert Roles.read(ROLES).only(()) == Roles()


def test_other_roles_than_those_offered_are_refused_by_name():
    refuse_other_roles(Roles.read(ROLES), ["editor", "developer"])
    assert "There is no role developer here. The roles are: editor." in problem(
        lambda: refuse_other_roles(Roles.read(ROLES), ["editor"])
    )
    assert "The roles are: none." in problem(lambda: refuse_other_roles(Roles.read(ROLES), []))


def test_names_of_roles_are_read_once_each():
    assert read_role_names(None) == ()
    assert read_role_names(["editor", "viewer", "editor"]) == ("editor", "viewer")


@pytest.mark.parametrize(
    ("value", "says"),
    [("editor", "a list of the names"), ([""], "A role is named"), ([7], "A role is named"), (["a=b"], "equals sign")],
)
def test_names_that_no_role_can_have_are_refused_at_the_start(value, says):
    name = f"{OWN}ORGANIZATION_ROLES"
    (sentence,) = [s for _, s in unusable_settings({**ONE, name: value}, BACKENDS) if name in s]
    assert says in sentence


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (["developer"], "It is a mapping"),
        ("developer", "It is a mapping"),
        ({"developer": ["developers"]}, "The role developer is a mapping"),
        ({"developer": {}}, "The role developer needs a group"),
        ({"developer": {"groups": []}}, "The role developer needs a group"),
        ({"developer": {"groups": "developers"}}, "The groups of the role developer are a list of texts."),
        ({"developer": {"group": ["developers"]}}, "The role developer has group,"),
        ({"developer": {"projects": ["WEB/website"]}}, "The role developer: A project is named by its key"),
        ({"": {"groups": ["a"]}}, "A role is named"),
        ({" x": {"groups": ["a"]}}, "A role is named"),
        ({"a\nb": {"groups": ["a"]}}, "A role is named"),
        ({"x" * 101: {"groups": ["a"]}}, "A role is named"),
        ({7: {"groups": ["a"]}}, "A role is named"),
        ({f"r{n}": {"groups": [f"g{n}"]} for n in range(6)}, "There are 6 groups"),
    ],
)
def test_what_cannot_be_roles_is_refused_with_the_reason(value, says):
    assert says in problem(lambda: Roles.read(value))


def test_two_roles_of_one_name_are_refused():
    one = ("developer", Admission(groups=("developers",)))
    assert "same name" in problem(lambda: Roles((one, one)))


def test_a_name_that_also_says_who_may_log_in_counts_once():
    roles = Roles.read({"a": {"groups": ["g1", "g2", "g3"]}})
    refuse_too_many(roles, Admission(groups=("g1", "g2", "g3", "g4", "g5")))
    assert "There are 6" in problem(lambda: refuse_too_many(roles, Admission(groups=("g4", "g5", "g6"))))


def test_five_conditions_of_a_login_are_enough_without_roles():
    refuse_too_many(Roles(), Admission(groups=("g1", "g2", "g3", "g4", "g5")))


def test_other_roles_are_another_configuration(integration):
    without = integration.fingerprint
    developer = dataclasses.replace(integration, roles=Roles.read({"a": {"groups": ["g"]}})).fingerprint
    visitor = dataclasses.replace(integration, roles=Roles.read({"a": {"projects": ["G"]}})).fingerprint
    assert len({without, developer, visitor}) == 3


def told(settings):
    return [sentence for _, sentence in unusable_settings(settings, BACKENDS[:1])]


@pytest.mark.parametrize(
    "settings",
    [
        ONE | {f"{OWN}ROLES": ROLES},
        many(roles=ROLES),
        ONE | {"ROLES": "of the application itself"},
        ONE | {f"{OWN}ROLES": ROLES, f"{OWN}GROUPS_MAP": {"editor": ["Editors"]}},
        ONE | {f"{OWN}ROLES": ROLES, "SOCIAL_AUTH_GROUPS_MAP": {"of another": ["Editors"]}},
        ONE | {f"{OWN}GROUPS_MAP": {"of code": ["Editors"]}},
        many(roles=ROLES) | {f"{OWN}GROUPS_MAP": {"acme:editor": ["Editors"]}},
        {f"{OWN}INTEGRATIONS": dict, f"{OWN}GROUPS_MAP": {"acme:editor": ["Editors"]}},
    ],
)
def test_settings_with_roles_pass(settings):
    assert told(settings) == []
    assert list(unread_settings(settings)) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (ONE | {f"{OWN}ROLES": {"x": {}}}, f"Correct {OWN}ROLES: The role x needs"),
        (ONE | {"SOCIAL_AUTH_ROLES": {"x": {}}}, "Correct SOCIAL_AUTH_ROLES: The role x needs"),
        (many(roles={"x": {}}), f'Correct {OWN}INTEGRATIONS["acme"]["roles"]: The role x needs'),
        (many() | {f"{OWN}ROLES": ROLES}, f"Correct {OWN}ROLES: It is for one server."),
        (ONE | {f"{OWN}ROLES": ROLES, f"{OWN}ALLOW_GROUPS": ["a", "b", "c"]}, f"Correct {OWN}ROLES: There are 6"),
        (ONE | {f"{OWN}ROLE": ROLES}, f"Rename {OWN}ROLE to {OWN}ROLES"),
    ],
)
def test_an_application_says_at_its_start_what_is_wrong_with_its_roles(settings, says):
    (sentence,) = told(settings)
    assert says in sentence


@pytest.mark.parametrize(
    ("settings", "role", "roles"),
    [
        (ONE | {f"{OWN}ROLES": ROLES, f"{OWN}GROUPS_MAP": {"editor": [], "edtor": []}}, "edtor", "developer, editor"),
        (
            many(roles=ROLES) | {f"{OWN}GROUPS_MAP": {"editor": ["Editors"]}},
            "editor",
            "acme:developer, acme:editor",
        ),
    ],
)
def test_an_application_is_warned_of_a_mapped_role_that_nobody_can_have(settings, role, roles):
    assert told(settings) == []
    (sentence,) = unread_settings(settings)
    assert sentence.startswith(f"No role is called {role}, so {OWN}GROUPS_MAP takes its groups from everybody")
    assert sentence.endswith(f"The roles are {roles}.")
