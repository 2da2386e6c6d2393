import pytest

from social_bitbucket_server.integration import Admission, Kind
from social_bitbucket_server.integration.admission import MOST_CONDITIONS
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


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
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
        ({"projects": [f"P{n}" for n in range(MOST_CONDITIONS + 1)]}, "ALLOW_GROUPS"),
    ],
)
def test_what_cannot_be_a_name_is_refused_with_the_setting(fields, parameter):
    with pytest.raises(BitbucketServerError) as caught:
        Admission.read(**{"groups": None, "projects": None, "repositories": None} | fields)
    assert (caught.value.code, caught.value.parameter) == ("setting_invalid", parameter)
