import logging
from types import SimpleNamespace

import pytest

from social_bitbucket_server.account import given_roles, roles_of
from social_bitbucket_server.integration import Kind, Roles

ROLES = Roles.read({"developer": {"groups": ["developers"]}, "editor": {"groups": ["editors"], "projects": ["DOCS"]}})


class Answers:
    def __init__(self, **answers):
        self.answers = answers

    def holds(self, kind, name):
        assert isinstance(kind, Kind)
        return self.answers[name]


@pytest.mark.parametrize(
    ("answers", "given"),
    [
        ({"developers": True, "editors": True}, ["developer", "editor"]),
        ({"developers": False, "editors": False, "DOCS": True}, ["editor"]),
        ({"developers": None, "editors": None, "DOCS": True}, ["editor"]),
        ({"developers": False, "editors": False, "DOCS": False}, []),
    ],
)
def test_one_condition_that_holds_gives_the_role(answers, given):
    assert given_roles(Answers(**answers), ROLES) == given


def test_a_role_in_doubt_is_not_given_and_the_log_says_so(caplog):
    caplog.set_level(logging.WARNING)
    assert given_roles(Answers(developers=None, editors=False, DOCS=False), ROLES) == []
    (record,) = caplog.records
    assert "role developer was not given" in record.getMessage()


@pytest.mark.parametrize(
    "kept",
    [
        None,
        {},
        {"bitbucket_roles": None},
        {"bitbucket_roles": "editor"},
        {"bitbucket_roles": {"editor": 1}},
        {"roles": ["editor"]},
    ],
)
def test_without_a_list_of_roles_there_are_none(kept):
    assert roles_of(SimpleNamespace(extra_data=kept)) == frozenset()


def test_the_roles_are_those_that_the_identity_keeps():
    assert roles_of(SimpleNamespace(extra_data={"bitbucket_roles": ["editor", 7, None]})) == {"editor"}
