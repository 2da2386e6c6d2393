"""Configuration as text: what is written is read again, and what cannot be used is refused with its place."""

import tomllib
from dataclasses import replace

import pytest

from social_bitbucket_server.integration import BaseURLRules, Roles
from social_bitbucket_server.organizations import (
    ConfiguredIntegration,
    OAuth,
    UnusableConfigurationError,
    read_configuration,
    write_configuration,
)

RULES = BaseURLRules()
ACME = ConfiguredIntegration("Acme", "https://bitbucket.acme.example/context")
EVERYTHING = ConfiguredIntegration(
    'Acme "\x20\u00a0サーバー',
    "https://bitbucket.acme.example",
    oauth=OAuth.TWO,
    enabled=False,
    connect_to="inside.example:8443",
    allow_groups=('a "group"',),
    allow_projects=("WEB",),
    allow_repositories=("WEB/website",),
    roles=Roles.read({"editor": {"groups": ['a "group"', "x"]}, '"v': {"projects": ["WEB"]}}),
)
IN_ONE_TABLE = replace(ACME, slug="acme", organization="Acme Corporation")
MINIMAL = "[[integrations]]\nname = 'Acme'\nbase_url = 'https://a.example'\n"


def read(text, *known, key="name", **options):
    options = {"role_names": ["editor", '"v'], **options}
    return read_configuration(text, {getattr(one, key): one for one in known}, RULES, key=key, **options)


@pytest.mark.parametrize("one", [ACME, EVERYTHING])
def test_what_is_written_is_read_again(one):
    text = write_configuration([one], "The integrations of Acme.\nx = 1")
    assert text.startswith("# The integrations of Acme.x = 1\n\n[[integrations]]\nname = ")
    assert read(text) == read(text, one) == [one]


def test_the_login_link_tells_integrations_of_one_table_apart():
    text = write_configuration([IN_ONE_TABLE, replace(IN_ONE_TABLE, slug="acme-two")], "All.")
    assert [one.slug for one in read(text, IN_ONE_TABLE, key="slug")] == ["acme", "acme-two"]
    with pytest.raises(UnusableConfigurationError, match='There is no "organization"'):
        read(text)


def test_what_is_empty_is_left_out():
    (table,) = tomllib.loads(write_configuration([ACME], ""))["integrations"]
    assert table == {"name": "Acme", "base_url": ACME.base_url, "oauth": 1, "enabled": True}


def test_a_list_of_conditions_that_is_left_out_stays():
    there = replace(ACME, base_url="https://a.example", allow_groups=("developers",), allow_projects=("WEB",))
    (one,) = read(f"{MINIMAL}allow_groups = []", there)
    assert (one.allow_groups, one.allow_projects) == ((), ("WEB",))
    assert one.admission.projects == ("WEB",)


def test_roles_that_are_left_out_stay():
    roles = Roles.read({"editor": {"groups": ["developers"]}})
    there = replace(ACME, base_url="https://a.example", roles=roles)
    assert read(MINIMAL, there)[0].roles == roles
    assert read(f"{MINIMAL}roles = {{}}", there)[0].roles == Roles()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[integrations", "This is not TOML"),
        (f"x = {'9' * 5000}", "more than 100 digits"),
        ("#" * 16_385, "longer than 16 KB"),
        ("x = 1", "nothing else"),
        ("integrations = 1", "nothing else"),
        ("integrations = [1]", "Integration 1: It is not a table."),
        (MINIMAL * 21, "more than 20 integrations"),
        (f"{MINIMAL}private_key = 'x'", 'Integration 1: There is no "private_key"'),
        ("[[integrations]]\nbase_url = 'https://a.example'", "Integration 1: Its name"),
        ("[[integrations]]\nname = 'A\\u200b'\nbase_url = 'https://a.example'".replace("'", '"'), "Its name"),
        ("[[integrations]]\nname = ' A'", "Its name"),
        ("[[integrations]]\nname = 7", "name is a text"),
        ("[[integrations]]\nname = 'A'\nbase_url = 'ftp://a.example'", "Integration 1: The base URL cannot be used."),
        (f"{MINIMAL}enabled = 1", "enabled is true or false"),
        (f"{MINIMAL}oauth = 3", "oauth is 1 or 2"),
        (f"{MINIMAL}oauth = true", "oauth is 1 or 2"),
        (f"{MINIMAL}allow_groups = 'x'", "a list of texts"),
        (f"{MINIMAL}roles = 'x'", "It is a mapping of roles"),
        (f"{MINIMAL}[integrations.roles.editor]\ngroups = 'x'", "The groups of the role editor are a list of texts."),
        (f"{MINIMAL}[integrations.roles.root]\ngroups = ['x']", "There is no role root here. The roles are: editor"),
        (
            f"{MINIMAL}allow_groups = ['a', 'b', 'c']\n[integrations.roles.editor]\ngroups = ['d', 'e', 'f']",
            "There are 6 groups",
        ),
        (f"{MINIMAL}ca_certificates = 'x'", "Integration 1: "),
        (f"{MINIMAL}connect_to = 'a'", "Integration 1: The address"),
        (MINIMAL * 2, "Integration 2: Another one before it has the same name."),
        ("[[integrations]]\nname = 'There'\nbase_url = 'https://a.example'", "has another base URL here"),
        ("[[integrations]]\nname = 'There'\nbase_url = 'https://there.example'\noauth = 2", "has another OAuth here"),
    ],
)
def test_a_text_that_cannot_be_used_is_refused(text, says):
    with pytest.raises(UnusableConfigurationError, match=says):
        read(text, ConfiguredIntegration("There", "https://there.example"))


def test_the_operators_text_may_be_long():
    text = "".join(MINIMAL.replace("Acme", f"Acme {number}") for number in range(1000))
    assert len(read(text, is_operator=True)) == 1000
