"""docs/facts.md, and the suite as an administrator runs it against a server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from social_bitbucket_server.sandbox import Sandbox

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "facts.md"
READ_IN_PAGES = "8."
"""Facts about what people see. No program tries them."""


def test_every_fact_of_the_page_has_a_test_and_every_test_a_fact():
    stated = re.findall(r"^\| (\d+\.\d+) \|", PAGE.read_text(), re.MULTILINE)
    tests = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    tried = set(re.findall(r'^@fact\("([\d.]+)"', tests, re.MULTILINE))
    assert len(stated) == len(set(stated))
    assert {number for number in stated if not number.startswith(READ_IN_PAGES)} == tried


def run(sandbox, *options, **environment):
    command = [sys.executable, "-m", "pytest", str(HERE), "--bitbucket", sandbox.url, "-q", "-n", "0", *options]
    names = {"BITBUCKET_USER": "admin", "BITBUCKET_PASSWORD": "admin"} | environment
    return subprocess.run(command, cwd=ROOT, env=os.environ | names, capture_output=True, text=True)


@pytest.mark.program
@pytest.mark.socket
def test_against_a_server_it_says_what_was_confirmed_and_leaves_nothing_behind():
    with Sandbox(version="8.19", context="/bitbucket") as sandbox:
        ended = run(sandbox, "-k", "timestamp or link or parameter or captcha or passwords")
        assert ended.returncode == 0, ended.stdout
        assert re.search(r"^Confirmed: 1\.2, 2\.2, .*6\.1", ended.stdout, re.MULTILINE)
        assert "Contradicted: none." in ended.stdout
        assert re.search(r"^Not tried: .*5\.3, 5\.4", ended.stdout, re.MULTILINE)
        assert sandbox.links.all() == []


@pytest.mark.program
@pytest.mark.socket
def test_against_a_server_it_says_what_was_contradicted():
    with Sandbox(version="8.19") as sandbox:
        sandbox.faults.clock_skew = 1000
        ended = run(sandbox, "-k", "has_its_three_fields or version_may_be")
        assert ended.returncode == 1
        assert "Contradicted: 2.7, 3.1." in ended.stdout
        assert sandbox.links.all() == []
