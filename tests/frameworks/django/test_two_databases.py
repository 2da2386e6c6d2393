"""Tests of a project whose router keeps the tables of this package in a second database."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLES = """
from tests.frameworks.django import project
with project.tables():
    from django.db import connections
    for alias in connections:
        tables = connections[alias].introspection.table_names()
        print(alias, *sorted({name.partition("_")[0] for name in tables if "migrations" not in name}))
"""
TRIED = [
    "test_many_organizations.py::test_what_happened_is_written_down",
    "test_many_organizations.py::test_equal_user_ids_of_two_servers_are_two_people",
    "test_admin.py::test_the_whole_story",
    "test_key_rotation.py::test_of_two_logins_that_find_out_at_once_one_puts_the_new_key_in_use",
    "test_moves.py::test_a_trial_by_a_known_person_takes_the_new_address_and_everybody_keeps_their_account",
    "test_people.py::test_a_disabled_person_is_logged_out_everywhere_and_cannot_log_in",
    "test_rechecks.py::test_who_is_disabled_in_bitbucket_is_logged_out_and_nobody_else",
    "test_signals.py::test_a_login_is_told_with_identifiers_alone",
]


def run(*command):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
    environment["DJANGO_SETTINGS_MODULE"] = "tests.frameworks.django.two_databases"
    finished = subprocess.run(
        [sys.executable, *command], cwd=HERE.parents[2], env=environment, capture_output=True, text=True, timeout=600
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.mark.program
def test_each_database_has_its_own_tables():
    assert run("-c", TABLES).splitlines() == ["default auth django social", "social_bitbucket_server social"]


@pytest.mark.program
def test_logins_events_rechecks_and_the_administration_use_both():
    tests = [str(HERE / test) for test in TRIED]
    printed = run("-m", "pytest", "-q", "-n0", "-pno:cacheprovider", "-pno:randomly", "--no-cov", *tests)
    assert f"{len(TRIED)} passed" in printed
