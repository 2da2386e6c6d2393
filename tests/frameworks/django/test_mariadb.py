"""A Django project on MariaDB, which compares without case."""

import pytest

from tests.frameworks.django.test_caseless_databases import LOG_IN_BY_STOCK_VIEWS
from tests.frameworks.django.test_models import run_with
from tests.mariadb import programs

pytestmark = [pytest.mark.mariadb, pytest.mark.program]

MIGRATE = """\
import json

from django.core.checks import Tags, run_checks
from django.core.management import call_command

call_command("migrate", verbosity=0)
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
warned = {message.id for message in run_checks(tags=[Tags.models, Tags.database], databases=["default"])}
"""

COMPARE_EXACTLY = """\
from django.db import connection

with connection.cursor() as cursor:
    cursor.execute(
        "ALTER TABLE social_auth_usersocialauth MODIFY uid varchar(255) "
        "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL"
    )
"""

OUR_WARNINGS = 'print(json.dumps(sorted(warned - {"mysql.W002"})))'


@pytest.fixture
def settings(request, must_be_there):
    must_be_there(programs() is not None, "MariaDB")
    server = request.getfixturevalue("mariadb")
    return f"""
        import pymysql

        pymysql.install_as_MySQLdb()
        DATABASES["default"] = {{
            "ENGINE": "django.db.backends.mysql",
            "NAME": {server.new_database()!r},
            "USER": "root",
            "HOST": {server.socket!r},
            "OPTIONS": {{"charset": "utf8mb4"}},
        }}
        ROOT_URLCONF = "tests.frameworks.django.single_urls"
        SOCIAL_AUTH_BITBUCKET_SERVER_CALLBACK_ORIGIN = "http://testserver"
        SOCIAL_AUTH_BITBUCKET_SERVER_TEST_ADDRESSES = []
    """


def test_a_person_whose_uid_differs_from_anothers_in_case_alone_is_refused(settings, tmp_path):
    assert run_with(settings, MIGRATE + LOG_IN_BY_STOCK_VIEWS, tmp_path) == {
        "status": 503,
        "problem": "identity_similar",
        "uids": ["acme:2"],
        "users": ["gone"],
        "name": "nobody",
    }


def test_with_a_column_that_compares_exactly_they_are_two_people(settings, tmp_path):
    program = LOG_IN_BY_STOCK_VIEWS.replace('Event.objects.exclude(problem="").get().problem', '""')
    assert run_with(settings, MIGRATE + COMPARE_EXACTLY + program, tmp_path) == {
        "status": 302,
        "problem": "",
        "uids": ["Acme:2", "acme:2"],
        "users": ["gone", "jane"],
        "name": "jane",
    }


def test_only_the_column_that_compares_without_case_is_warned_of(settings, tmp_path):
    assert run_with(settings, MIGRATE + OUR_WARNINGS, tmp_path) == ["social_bitbucket_server.W005"]
    assert run_with(settings, MIGRATE + COMPARE_EXACTLY + MIGRATE + OUR_WARNINGS, tmp_path) == []
