"""Whom the pipeline step takes for the same person, and whom never."""

from types import SimpleNamespace

import pytest
from social_core.backends import utils
from social_core.backends.github import GithubOAuth2
from social_core.exceptions import AuthAssociationError
from social_core.strategy import BaseStrategy

from social_bitbucket_server.backends import BitbucketServerOAuth1, BitbucketServerOAuth2
from social_bitbucket_server.pipeline import associate_by_bitbucket_identity

BOTH = [
    "social_bitbucket_server.backends.BitbucketServerOAuth1",
    "social_bitbucket_server.backends.BitbucketServerOAuth2",
]
SERVER = "https://bitbucket.example.com/bitbucket"
SAME = {
    "SOCIAL_AUTH_BITBUCKET_SERVER_URL": SERVER,
    "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_URL": "https://Bitbucket.Example.com:443/bitbucket/",
}
RESPONSE = {"integration": "default", "email": "jane@example.com", "username": "jane"}
JANE = object()


class Strategy(BaseStrategy):
    """One where *identities* are known, by provider and uid."""

    def __init__(self, identities, settings):
        super().__init__(SimpleNamespace(user=self))
        self.identities, self.settings, self.asked = identities, settings, []

    def get_setting(self, name):
        return ({"SOCIAL_AUTH_AUTHENTICATION_BACKENDS": BOTH} | self.settings)[name]

    def get_request_data(self, merge=True):
        return {}

    def build_absolute_uri(self, path=None):
        return path

    def get_social_auth(self, provider, uid):
        self.asked.append((provider, uid))
        user = self.identities.get((provider, uid))
        return user and SimpleNamespace(user=user)


def step(backend, identities, settings=SAME, **options):
    strategy = Strategy(identities, settings)
    found = associate_by_bitbucket_identity(backend(strategy), **{"uid": "42", "response": RESPONSE} | options)
    return found, strategy.asked


@pytest.mark.parametrize(
    ("backend", "other"),
    [(BitbucketServerOAuth2, "bitbucket-server"), (BitbucketServerOAuth1, "bitbucket-server-oauth2")],
)
def test_the_person_with_the_same_uid_by_the_other_oauth_is_the_same(backend, other):
    found, _ = step(backend, {(other, "42"): JANE})
    assert found == {"user": JANE, "is_new": False}


def test_the_other_oauth_is_found_while_another_thread_has_emptied_cores_mapping(monkeypatch):
    monkeypatch.setattr(utils, "BACKENDSCACHE", {})
    monkeypatch.setattr(utils, "load_backends", lambda *_, **__: {})
    found, _ = step(BitbucketServerOAuth2, {("bitbucket-server", "42"): JANE})
    assert found == {"user": JANE, "is_new": False}


@pytest.mark.parametrize("other", [{("bitbucket-server", "43"): JANE}, {("github", "42"): JANE}, {}])
def test_nobody_else_is(other):
    found, asked = step(BitbucketServerOAuth2, other)
    assert found is None
    assert asked == [("bitbucket-server", "42")]


def test_nobody_is_whose_uid_differs_in_case_alone(monkeypatch):
    found = SimpleNamespace(user=JANE, uid="ACME:42")
    monkeypatch.setattr(Strategy, "get_social_auth", lambda *_: found)
    assert step(BitbucketServerOAuth2, {}, uid="acme:42") == (None, [])


@pytest.mark.parametrize(
    "settings",
    [
        SAME | {"SOCIAL_AUTH_BITBUCKET_SERVER_URL": "https://other.example.com/bitbucket"},
        SAME | {"SOCIAL_AUTH_BITBUCKET_SERVER_URL": "https://bitbucket.example.com"},
        SAME | {"SOCIAL_AUTH_BITBUCKET_SERVER_URL": "https://bitbucket.example.com:8443/bitbucket"},
        SAME | {"SOCIAL_AUTH_BITBUCKET_SERVER_URL": ""},
        SAME | {"SOCIAL_AUTH_BITBUCKET_SERVER_INTEGRATIONS": lambda _: None},
    ],
)
def test_where_the_servers_are_not_the_same_nobody_is_looked_for(settings):
    assert step(BitbucketServerOAuth2, {("bitbucket-server", "42"): JANE}, settings) == (None, [])


def test_another_integration_has_other_people():
    response = RESPONSE | {"integration": "acme-1"}
    assert step(BitbucketServerOAuth2, {("bitbucket-server", "42"): JANE}, response=response) == (None, [])


def test_it_does_nothing_for_other_backends():
    assert step(GithubOAuth2, {("bitbucket-server", "42"): JANE}) == (None, [])


def test_it_does_nothing_for_an_identity_that_is_known():
    assert step(BitbucketServerOAuth2, {("bitbucket-server", "42"): JANE}, social=object()) == (None, [])


def test_who_connects_their_own_account_goes_on():
    found, _ = step(BitbucketServerOAuth2, {("bitbucket-server", "42"): JANE}, user=JANE)
    assert found is None


def test_who_connects_somebody_elses_account_is_refused():
    with pytest.raises(AuthAssociationError) as caught:
        step(BitbucketServerOAuth2, {("bitbucket-server", "42"): JANE}, user=object())
    assert caught.value.context["problem"] == "identity_in_use"
