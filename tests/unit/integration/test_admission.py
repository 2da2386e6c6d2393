import pytest

from social_bitbucket_server.integration import Admission, Kind
from social_bitbucket_server.integration.admission import MOST_QUESTIONS, count_questions
from social_bitbucket_server.problems import BitbucketServerError


def test_nothing_said_is_everybody():
    assert Admission.read(None, None, None).conditions == ()


def test_conditions_come_in_one_order():
    admission = Admission.read(["developers"], {"WEB"}, ("~JANE/dotfiles",))
    assert admission.conditions == (
        (Kind.GROUP, "developers"),
        (Kind.PROJECT, "WEB"),
        (Kind.REPOSITORY, "~JANE/dotfiles"),
    )


def test_a_permission_is_a_part_of_the_condition_and_no_part_of_a_group():
    admission = Admission(("team:write",), ("WEB:admin",), ("WEB/website:read",))
    assert [kind.parts(name) for kind, name in admission.conditions] == [
        ("team:write", ""),
        ("WEB", "admin"),
        ("WEB/website", "read"),
    ]


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"projects": ["WEB"]}, 1),
        ({"projects": ["WEB:write"]}, 2),
        ({"projects": ["WEB", "WEB:write"]}, 2),
        ({"projects": ["WEB:read", "WEB:write"]}, 3),
        ({"groups": ["WEB"], "projects": ["WEB"], "repositories": ["WEB/website:write"]}, 4),
        ({"groups": ["a:write", "b:write"]}, 2),
    ],
)
def test_one_with_a_permission_is_two_questions(fields, count):
    assert count_questions(Admission(**{field: tuple(names) for field, names in fields.items()}).conditions) == count


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"projects": ["WEB:"]}, "ALLOW_PROJECTS"),
        ({"projects": ["WEB:WRITE"]}, "ALLOW_PROJECTS"),
        ({"projects": ["WEB:create"]}, "ALLOW_PROJECTS"),
        ({"projects": ["WEB:read:write"]}, "ALLOW_PROJECTS"),
        ({"projects": [":write"]}, "ALLOW_PROJECTS"),
        ({"repositories": ["WEB:write/website"]}, "ALLOW_REPOSITORIES"),
        ({"repositories": ["WEB/website:own"]}, "ALLOW_REPOSITORIES"),
        ({"projects": ["A:write", "B:write", "C:write"]}, "ALLOW_GROUPS"),
        ({"groups": "developers"}, "ALLOW_GROUPS"),
        ({"groups": "dev"}, "ALLOW_GROUPS"),
        ({"groups": [""]}, "ALLOW_GROUPS"),
        ({"groups": [" developers"]}, "ALLOW_GROUPS"),
        ({"groups": ["a\nb"]}, "ALLOW_GROUPS"),
        ({"groups": ["x" * 256]}, "ALLOW_GROUPS"),
        ({"groups": [7]}, "ALLOW_GROUPS"),
        ({"projects": ["WEB/website"]}, "ALLOW_PROJECTS"),
        ({"projects": [".."]}, "ALLOW_PROJECTS"),
        ({"projects": ["A?b=1"]}, "ALLOW_PROJECTS"),
        ({"repositories": ["website"]}, "ALLOW_REPOSITORIES"),
        ({"repositories": ["WEB/.."]}, "ALLOW_REPOSITORIES"),
        ({"repositories": ["WEB/a/b"]}, "ALLOW_REPOSITORIES"),
        ({"projects": [f"P{n}" for n in range(MOST_QUESTIONS + 1)]}, "ALLOW_GROUPS"),
    ],
)
def test_what_cannot_be_a_name_is_refused_with_the_setting(fields, parameter):
    with pytest.raises(BitbucketServerError) as caught:
        Admission.read(**{"groups": None, "projects": None, "repositories": None} | fields)
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", parameter)
