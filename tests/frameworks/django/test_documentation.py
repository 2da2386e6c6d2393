"""What docs/django.md lists is what there is."""

import re
from pathlib import Path

from django.core.management import load_command_class

from social_bitbucket_server.django import checks

PAGE = (Path(__file__).parents[3] / "docs/django.md").read_text()


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
