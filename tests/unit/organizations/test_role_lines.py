"""Roles as lines: what is written is read again, and what cannot be used is refused by its line."""

import pytest

from social_bitbucket_server.integration import Roles
from social_bitbucket_server.organizations import UnusableRolesError, read_role_lines, role_lines

OFFERED = ("editor", "release manager")
ROLES = Roles.read(
    {
        "editor": {"groups": ["web team", "a = b"], "repositories": ["WEB/website"]},
        "release manager": {"projects": ["~jane"]},
    }
)


def test_what_is_written_is_read_again():
    text = role_lines(ROLES)
    assert text.splitlines()[:2] == ["editor = group web team", "editor = group a = b"]
    assert read_role_lines(text, OFFERED) == ROLES


def test_spaces_capitals_of_the_kind_and_empty_lines_make_no_difference():
    assert read_role_lines("\r\n editor=Project   WEB \r\n\r\neditor = project WEB\r\n", OFFERED) == Roles.read(
        {"editor": {"projects": ["WEB"]}}
    )
    assert read_role_lines("", OFFERED) == Roles()


SHAPE = "Write a role, an equals sign, group, project or repository, and its name."


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("editor", SHAPE),
        ("editor = ", SHAPE),
        ("editor = WEB", SHAPE),
        ("editor = team WEB", SHAPE),
        ("editor = group", SHAPE),
        ("editor = groups web-team", SHAPE),
        ("root = group web-team", "There is no role root here. The roles are: editor, release manager."),
        (" = group web-team", "A role is named by a text"),
        ("editor = project WEB/website", "The role editor: A project is named by its key"),
        ("editor = repository website", "The role editor: A repository is named by its project's key"),
        (f"editor = group {'x' * 256}", "The role editor: A group is named by a text of at most 255 characters"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(line, says):
    with pytest.raises(UnusableRolesError) as caught:
        read_role_lines(f"editor = group developers\n\n{line}", OFFERED)
    (message,) = caught.value.messages
    assert message.startswith("Line 3: ")
    assert says in message


def test_each_wrong_line_has_a_message():
    with pytest.raises(UnusableRolesError) as caught:
        read_role_lines("x\neditor = group a\ny", OFFERED)
    assert [message.partition(":")[0] for message in caught.value.messages] == ["Line 1", "Line 3"]


def test_too_many_lines_are_refused_together():
    with pytest.raises(UnusableRolesError, match=r"^The role editor: There are 6 groups"):
        read_role_lines("\n".join(f"editor = group {number}" for number in range(6)), OFFERED)
    each = "\n".join(f"{role} = group {role}{number}" for role in OFFERED for number in range(3))
    with pytest.raises(UnusableRolesError, match=r"^There are 6 groups, projects and repositories"):
        read_role_lines(each, OFFERED)
