import dataclasses
import json

import pytest

from social_bitbucket_server.account import Membership, Profile, findings, require_admission
from social_bitbucket_server.account.profile import Finding
from social_bitbucket_server.integration import Admission, Kind
from social_bitbucket_server.oauth import AccessToken, Client
from social_bitbucket_server.problems import BitbucketServerError
from tests.scripted_server import Reply

REST = "/bitbucket/rest/api/latest"
JSON = ("Content-Type", "application/json;charset=UTF-8")
TOKEN = AccessToken("A", "", None, None)
JANE = Profile(id=42, name="jane", slug="jane", display_name="Jane", email=None, avatar_url=None, url=None)
REFUSED = {"errors": [{"context": None, "message": "You are not permitted", "exceptionName": "x"}]}


def reply(document, status=200):
    return Reply(json.dumps(document), status=status, headers=[JSON])


@pytest.fixture
def ask(integration):
    return lambda **names: list(findings(Membership(Client(integration).as_person(TOKEN), JANE), Admission(**names)))


@pytest.fixture
def enter(integration):
    def code(**names):
        try:
            require_admission(Membership(Client(integration).as_person(TOKEN), JANE), Admission(**names))
        except BitbucketServerError as error:
            return error.code
        return "admitted"

    return code


def test_without_a_condition_nothing_is_asked(enter, server):
    assert enter() == "admitted"
    assert server.paths() == []


def test_the_number_says_who_is_a_member_and_the_name_does_not(ask, server):
    server.scripts[f"{REST}/users"] = reply({"values": [{"id": 7, "name": "jane"}, {"id": True}, {"id": "42"}, 3]})
    assert ask(groups=("developers",)) == [Finding(Kind.GROUP, "developers", False)]
    assert server.received[0].query["group"] == ["developers"]
    assert server.received[0].query["filter"] == ["jane"]


def test_true_is_not_the_number_1(integration, server):
    server.scripts[f"{REST}/users"] = reply({"values": [{"id": True}]})
    first = dataclasses.replace(JANE, id=1)
    found = findings(Membership(Client(integration).as_person(TOKEN), first), Admission(groups=("developers",)))
    assert [finding.holds for finding in found] == [False]


def test_a_member_is_found_on_a_later_page(ask, server):
    def page(request):
        if request.query["group"] != ["developers"]:
            return reply({"values": [], "isLastPage": True})
        if request.query["start"] == ["0"]:
            return reply({"values": [{"id": 1}], "isLastPage": False, "nextPageStart": 25})
        return reply({"values": [{"id": 42}], "isLastPage": True})

    server.scripts[f"{REST}/users"] = page
    assert ask(groups=("developers",)) == [Finding(Kind.GROUP, "developers", True)]


def test_a_server_that_finds_everybody_in_every_group_tells_nothing(ask, enter, server):
    server.scripts[f"{REST}/users"] = reply({"values": [{"id": 42, "name": "jane"}], "isLastPage": True})
    assert [finding.holds for finding in ask(groups=("one", "two"))] == [None, None]
    assert len({request.query["group"][0] for request in server.received}) == 2, "the second group is not asked for"
    assert enter(groups=("developers",)) == "groups_unreadable"


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_does_not_tell_is_asked_once(ask, server, status):
    server.scripts[f"{REST}/users"] = reply(REFUSED, status)
    assert [finding.holds for finding in ask(groups=("one", "two"))] == [None, None]
    assert len(server.received) == 1


@pytest.mark.parametrize("status", [400, 404])
def test_nobody_is_in_a_group_that_is_not_there(ask, server, status):
    server.scripts[f"{REST}/users"] = reply(REFUSED, status)
    assert [finding.holds for finding in ask(groups=("one",))] == [False]


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        (reply({"key": "WEB"}), True),
        (reply({"key": "web"}), True),
        (reply({"key": "OTHER"}), False),
        (reply({}), False),
        (reply({"key": 7}), False),
        (reply(REFUSED, 401), False),
        (reply(REFUSED, 403), False),
        (reply(REFUSED, 404), False),
    ],
)
def test_a_project_is_seen_where_the_answer_is_about_it(ask, server, answer, holds):
    server.scripts[f"{REST}/projects/WEB"] = answer
    assert ask(projects=("WEB",)) == [Finding(Kind.PROJECT, "WEB", holds)]


