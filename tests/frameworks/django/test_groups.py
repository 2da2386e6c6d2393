"""Django's groups by the roles of people at Bitbucket."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import override_settings
from social_core.exceptions import SocialAuthBaseException
from social_core.pipeline import DEFAULT_AUTH_PIPELINE, DEFAULT_DISCONNECT_PIPELINE
from social_django.models import UserSocialAuth
from social_django.utils import load_backend, load_strategy

from social_bitbucket_server.account import Recheck, Standing, roles_of
from social_bitbucket_server.django.groups import leave_groups, sync_groups, sync_rechecked_groups
from social_bitbucket_server.django.rechecks import person_rechecked
from tests.frameworks.django.conftest import newest_event
from tests.frameworks.django.test_single_server import Person

PAGE = (Path(__file__).parents[3] / "docs/roles.md").read_text()
OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
STEP = "social_bitbucket_server.django.groups.sync_groups"
ROLES = {"developer": {"groups": ["developers"]}, "reader": {"projects": ["DOCS"]}}
MAP = {"developer": ["Developers", "People"], "reader": ["Readers", "People"]}


def roles(mapping=None, given=ROLES, step=STEP, **more):
    named = {"ROLES": given, "GROUPS_MAP": MAP if mapping is None else mapping, **more}
    return override_settings(
        **{f"{OWN}{name}": value for name, value in named.items()},
        **{f"{OWN}PIPELINE": [*DEFAULT_AUTH_PIPELINE, step]},
    )


@pytest.fixture
def groups(single):
    for name in ("Developers", "Readers", "People", "Others"):
        Group.objects.create(name=name)


def groups_of(name="jane"):
    return set(get_user_model().objects.get(username=name).groups.values_list("name", flat=True))


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize("step", [STEP, "social_core.pipeline.user.sync_groups"])
def test_people_are_in_the_groups_of_their_roles(single, step):
    with roles(step=step):
        Person().come_back(single, "jane")
        Person().come_back(single, "kim")
    assert groups_of("jane") == {"Developers", "Readers", "People"}
    assert groups_of("kim") == {"Readers", "People"}


@pytest.mark.program
def test_groups_of_a_projects_own_are_given_without_our_application_in_installed_apps():
    program = [sys.executable, "-m", "tests.frameworks.django.bare"]
    login = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert login.stdout.split() == ["/done/", "Developers"], login.stderr


@pytest.mark.usefixtures("groups")
def test_both_oauths_may_give_one_group(single):
    with roles(OAUTH2_GROUPS_MAP=MAP):
        Person().come_back(single)
    assert groups_of() == {"Developers", "Readers", "People"}


@pytest.mark.usefixtures("groups")
def test_who_has_the_role_no_more_leaves_its_groups_and_no_others(single):
    with roles():
        Person().come_back(single)
        get_user_model().objects.get().groups.add(Group.objects.get(name="Others"))
        single.projects.take_from_group("developers", "jane")
        Person().come_back(single)
        assert groups_of() == {"Readers", "People", "Others"}
    with roles({"reader": ["Readers"], "developer": ["Developers"]}, {"developer": ROLES["developer"]}):
        Person().come_back(single)
    assert groups_of() == {"People", "Others"}


@pytest.mark.usefixtures("groups")
def test_a_login_without_an_answer_about_roles_changes_no_group(single):
    with roles():
        Person().come_back(single)
        single.faults.update({"server_error": True, "only_path": "/projects/DOCS"})
        assert Person().come_back(single).status_code >= 500
    assert groups_of() == {"Developers", "Readers", "People"}


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize(
    ("mapping", "given", "says"),
    [
        ({"developer": ["Missing"]}, ROLES, "There is no group Missing."),
        ({"developer": "Developers"}, ROLES, "It is a mapping of roles"),
        ({"developer": [1]}, ROLES, "It is a mapping of roles"),
        ({"developer": [""]}, ROLES, "It is a mapping of roles"),
        (["Developers"], ROLES, "It is a mapping of roles"),
        (MAP, None, "No role is configured"),
    ],
)
def test_a_mapping_that_cannot_be_used_ends_the_login(single, mapping, given, says, caplog):
    with roles(mapping, given):
        assert Person().come_back(single).status_code == 503
    assert f"{OWN}GROUPS_MAP" in caplog.text
    assert says in caplog.text
    assert get_user_model().objects.count() == 0


@pytest.mark.usefixtures("groups")
def test_without_a_mapping_no_group_changes(single):
    with roles({}):
        assert Person().come_back(single).status_code == 302
        assert groups_of() == set()
        assert roles_of(UserSocialAuth.objects.get()) == {"developer", "reader"}


def test_the_step_leaves_other_backends_alone():
    sync_groups(object(), {"roles": ["developer"]}, user=get_user_model()())


@pytest.fixture
def rechecked():
    person_rechecked.connect(sync_rechecked_groups)
    yield lambda: call_command("bitbucket_server", "recheck-people")
    person_rechecked.disconnect(sync_rechecked_groups)


@pytest.mark.usefixtures("groups")
def test_a_recheck_takes_groups_away(single, rechecked, capsys):
    with roles(STORE_ACCESS_TOKEN=True):
        Person().come_back(single)
        single.projects.take_from_group("developers", "jane")
        rechecked()
        assert groups_of() == {"Readers", "People"}
        assert roles_of(UserSocialAuth.objects.get()) == {"reader"}
        single.users.disable("jane")
        rechecked()
    assert groups_of() == set()
    assert newest_event().what == "recheck.refused"


@pytest.mark.usefixtures("groups")
def test_a_recheck_that_knows_nothing_changes_no_group(single):
    with roles():
        Person().come_back(single)
        sync_rechecked_groups(UserSocialAuth.objects.get(), Recheck(Standing.UNANSWERED, "server_error"))
    assert groups_of() == {"Developers", "Readers", "People"}


@pytest.mark.usefixtures("groups")
def test_who_disconnects_the_account_keeps_none_of_its_groups(single):
    steps = [*DEFAULT_DISCONNECT_PIPELINE, "social_bitbucket_server.django.groups.leave_groups"]
    with roles(DISCONNECT_PIPELINE=steps):
        Person().come_back(single)
        Group.objects.get(name="Readers").delete()
        jane = get_user_model().objects.get()
        jane.set_password("x")
        jane.save()
        jane.groups.add(Group.objects.get(name="Others"))
        backend = load_backend(load_strategy(), "bitbucket-server", "/")
        backend.disconnect(user=jane, association_id=None)
    assert UserSocialAuth.objects.count() == 0
    assert groups_of() == {"Others"}


class Lonely:
    """A user of a class without Django's groups."""


