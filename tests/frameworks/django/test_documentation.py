"""Tests that docs/django.md lists every system check and command, and that its steps work."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from django.core.management import load_command_class

from social_bitbucket_server.django import checks

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "django.md").read_text()
EXISTING = (DOCS / "existing-projects.md").read_text()


def test_every_system_check_is_explained():
    there = set(re.findall(r'"([EW]\d{3})"', Path(checks.__file__).read_text()))
    there |= set(re.findall(r"_LABEL}\.(W\d{3})", Path(checks.__file__).read_text()))
    assert there == set(re.findall(r"`([EW]\d{3})`", PAGE))


def test_every_command_is_listed():
    parser = load_command_class("social_bitbucket_server.django", "bitbucket_server").create_parser("manage.py", "x")
    (commands,) = [action.choices for action in parser._actions if action.choices and "worksheet" in action.choices]
    table = PAGE.partition("## The command")[2].partition("## ")[0]
    listed = {
        name for cell in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for name in re.findall("`([a-z-]+)", cell)
    }
    assert set(commands) - {"public"} == listed


def steps(section):
    """The code of a section's steps, by language, in their order."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    blocks = re.findall(r"^   ```(\w+)\n(.*?)^   ```$", text, re.DOTALL | re.MULTILINE)
    return [(language, textwrap.dedent(code)) for language, code in blocks]