def test_a_repository_is_seen_where_the_answer_is_about_it(ask, server):
    server.scripts[f"{REST}/projects/~jane/repos/dotfiles"] = reply({"slug": "dotfiles", "project": {"key": "~JANE"}})
    assert ask(repositories=("~jane/dotfiles",)) == [Finding(Kind.REPOSITORY, "~jane/dotfiles", True)]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Reply("<html>", headers=[("Content-Type", "text/html")]), "intercepted"),
        (Reply("", status=302, headers=[("Location", "/login")]), "login_in_front"),
        (Reply("", status=500), "server_error"),
        (Reply("[]", headers=[JSON]), "malformed_answer"),
        (Reply("", status=401), "account_not_admitted"),
        (Reply("oauth_problem=token_rejected", status=401), "token_rejected"),
    ],
)
def test_what_is_no_answer_lets_nobody_in(enter, server, answer, code):
    server.scripts[f"{REST}/projects/WEB"] = answer
    assert enter(projects=("WEB",)) == code


def test_one_condition_is_enough_and_the_others_are_not_asked(enter, server):
    server.scripts[f"{REST}/users"] = lambda request: reply(
        {"values": [{"id": 42}] if request.query["group"] == ["one"] else []}
    )
    assert enter(groups=("one", "two"), projects=("WEB",)) == "admitted"
    assert len(server.received) == 2, "the second is for a group that cannot exist"


def test_a_project_lets_in_where_groups_cannot_be_read(enter, server):
    server.scripts[f"{REST}/users"] = reply(REFUSED, 401)
    server.scripts[f"{REST}/projects/WEB"] = reply({"key": "WEB"})
    assert enter(groups=("one",), projects=("WEB",)) == "admitted"


def test_where_it_depends_on_unreadable_groups_that_is_said(enter, server):
    server.scripts[f"{REST}/users"] = reply(REFUSED, 401)
    server.scripts[f"{REST}/projects/WEB"] = reply(REFUSED, 404)
    assert enter(groups=("one",), projects=("WEB",)) == "groups_unreadable"


def test_where_it_is_certain_the_person_is_refused(enter, server):
    server.scripts[f"{REST}/users"] = reply({"values": []})
    assert enter(groups=("one",)) == "person_not_allowed"


WEB = {"key": "WEB", "name": "Website & more"}
WEBSITE = {"slug": "website", "name": "The website", "project": WEB}


@pytest.mark.parametrize(
    ("listed", "holds"),
    [
        ([WEB], True),
        ([{"key": "web"}], True),
        ([{"key": "OTHER", "name": "Website & more"}], False),
        ([{"key": True}, {}, 3, WEB], True),
        ([], False),
    ],
)
def test_a_permission_on_a_project_is_had_if_its_key_is_in_the_list(ask, server, listed, holds):
    server.scripts[f"{REST}/projects/WEB"] = reply(WEB)
    server.scripts[f"{REST}/projects"] = reply({"values": listed, "isLastPage": True})
    assert ask(projects=("WEB:write",)) == [Finding(Kind.PROJECT, "WEB:write", holds)]
    query = server.received[-1].query
    assert (query["permission"], query["name"]) == (["PROJECT_WRITE"], ["Website & more"])


@pytest.mark.parametrize(
    ("listed", "holds"),
    [
        ([WEBSITE], True),
        ([{**WEBSITE, "project": {"key": "OTHER"}}], False),
        ([{**WEBSITE, "slug": "website2"}], False),
        ([{**WEBSITE, "project": "WEB"}], False),
    ],
)
def test_a_permission_on_a_repository_is_had_if_key_and_slug_are_in_the_list(ask, server, listed, holds):
    server.scripts[f"{REST}/projects/WEB/repos/website"] = reply(WEBSITE)
    server.scripts[f"{REST}/repos"] = reply({"values": listed})
    assert ask(repositories=("WEB/website:admin",)) == [Finding(Kind.REPOSITORY, "WEB/website:admin", holds)]
    query = server.received[-1].query
    assert (query["permission"], query["name"]) == (["REPO_ADMIN"], ["The website"])
    assert query["projectname"] == ["Website & more"]