@pytest.mark.parametrize(
    "user",
    [Lonely(), SimpleNamespace(groups=SimpleNamespace(model=Permission, through=None))],
    ids=["no groups", "groups that may share a name"],
)
def test_users_without_groups_of_unique_names_are_refused_by_name(user, caplog):
    with pytest.raises(SocialAuthBaseException):
        sync(user, "acme")
    assert "The users of this application are in no groups" in caplog.text


def test_other_accounts_are_disconnected_without_it():
    leave_groups(object(), get_user_model()())


SEVERAL = {"acme:editor": ["Developers"], "globex:editor": ["Readers"]}


def sync(user, integration, mapping=SEVERAL):
    with override_settings(**{f"{OWN}GROUPS_MAP": mapping}):
        backend = load_backend(load_strategy(), "bitbucket-server", "/")
        sync_groups(backend, {"integration": integration, "roles": ["editor"]}, user=user)


@pytest.fixture
def jane():
    for name in ("Developers", "Readers"):
        Group.objects.create(name=name)
    return get_user_model().objects.create(username="jane")


def test_a_server_gives_and_takes_the_groups_of_its_own_integration_alone(jane):
    sync(jane, "acme")
    assert groups_of() == {"Developers"}
    sync(jane, "initech")
    assert groups_of() == {"Developers"}
    sync(jane, "globex")
    assert groups_of() == {"Developers", "Readers"}


def test_two_integrations_cannot_give_one_group(jane, caplog):
    with pytest.raises(SocialAuthBaseException):
        sync(jane, "acme", {"acme:editor": ["Readers"], "globex:editor": ["Readers"]})
    assert "Two integrations give the group Readers." in caplog.text
    assert groups_of() == set()


def test_the_documented_receiver_is_connected(groups):
    code = re.search(r"```python\n(from social_bitbucket_server.django.groups import .*?)```", PAGE, re.DOTALL)[1]
    exec(code, {})
    assert person_rechecked.disconnect(sync_rechecked_groups)
