"""Who may log in, asked at the sandbox with each person's own token: in plain Flask, by either OAuth."""

import dataclasses

import pytest

from social_bitbucket_server.crypto import Secret
from social_bitbucket_server.integration import (
    Admission,
    Integration,
    OAuth2Integration,
    Server,
    ServerURL,
    UnsafeConfigurationError,
)
from social_bitbucket_server.sandbox import Project, Sandbox
from tests.flow.test_many_integrations import ORIGIN, Browser, Host
from tests.flow.test_oauth2_login import callback
from tests.flow.test_oauth2_login import log_in as log_in_by_oauth2

OAUTH1 = "SOCIAL_AUTH_BITBUCKET_SERVER_"
OAUTH2 = "SOCIAL_AUTH_BITBUCKET_SERVER_OAUTH2_"


class Application:
    """A Flask application with one integration, "one", by either OAuth."""

    def __init__(self, host, sandbox, *, is_oauth2):
        self.host, self.sandbox, self._is_oauth2 = host, sandbox, is_oauth2

    def log_in(self, user):
        """Nothing where the person was let in, else the problem."""
        before, browser = len(self.host.errors), Browser(self.host)
        if self._is_oauth2:
            answer = log_in_by_oauth2(browser, self.sandbox, "one", user)
        else:
            answer = browser.log_in("one", self.sandbox, user)
        if len(self.host.errors) == before:
            assert answer.status_code == 303
            return ""
        assert answer.status_code == {"person_not_allowed": 403, "groups_unreadable": 503}[self.host.problem]
        return self.host.problem


@pytest.fixture
def sandbox():
    with Sandbox(context="/bitbucket") as sandbox:
        yield sandbox


@pytest.fixture(params=["OAuth 1", "OAuth 2"])
def make(request, tmp_path, sandbox, private_key):
    hosts = []
    is_oauth2 = request.param == "OAuth 2"
    shared = {"id": "one", "server": Server(ServerURL.parse(sandbox.url)), "namespace": "ns"}
    if is_oauth2:
        link = sandbox.link_external_application(redirect_url=callback("one"))
        credentials = {"client_id": link.client_id, "client_secret": Secret(link.client_secret)}
        integration = OAuth2Integration(**shared, **credentials)
    else:
        sandbox.link(consumer_key="c1", public_key=private_key.public.pem)
        integration = Integration(**shared, consumer_key="c1", private_key=private_key)

    def application(settings=None, **admission):
        one = {"one": dataclasses.replace(integration, admission=Admission(**admission))}
        prefix = OAUTH2 if is_oauth2 else OAUTH1
        config = {f"{prefix}{name}": value for name, value in (settings or {}).items()}
        if is_oauth2:
            config |= {f"{OAUTH2}INTEGRATIONS": one, f"{OAUTH2}CALLBACK_ORIGIN": ORIGIN}
        hosts.append(Host(tmp_path / "app.db", {} if is_oauth2 else one, **config))
        return Application(hosts[-1], sandbox, is_oauth2=is_oauth2)

    yield application
    for host in hosts:
        host.engine.dispose()


def test_members_of_the_group_come_in_and_others_leave_no_trace(make):
    application = make(groups=("developers",))
    assert application.log_in("kim") == "person_not_allowed"
    assert application.host.identities() == []
    assert application.log_in("jane") == ""
    assert [uid for uid, _user in application.host.identities()] == ["ns:2"]


def test_a_slug_that_is_not_the_name_makes_no_difference(make):
    assert make(groups=("developers",)).log_in("jo@example") == ""


def test_who_leaves_the_group_is_refused_the_next_time(make, sandbox):
    application = make(groups=("developers",))
    assert application.log_in("jane") == ""
    sandbox.projects.take_from_group("developers", "jane")
    assert application.log_in("jane") == "person_not_allowed"


def test_a_group_that_is_not_there_lets_nobody_in(make):
    assert make(groups=("nobody-made-it",)).log_in("jane") == "person_not_allowed"


@pytest.mark.parametrize("condition", [{"projects": ("web",)}, {"repositories": ("WEB/website",)}])
def test_who_can_see_the_project_comes_in(make, condition):
    application = make(**condition)
    assert application.log_in("jo@example") == ""
    assert application.log_in("kim") == "person_not_allowed"


@pytest.mark.parametrize("condition", [{"projects": ("NONE",)}, {"repositories": ("WEB/none",)}])
def test_what_is_not_there_is_seen_by_nobody(make, condition):
    assert make(**condition).log_in("jane") == "person_not_allowed"


def test_a_project_for_one_person(make, sandbox):
    sandbox.projects.put(Project("~KIM", "Kim's", ("notes",), users=("kim",)))
    application = make(repositories=("~KIM/notes",))
    assert application.log_in("kim") == ""
    assert application.log_in("jane") == "person_not_allowed"


def test_a_server_that_does_not_tell_groups_lets_in_by_the_project(make, sandbox):
    sandbox.faults.groups_closed = True
    application = make(groups=("bitbucket-users",), projects=("WEB",))
    assert application.log_in("jane") == ""
    assert application.log_in("kim") == "groups_unreadable"


def test_settings_count_for_integrations_that_say_nothing(make):
    application = make({"ALLOW_GROUPS": ["developers"], "ALLOW_PROJECTS": ["NONE"]})
    assert application.log_in("jane") == ""
    assert application.log_in("kim") == "person_not_allowed"


@pytest.mark.parametrize("setting", [{"ALLOW_PROJECTS": ["WEB"]}, {"ALLOW_REPOSITORIES": ["WEB/website"]}])
def test_projects_and_repositories_of_the_settings_count(make, setting):
    application = make(setting)
    assert application.log_in("jo@example") == ""
    assert application.log_in("kim") == "person_not_allowed"


def test_what_an_integration_says_counts_instead_of_the_settings(make):
    application = make({"ALLOW_GROUPS": ["developers"]}, groups=("bitbucket-users",))
    assert application.log_in("kim") == ""


def test_a_setting_that_cannot_be_used_keeps_the_login_from_beginning(make):
    with pytest.raises(UnsafeConfigurationError, match="ALLOW_GROUPS is a list of texts"):
        make({"ALLOW_GROUPS": "developers"})


def test_a_token_for_public_repositories_shows_no_others(make, sandbox):
    application = make({"SCOPE": ["PUBLIC_REPOS"]}, projects=("WEB",))
    assert application.log_in("jane") == ("person_not_allowed" if application._is_oauth2 else "")