def test_a_permission_is_found_on_a_later_page(ask, server):
    server.scripts[f"{REST}/projects/WEB"] = reply(WEB)
    server.scripts[f"{REST}/projects"] = lambda request: reply(
        {"values": [{"key": "A"}], "isLastPage": False, "nextPageStart": 1}
        if request.query["start"] == ["0"]
        else {"values": [WEB], "isLastPage": True}
    )
    assert [finding.holds for finding in ask(projects=("WEB:read",))] == [True]


def test_what_is_not_seen_is_not_asked_for_and_what_is_seen_is_asked_for_once(ask, server):
    server.scripts[f"{REST}/projects/OPS"] = reply(REFUSED, 401)
    server.scripts[f"{REST}/projects/WEB"] = reply(WEB)
    server.scripts[f"{REST}/projects"] = reply({"values": []})
    found = ask(projects=("OPS:write", "WEB", "WEB:write"))
    assert [finding.holds for finding in found] == [False, True, False]
    assert len(server.received) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_list_that_is_refused_gives_no_permission(ask, server, status):
    server.scripts[f"{REST}/projects/WEB"] = reply(WEB)
    server.scripts[f"{REST}/projects"] = reply(REFUSED, status)
    assert [finding.holds for finding in ask(projects=("WEB:write",))] == [False]


@pytest.mark.parametrize(("answer", "code"), [(Reply("", status=500), "server_error"), (reply({}), "malformed_answer")])
def test_a_list_that_is_no_answer_lets_nobody_in(enter, server, answer, code):
    server.scripts[f"{REST}/projects/WEB"] = reply(WEB)
    server.scripts[f"{REST}/projects"] = answer
    assert enter(projects=("WEB:write",)) == code


@pytest.mark.parametrize(
    ("project", "holds"),
    [
        ({"key": "WEB"}, True),
        ({"key": "web"}, True),
        ({"key": "OTHER"}, False),
        ({}, False),
        (None, False),
        ("WEB", False),
    ],
)
def test_a_repository_that_moved_to_another_project_is_another_one(ask, server, project, holds):
    server.scripts[f"{REST}/projects/WEB/repos/website"] = reply({"slug": "website", "project": project})
    assert ask(repositories=("WEB/website",)) == [Finding(Kind.REPOSITORY, "WEB/website", holds)]


@pytest.mark.parametrize("condition", [{"groups": ("developers",)}, {"projects": ("ACME",)}])
def test_an_answer_to_somebody_else_lets_nobody_in(enter, server, condition):
    answers = {f"{REST}/users": {"values": [{"id": 42}]}, f"{REST}/projects/ACME": {"key": "ACME"}}
    for path, document in answers.items():
        server.scripts[path] = Reply(json.dumps(document), headers=[JSON, ("X-AUSERID", "43")])
    assert enter(**condition) == "identity_of_another"


@pytest.mark.parametrize(
    ("record", "condition"),
    [
        ({"key": "WEB", "name": "\ud800"}, {"projects": ("WEB:write",)}),
        (
            {"slug": "a", "name": "\ud800", "project": {"key": "WEB", "name": "\udfff"}},
            {"repositories": ("WEB/a:write",)},
        ),
    ],
)
def test_a_name_that_no_address_can_hold_gives_no_permission(ask, server, record, condition):
    for path in ("projects/WEB", "projects/WEB/repos/a"):
        server.scripts[f"{REST}/{path}"] = reply(record)
    for path in ("projects", "repos"):
        server.scripts[f"{REST}/{path}"] = reply({"values": []})
    assert [finding.holds for finding in ask(**condition)] == [False]
