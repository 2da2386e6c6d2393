"""Each example works as it stands: its own tests pass in a copy of its folder, as somebody would run them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from social_bitbucket_server.crypto import KeyRing

pytestmark = pytest.mark.program

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
WITH_PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
TESTS = {
    "django_minimal": WITH_PYTEST,
    "django_organizations": ["manage.py", "test"],
    "fastapi_minimal": WITH_PYTEST,
    "flask_minimal": WITH_PYTEST,
    "flask_organizations": WITH_PYTEST,
    "starlette_minimal": WITH_PYTEST,
}
COMMANDS_OF_DJANGO = """
import runpy, sys

for command in (["check"], ["makemigrations", "--check", "--dry-run"], ["migrate"]):
    print("manage.py", *command, flush=True)
    sys.argv = ["manage.py", *command]
    runpy.run_path("manage.py", run_name="__main__")
"""
SCREEN = 50


@pytest.fixture
def run(tmp_path):
    """Runs Python in a copy of the example, without what this process has in its environment."""

    def run_in_copy(example, arguments):
        folder = tmp_path / example
        if not folder.exists():
            shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3"))
        own = ("DJANGO_SETTINGS_MODULE", "PYTEST_", "COV_", "SECRET_KEY", "BITBUCKET_URL", "DATABASE_URL", "ORIGIN")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment | {"KEY_RING": KeyRing.generate()},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run_in_copy


def test_every_example_is_tried():
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == set(TESTS)


@pytest.mark.parametrize("example", sorted(TESTS))
def test_the_examples_own_tests_pass(run, example):
    finished = run(example, TESTS[example])
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert re.search(r"\d+ passed|Ran [1-9]\d* tests?", finished.stdout + finished.stderr)


@pytest.mark.parametrize("example", [name for name in sorted(TESTS) if name.startswith("django")])
def test_django_has_nothing_to_say_about_it(run, example):
    """The commands share a process: starting one takes longer than they do."""
    run(example, ["-m", "social_bitbucket_server", "keygen", "--out", "bitbucket.pem"])
    finished = run(example, ["-c", COMMANDS_OF_DJANGO])
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.count("manage.py") == 3


@pytest.mark.parametrize("example", sorted(TESTS))
def test_its_readme_fits_on_one_screen(example):
    assert len((EXAMPLES / example / "README.md").read_text().splitlines()) <= SCREEN


def test_the_fastapi_example_is_the_pages_application_with_its_test():
    app, *_, test = re.findall(r"```python\n(.*?)```", (ROOT / "docs/starlette.md").read_text(), re.DOTALL)
    assert (EXAMPLES / "fastapi_minimal/app.py").read_text().partition('"""\n\n')[2] == app
    assert (EXAMPLES / "fastapi_minimal/test_app.py").read_text() == test


def test_the_flask_example_is_the_readmes_application():
    shown = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    assert (EXAMPLES / "flask_minimal/app.py").read_text().partition('"""\n\n')[2] == shown


@pytest.mark.parametrize(
    ("heading", "file"),
    [("## Django", "docs/django.md"), ("## Organizations", "examples/flask_organizations/app.py")],
)
def test_the_readmes_other_lines_are_those_of_a_whole_application(heading, file):
    section = (ROOT / "README.md").read_text().partition(f"{heading}\n")[2]
    shown = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    there = [line.strip() for line in (ROOT / file).read_text().splitlines()]
    lines = [line.strip() for line in shown.splitlines() if line]
    assert len(lines) <= 10
    assert [line for line in lines if line not in there] == []