class NewProject:
    """Project that ``django-admin startproject`` makes, and the steps of the page in it."""

    def __init__(self, path):
        self.path = path
        own = ("DJANGO_", "COV_", "PYTEST_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        self.run("-m", "django", "startproject", "mysite", ".")

    def run(self, *command):
        finished = subprocess.run(
            [sys.executable, *command], cwd=self.path, env=self.environment, capture_output=True, text=True, timeout=600
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def add(self, file, code):
        with (self.path / "mysite" / file).open("a") as opened:
            opened.write(f"\n{code}")

    def follow(self, section, without="$^"):
        """Enter the code of the section's steps, *without* what matches in the settings."""
        settings, urls = (code for language, code in steps(section) if language == "python")
        self.add("settings.py", "import os\n" + re.sub(without, "", settings))
        self.add("urls.py", urls)


@pytest.fixture
def new_project(tmp_path):
    return NewProject(tmp_path)


BEGINNING = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
from social_bitbucket_server.sandbox import Sandbox
with Sandbox() as sandbox:
    os.environ["BITBUCKET_URL"] = sandbox.url
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client
    from django.test.utils import setup_test_environment
    setup_test_environment()
    call_command("migrate", verbosity=0)
    client = Client(enforce_csrf_checks=True)
"""
ONE_SERVER = f"""{BEGINNING}
    sandbox.link(consumer_key="my-application", public_key=open("bitbucket.pub").read())
    call_command("bitbucket_server", "check")
    assert client.get("/").headers["Location"] == settings.LOGIN_URL + "?next=/"
    sandbox.login(client, "jane")
    print(client.get("/").text)
"""
MANY = f"""{BEGINNING}
    from social_bitbucket_server.django.models import Integration
    call_command("bitbucket_server", "create", "Acme", "acme", url=sandbox.url)
    acme = Integration.objects.get()
    sandbox.link(consumer_key=acme.consumer_key, public_key=acme.active_key_pair.public_pem)
    print(sandbox.login(client, "jane", page="/login/bitbucket-server/acme/").headers["Location"])
    print(client.get("/").text)
"""


@pytest.mark.program
def test_one_server_works_as_the_page_says(new_project):
    new_project.follow("One server")
    public_key = new_project.run("-m", "social_bitbucket_server", "keygen", "--bits", "2048", "--out", "bitbucket.pem")
    (new_project.path / "bitbucket.pub").write_text(public_key)
    new_project.environment.pop("BITBUCKET_URL", None)
    new_project.run("manage.py", "migrate", "-v0")
    assert "Hello jane" in new_project.run("-c", ONE_SERVER)


@pytest.mark.program
def test_the_documented_tests_pass_in_that_project(new_project):
    new_project.follow("One server")
    public_key = new_project.run("-m", "social_bitbucket_server", "keygen", "--bits", "2048", "--out", "bitbucket.pem")
    assert public_key
    text = (DOCS / "testing.md").read_text()
    for heading, file in (("## In pytest", "test_login.py"), ("## In unittest", "tests.py")):
        code = re.search(r"```python\n(.*?)```", text.partition(heading)[2], re.DOTALL)[1]
        (new_project.path / file).write_text(code)
    without_ours = ("-p", "no:cacheprovider", "-p", "no:randomly")
    assert "1 passed" in new_project.run("-m", "pytest", "--ds=mysite.settings", *without_ours, "test_login.py")
    new_project.run("manage.py", "test")


GITHUB = """
INSTALLED_APPS += ["social_django"]
AUTHENTICATION_BACKENDS = ["social_core.backends.github.GithubOAuth2", "django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "/login/bitbucket-server/"  # in place of a page of its own
SOCIAL_AUTH_GITHUB_KEY, SOCIAL_AUTH_GITHUB_SECRET = "key", "secret"
SOCIAL_AUTH_PIPELINE = (
    "social_core.pipeline.social_auth.social_details",
    "social_core.pipeline.social_auth.social_uid",
    "social_core.pipeline.social_auth.social_user",
    "social_core.pipeline.user.get_username",
    "social_core.pipeline.social_auth.associate_by_email",
    "social_core.pipeline.user.create_user",
    "social_core.pipeline.social_auth.associate_user",
    "social_core.pipeline.social_auth.load_extra_data",
    "social_core.pipeline.user.user_details",
)
"""
WITH_GITHUB = f"""{ONE_SERVER}
    print(client.get("/login/github/").status_code, len(settings.SOCIAL_AUTH_PIPELINE))
    stranger = Client()
    print(stranger.post("/login/github/").headers["Location"].partition("?")[0])
"""


@pytest.mark.program
def test_a_project_with_another_backend_keeps_it_as_the_pages_say(new_project):
    new_project.add("settings.py", GITHUB)
    new_project.follow("One server", without='import os\n(?s:.*?)LOGIN_REDIRECT_URL = "/"\n')
    backend = re.search(r"^   ```python\n(   INSTALLED_APPS.*?)^   ```$", EXISTING, re.DOTALL | re.MULTILINE)[1]
    new_project.add("settings.py", textwrap.dedent(backend))
    public_key = new_project.run("-m", "social_bitbucket_server", "keygen", "--bits", "2048", "--out", "bitbucket.pem")
    (new_project.path / "bitbucket.pub").write_text(public_key)
    with pytest.raises(AssertionError, match="E001") as refused:
        new_project.run("manage.py", "check")
    pipeline = re.search(r"anybody: (\[.*?\])", str(refused.value))[1]
    new_project.add("settings.py", f"SOCIAL_AUTH_BITBUCKET_SERVER_PIPELINE = {pipeline}")
    assert new_project.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
    printed = new_project.run("-c", WITH_GITHUB)
    assert "Hello jane" in printed
    assert printed.endswith("\n405 9\nhttps://github.com/login/oauth/authorize\n")


@pytest.mark.program
def test_with_one_server_the_administration_has_nothing_to_add(new_project):
    new_project.follow("One server")
    code = "from django.contrib import admin; print([model.__name__ for model in admin.site._registry])"
    registered = new_project.run("manage.py", "shell", "-v0", "-c", code)
    assert "'Event'" in registered
    assert "'Integration'" not in registered


@pytest.mark.program
def test_many_organizations_work_as_the_page_says(new_project):
    new_project.follow("Many organizations")
    new_project.environment["KEY_RING"] = new_project.run("manage.py", "bitbucket_server", "key-ring").strip()
    assert new_project.run("-c", MANY).endswith("/\nHello jane\n")
