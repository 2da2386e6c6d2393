"""Roles in social-core's mapping of groups."""

from unittest.mock import Mock

import pytest
from social_core.exceptions import AuthConfigurationError
from social_core.groups import group_sync_targets
from social_core.pipeline.social_auth import social_details
from social_core.pipeline.user import sync_groups
from social_core.pipeline.utils import partial_prepare

from social_bitbucket_server.backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from social_bitbucket_server.integration import BACKENDS
from tests.unit.test_backends import RESPONSE, Strategy

PREFIXES = {
    BitbucketServerOAuth1: "SOCIAL_AUTH_BITBUCKET_SERVER_",
    BitbucketServerOAuth2: "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_",
}
MAP = {"developer": ["Developers", "People"], "editor": ["Editors", "People"]}


@pytest.fixture(params=PREFIXES)
def make(request):
    def backend(*, several=False, backends=(), others=None, **settings):
        servers = {"INTEGRATIONS": dict} if several else {"URL": "https://bitbucket.example.com"}
        prefix = PREFIXES[request.param]
        named = {f"{prefix}{name}": value for name, value in (servers | settings).items()}
        return request.param(Strategy(SOCIAL_AUTH_AUTHENTICATION_BACKENDS=list(backends), **named, **(others or {})))

    return backend


def response(roles, integration="acme"):
    return RESPONSE | {"roles": roles, "integration": integration}


def targets(backend, given):
    return group_sync_targets(backend, backend.get_user_groups(given), given)


def refusal(backend, given):
    with pytest.raises(AuthConfigurationError) as caught:
        targets(backend, given)
    return caught.value.code, caught.value.parameter


def test_roles_give_the_mapped_groups_and_no_others(make):
    backend = make(GROUPS_MAP=MAP)
    managed = {"Developers", "Editors", "People"}
    assert targets(backend, response(["developer", "unmapped"])) == ({"Developers", "People"}, managed)
    assert targets(backend, response([])) == (set(), managed)


def test_without_roles_a_mapping_is_refused_and_nothing_else(make):
    assert refusal(make(GROUPS_MAP=MAP), response(None)) == ("missing_setting", "group extraction")
    assert targets(make(), response(None)) == (set(), set())


def test_groups_are_apart_from_the_details_and_survive_a_halt(make):
    backend = make()
    found = social_details(backend, {}, response(["developer"]))
    assert found["groups"] == ["developer"]
    assert "groups" not in found["details"]
    storage = backend.strategy.storage
    storage.partial = Mock(prepare=lambda *arguments: arguments)
    *_, data = partial_prepare(backend.strategy, backend, 1, response=response(["developer"]), **found)
    assert data["kwargs"]["groups"] == ["developer"]


@pytest.mark.parametrize("mapping", [None, [], {"a": "A"}, {"": ["A"]}, {"a": [True]}, {7: ["A"]}])
@pytest.mark.parametrize("several", [False, True])
def test_a_mapping_that_is_none_is_refused_by_core(make, mapping, several):
    with pytest.raises(AuthConfigurationError):
        targets(make(GROUPS_MAP=mapping, several=several), response([], integration=""))


def test_a_group_of_another_backend_is_refused(make):
    others = {"SOCIAL_AUTH_GITLAB_GROUPS_MAP": {"maintainers": ["Editors"]}}
    backend = make(GROUPS_MAP=MAP, backends=["social_core.backends.gitlab.GitLabOAuth2"], others=others)
    assert refusal(backend, response(["editor"])) == ("invalid_setting", "GROUPS_MAP")


def test_cores_step_hands_the_roles_to_the_strategy(make):
    strategy, user = Mock(), Mock()
    sync_groups(strategy, make(), response(["editor"]), user=user, groups=["editor"])
    (call,) = strategy.sync_user_groups.call_args_list
    assert call.args == (user, ["editor"])


SEVERAL = {"acme:editor": ["Editors of Acme"], "globex:editor": ["Editors of Globex"], "editor": ["All editors"]}


def test_with_several_servers_each_gives_its_own_groups_alone(make):
    backend = make(GROUPS_MAP=SEVERAL, several=True)
    assert targets(backend, response(["editor"])) == ({"Editors of Acme"}, {"Editors of Acme"})
    assert targets(backend, response(["editor"], "globex")) == ({"Editors of Globex"}, {"Editors of Globex"})


def test_a_server_cannot_name_a_role_of_another(make):
    backend = make(GROUPS_MAP=SEVERAL, several=True)
    assert targets(backend, response(["globex:editor", "editor "], "initech")) == (set(), set())
    assert backend.get_user_groups(response(["globex:editor"], "acme")) == ["acme:globex:editor"]


def test_an_integration_without_roles_takes_its_groups_away(make):
    backend = make(GROUPS_MAP=SEVERAL, several=True)
    assert targets(backend, response(None)) == (set(), {"Editors of Acme"})


def test_two_integrations_cannot_give_one_group(make):
    backend = make(GROUPS_MAP={"acme:editor": ["Editors"], "globex:owner": ["Editors"]}, several=True)
    assert refusal(backend, response(["editor"])) == ("invalid_setting", "GROUPS_MAP")


def test_both_backends_are_tried():
    assert {backend.name for backend in PREFIXES} == set(BACKENDS)
