"""Configuration as text: exported and imported by command."""

import io
import tomllib

import pytest
import trustme
from django.core.management import CommandError, call_command

from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Integration
from tests.capabilities import capability
from tests.frameworks.django.conftest import Visitor, happenings, make_integration


@pytest.fixture
def export(capsys):
    def export(*chosen):
        capsys.readouterr()
        call_command("bitbucket_server", "export", *chosen)
        return capsys.readouterr().out

    return export


@pytest.fixture
def take(capsys, tmp_path):
    """Import a text, and return what is said."""

    def take(text):
        file = tmp_path / "integrations.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        capsys.readouterr()
        call_command("bitbucket_server", "import", str(file))
        return capsys.readouterr().out

    return take


@pytest.fixture
def acme(bitbucket_sandbox):
    return make_integration("acme", bitbucket_sandbox, organization="Acme Corporation", allow_groups=["developers"])


def test_the_text_has_what_was_configured_and_nothing_secret(export, acme, globex):
    text = export("acme")
    assert tomllib.loads(text)["integrations"] == [
        {
            "slug": "acme",
            "name": "Acme",
            "organization": "Acme Corporation",
            "base_url": acme.base_url,
            "oauth": 1,
            "enabled": True,
            "allow_groups": ["developers"],
        }
    ]
    assert text.startswith("# The integrations of Packages, without keys and secrets.\n")
    assert "KEY" not in text
    assert acme.consumer_key not in text
    assert [each["slug"] for each in tomllib.loads(export())["integrations"]] == ["acme", "globex"]


@capability("configuration as text")
def test_a_text_makes_the_same_integrations_elsewhere(export, take, acme):
    ca = trustme.CA().cert_pem.bytes().decode()
    Integration.objects.update(ca_certificates=ca, connect_to="inside.example:8443", enabled=False)
    text = export()
    integrations.delete(acme)
    assert take(text) == "“acme” is added, and waits for Bitbucket to know it.\n"
    assert export() == text
    made = Integration.objects.get()
    assert made.pk != acme.pk
    assert made.namespace != acme.namespace
    assert made.active_key_pair is not None
    assert take(text) == "“acme” stays as it is.\n"


def test_what_is_there_is_changed_and_nobody_loses_an_account(export, take, acme, bitbucket_sandbox):
    Visitor().log_in(acme, bitbucket_sandbox)
    changed = export().replace('"Acme"', '"Acme & Co"').replace('["developers"]', "[]")
    assert take(changed) == "“acme” is changed.\n"
    acme.refresh_from_db()
    assert (acme.name, acme.allow_groups) == ("Acme & Co", [])
    assert integrations.identities(acme).count() == 1
    assert "integration.updated" in happenings()


def test_an_integration_is_disabled_by_a_text(export, take, acme, bitbucket_sandbox):
    inside = Visitor()
    inside.log_in(acme, bitbucket_sandbox)
    assert take(export().replace("enabled = true", "enabled = false")) == "“acme” is changed.\n"
    assert inside.name == "nobody"
    assert "integration.updated" not in happenings()


def test_what_the_text_leaves_out_is_not_deleted(export, take, acme, globex):
    take(export("globex"))
    assert Integration.objects.count() == 2


@pytest.mark.parametrize(
    ("slug", "rest", "says"),
    [
        ("acme", "", "has another base URL here"),
        ("new", "oauth = 2", "not set up for OAuth 2"),
        ("Not a slug!", "", "cannot be saved. slug: "),
        ("new", "allow_groups = 'x'", "a list of texts"),
        ("new", "client_key = 'x'", 'There is no "client_key"'),
    ],
)
def test_a_text_that_cannot_be_used_changes_nothing(export, take, acme, slug, rest, says):
    before = export()
    good = "[[integrations]]\nslug = 'good'\nname = 'Good'\nbase_url = 'https://bitbucket.example.com'\n"
    bad = f"[[integrations]]\nslug = '{slug}'\nname = 'Bad'\nbase_url = 'https://b.example.com'\n{rest}"
    with pytest.raises(CommandError, match=says):
        take(good + bad)
    assert export() == before


def test_a_text_comes_by_a_pipe(export, acme, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(export()))
    call_command("bitbucket_server", "import", "-")
    assert capsys.readouterr().out == "“acme” stays as it is.\n"


def test_a_file_that_cannot_be_read_is_named(take, tmp_path):
    with pytest.raises(CommandError, match=r"integrations\.toml is not a text in UTF-8"):
        take(b"\xff")
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        call_command("bitbucket_server", "import", str(tmp_path / "missing"))
