"""Configuration as text, on the page and by command, and what operators do from the command line."""

import html
import tomllib

import pytest

from tests.capabilities import capability
from tests.flask_app import database
from tests.flask_app.models import models
from tests.flow.site import log_in
from tests.visitor import PASSWORD

PAGE = "/o/acme/settings/configuration"


def run(site, *arguments, **options):
    result = site.app.test_cli_runner().invoke(args=arguments, **options)
    return result.exit_code, result.output


def text_of(owner):
    return owner.get(f"{PAGE}/integrations.toml").text


def integrations(text):
    return tomllib.loads(text)["integrations"]


def test_the_text_has_what_was_configured_and_nothing_secret(owner, acme, sandbox):
    owner.let_in(acme, ("project", "WEB"), ("group", 'a "group"'))
    text = text_of(owner)
    assert integrations(text) == [
        {
            "name": "Bitbucket",
            "base_url": sandbox.url,
            "oauth": 1,
            "enabled": True,
            "allow_groups": ['a "group"'],
            "allow_projects": ["WEB"],
        }
    ]
    assert "KEY" not in text


@capability("configuration as text")
def test_a_text_taken_over_elsewhere_makes_the_same_integrations(site, owner, acme):
    other = site.visitor()
    other.create_organization("globex")
    assert other.post("/o/globex/settings/configuration", text=text_of(owner)).status == 303
    text = other.get("/o/globex/settings/configuration/integrations.toml").text
    assert integrations(text) == integrations(text_of(owner))


def test_what_is_there_is_changed_and_nobody_loses_an_account(site, owner, acme, sandbox):
    log_in(site.visitor(), acme, sandbox)
    text = text_of(owner) + 'allow_groups = ["developers"]\n'
    done = owner.get(owner.post(PAGE, text=text).location)
    assert "“Bitbucket” is changed." in done.words
    assert log_in(site.visitor(), acme, sandbox, user="kim").status == 403
    assert log_in(site.visitor(), acme, sandbox, user="jane").location == "/o/acme/account"
    assert "“Bitbucket” stays as it is." in owner.get(owner.post(PAGE, text=text).location).words


def test_a_list_that_is_missing_opens_to_nobody(owner, acme, sandbox):
    owner.let_in(acme, ("project", "WEB"), ("group", "developers"))
    text = f"[[integrations]]\nname = 'Bitbucket'\nbase_url = '{sandbox.url}'\nallow_groups = []"
    assert owner.post(PAGE, text=text).status == 303
    (integration,) = integrations(text_of(owner))
    assert integration["allow_projects"] == ["WEB"]
    assert "allow_groups" not in integration


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[integrations", "This is not TOML"),
        (f"x = {'9' * 5000}", "more than 100 digits"),
        ("x = 1", "nothing else"),
        ("integrations = 1", "nothing else"),
        ("[[integrations]]\nname = 'One'\nprivate_key = 'x'", 'Integration 1: There is no "private_key"'),
        ("[[integrations]]\nbase_url = 'https://a.example'", "Integration 1: Its name"),
        ("[[integrations]]\nname = 'One'\nbase_url = 'ftp://a.example'", "Integration 1: The base URL cannot be used."),
        ("[[integrations]]\nname = 'One'\nbase_url = 'https://a.example'\nenabled = 1", "enabled is true or false"),
        ("[[integrations]]\nname = 'One'\nbase_url = 'https://a.example'\noauth = 3", "oauth is 1 or 2"),
        ("[[integrations]]\nname = 'One'\nbase_url = 'https://a.example'\nallow_groups = 'x'", "a list of texts"),
        ("[[integrations]]\nname = 'One'\nbase_url = 'https://a.example'\nca_certificates = 'x'", "Integration 1: "),
        (
            "[[integrations]]\nname = 'One'\nbase_url = 'https://a.example'\nconnect_to = 'a'",
            "Integration 1: The address",
        ),
        ("[[integrations]]\nname = 'One'\nbase_url = 'https://a.example'\n" * 2, "Integration 2: Another one before"),
        ("[[integrations]]\nname = 'Bitbucket'\nbase_url = 'https://a.example'", "has another base URL here"),
        ("[[integrations]]\nname = 'A'\nbase_url = 'https://a.example'\n[[integrations]]\nname = 7", "Integration 2"),
    ],
)
def test_a_text_that_cannot_be_used_changes_nothing_and_is_shown_again(owner, acme, text, words):
    before = text_of(owner)
    page = owner.post(PAGE, text=text)
    assert page.status == 422
    assert words in page.words
    assert page.value_of("Text").split() == text.split()
    assert text_of(owner) == before


def test_where_connections_go_is_a_part_of_it(owner, acme):
    text = text_of(owner) + 'connect_to = "inside.example:8443"\n'
    assert "“Bitbucket” is changed." in owner.get(owner.post(PAGE, text=text).location).words
    assert 'connect_to = "inside.example:8443"' in text_of(owner)
    assert "“Bitbucket” stays as it is." in owner.get(owner.post(PAGE, text=text_of(owner)).location).words


@pytest.mark.parametrize("name", ["Bitbucket\u00a0Server", "Bitbucket\u3000サーバー"])
def test_a_name_that_the_page_accepts_is_taken_over(owner, acme, sandbox, name):
    fields = {"name": name, "base_url": sandbox.url}
    assert owner.post(f"{acme}/edit", **fields).status == 303
    assert f"“{name}” stays as it is." in html.unescape(owner.get(owner.post(PAGE, text=text_of(owner)).location).text)


