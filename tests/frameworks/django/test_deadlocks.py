"""Changes of an integration while a login or a key rotation is written on PostgreSQL: one waits for the other."""

import pytest
from sqlalchemy import make_url

from tests.frameworks.django.test_models import run_with
from tests.postgresql import programs

BOTH_ORDERS = """\
import json
import threading
from concurrent.futures import ThreadPoolExecutor

from django.core.management import call_command
from django.db import connection, connections

call_command("migrate", verbosity=0)

from social_bitbucket_server.crypto import PrivateKey
from social_bitbucket_server.django import integrations, key_rotation
from social_bitbucket_server.django.models import Integration
from social_bitbucket_server.sandbox import Sandbox
from tests.frameworks.django.conftest import Visitor, make_integration

keys = [PrivateKey.generate(2048) for _ in range(32)]
integrations.make_private_key = keys.pop
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Pause:
    def __init__(self, words):
        self.words, self.reached, self.go_on = words, threading.Event(), threading.Event()

    def __call__(self, execute, sql, *arguments):
        result = execute(sql, *arguments)
        if self.words in sql and not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(60)
        return result


def in_a_thread(act, pause=None):
    try:
        if pause is None:
            return act()
        with connection.execute_wrapper(pause):
            return act()
    except Exception as error:
        return type(error).__name__
    finally:
        connections.close_all()


def at_once(first, words, second):
    pause = Pause(words)
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(in_a_thread, first, pause)
        assert pause.reached.wait(60)
        other = threads.submit(in_a_thread, second)
        with connection.cursor() as cursor:
            waiting = 0
            while not other.done() and not waiting:
                cursor.execute(WAITING)
                (waiting,) = cursor.fetchone()
        pause.go_on.set()
        return one.result(60), other.result(60)


def correct(record):
    record.base_url = "https://right.example.com"
    integrations.change(record)


def rotate(record):
    key_rotation.begin(record)


outcomes = {}
with Sandbox() as sandbox:
    for name, change, words in (
        ("correct", correct, 'UPDATE "social_bitbucket_server_integration"'),
        ("delete", integrations.delete, "FOR UPDATE"),
        ("disable", lambda record: integrations.enable(record, enabled=False), "UPDATE"),
    ):
        for is_known in (False, True):
            for is_login_first in (True, False):
                slug = f"{name}-{is_known}-{is_login_first}".lower()
                record = make_integration(slug, sandbox)
                if is_known:
                    Visitor().log_in(record, sandbox)
                visitor = Visitor()
                address = sandbox.authorize(visitor.begin(record)["Location"], user="jane")
                log_in = lambda: visitor.open(address).status_code
                act = lambda: change(Integration.objects.get(slug=slug))
                if is_login_first:
                    status, changed = at_once(log_in, "social_auth_usersocialauth", act)
                else:
                    changed, status = at_once(act, words, log_in)
                outcomes[slug] = [changed, status in (303, 400, 404), visitor.name]
    for slug, first, words, second in (
        ("rotate-delete", rotate, 'UPDATE "social_bitbucket_server_keypair"', integrations.delete),
        ("delete-rotate", integrations.delete, 'DELETE FROM "social_bitbucket_server_keypair"', rotate),
    ):
        record = make_integration(slug, sandbox)
        rotate(record)
        acts = [lambda act=act: act(Integration.objects.get(pk=record.pk)) for act in (first, second)]
        outcomes[slug] = at_once(acts[0], words, acts[1])
print(json.dumps(outcomes))
"""


@pytest.mark.postgresql
@pytest.mark.program
def test_whichever_comes_first_no_transaction_is_ended_because_of_the_other(request, tmp_path, must_be_there):
    must_be_there(programs() is not None, "PostgreSQL")
    address = make_url(request.getfixturevalue("postgresql").new_database())
    settings = f"""
        DATABASES["default"] = {{
            "ENGINE": "django.db.backends.postgresql",
            "NAME": {address.database!r},
            "USER": "postgres",
            "HOST": {address.query["host"]!r},
        }}
    """
    outcomes = run_with(settings, BOTH_ORDERS, tmp_path)
    of_rotations = {slug: outcomes.pop(slug) for slug in ("rotate-delete", "delete-rotate")}
    assert len(outcomes) == 12
    assert {slug: outcome for slug, outcome in outcomes.items() if outcome != [None, True, "nobody"]} == {}
    assert of_rotations == {"rotate-delete": [None, None], "delete-rotate": [None, "ChangedMeanwhileError"]}