def test_a_name_with_an_invisible_character_is_refused_everywhere(owner, acme, sandbox):
    name = "Bit\u200bbucket"
    fields = {"name": name, "base_url": sandbox.url}
    assert owner.post(f"{acme}/edit", **fields).status == 422
    text = f"[[integrations]]\nname = '{name}'\nbase_url = 'https://a.example'"
    assert "Its name is a text of 1 to 80 characters" in owner.post(PAGE, text=text).words


def test_other_organizations_have_no_such_page(site, owner):
    stranger = site.visitor()
    stranger.create_organization("globex")
    token = stranger.get("/o/globex/settings/configuration").csrf_token
    assert stranger.get(PAGE).status == 404
    assert stranger.get(f"{PAGE}/integrations.toml").status == 404
    assert stranger.send(PAGE, csrf_token=token, text="").status == 404


# Commands


def test_an_organization_is_created_from_the_command_line(site):
    arguments = ("organizations", "create", "globex", "Globex", "--email", "owner@globex.example")
    assert run(site, *arguments, env={"OWNER_PASSWORD": PASSWORD}) == (0, "Globex is created.\n")
    assert site.visitor().log_owner_in("globex").status == 303
    assert "globex\tGlobex\topen" in run(site, "organizations", "list")[1]
    status, output = run(site, *arguments, env={"OWNER_PASSWORD": PASSWORD})
    assert (status, "Another organization has the address" in output) == (1, True)


@pytest.mark.parametrize("password", ["short", "x" * 201])
def test_an_owner_who_could_not_log_in_is_not_created(site, password):
    arguments = ("organizations", "create", "acme", "Acme", "--email", "owner@acme.example")
    status, output = run(site, *arguments, env={"OWNER_PASSWORD": password})
    assert (status, output) == (1, "Error: The password has 10 to 200 characters.\n")
    assert run(site, "organizations", "list")[1] == ""


def test_a_disabled_organization_lets_nobody_in_and_is_enabled_again(site, owner, acme):
    assert run(site, "organizations", "disable", "acme")[0] == 0
    assert owner.get(acme).status == 404
    assert "acme\tAcme\tdisabled" in run(site, "organizations", "list")[1]
    assert run(site, "organizations", "enable", "acme")[0] == 0
    assert owner.get(acme).status == 303
    assert owner.log_owner_in("acme").status == 303
    words = owner.get("/o/acme/settings/events").words
    assert "The operator disabled the organization, and everybody was logged out" in words
    assert "The operator enabled the organization" in words


@capability("configuration as text")
def test_export_and_import_by_command(site, owner, acme):
    run(site, "organizations", "create", "globex", "Globex", "--email", "a@b.example", env={"OWNER_PASSWORD": PASSWORD})
    status, text = run(site, "bitbucket-server", "export", "acme")
    assert (status, text) == (0, text_of(owner))
    status, output = run(site, "bitbucket-server", "import", "globex", "-", input=text)
    assert (status, output) == (0, "“Bitbucket” is added, and waits for Bitbucket to know it.\n")
    assert run(site, "bitbucket-server", "import", "globex", "-", input="x")[0] == 1


def test_integrations_are_listed_disabled_and_enabled(site, owner, acme, sandbox):
    jane = site.visitor()
    log_in(jane, acme, sandbox)
    integration_id = acme.rpartition("/")[2]
    listed = run(site, "bitbucket-server", "list", "acme")[1]
    assert listed == f"{integration_id}\tacme\tBitbucket\t{sandbox.url}\tworking\t1\n"
    assert run(site, "bitbucket-server", "disable", integration_id)[0] == 0
    assert jane.get("/o/acme/account").status == 303
    assert "An integration was disabled" in owner.get("/o/acme/settings/events").words
    for _again in range(2):
        assert run(site, "bitbucket-server", "enable", integration_id)[0] == 0
    assert owner.get("/o/acme/settings/events").words.count("An integration was enabled") == 1
    assert log_in(jane, acme, sandbox).location == "/o/acme/account"


@capability("key rotation")
def test_a_new_key_pair_by_command_waits_beside_the_old_one(site, owner, acme, sandbox):
    status, output = run(site, "bitbucket-server", "rotate", acme.rpartition("/")[2])
    assert status == 0
    assert output.startswith("-----BEGIN PUBLIC KEY-----")
    assert log_in(site.visitor(), acme, sandbox).location == "/o/acme/account"


@pytest.mark.parametrize("command", [("organizations", "disable", "none"), ("bitbucket-server", "rotate", "none")])
def test_what_is_not_there_is_said(site, command):
    status, output = run(site, *command)
    assert (status, output.startswith("Error: There is no")) == (1, True)


def test_what_is_over_is_forgotten(site, owner, acme, sandbox):
    site.visitor().begin(acme)
    assert run(site, "bitbucket-server", "prune") == (0, "0 logins that are over are forgotten.\n")
    with site.app.app_context():
        nonce = models.storage.nonce
        database.session.query(nonce).update({nonce.timestamp: nonce.timestamp - 4000})
        database.session.commit()
    assert run(site, "bitbucket-server", "prune") == (0, "1 logins that are over are forgotten.\n")
