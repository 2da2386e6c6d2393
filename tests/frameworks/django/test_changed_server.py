"""An integration that gets another server, or the same one under a new address."""

from urllib.parse import parse_qs, urlsplit

import pytest
from social_django.models import UserSocialAuth

from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Integration
from tests.frameworks.django.conftest import happenings, link
from tests.frameworks.django.test_admin import change, text_of
from tests.frameworks.django.test_models import run_with
from tests.postgresql import PostgreSQL, programs


def stored():
    return Integration.objects.get()


def test_another_base_url_is_another_server_also_where_nobody_has_logged_in(staff, acme, other_sandbox):
    assert change(staff, acme, base_url=other_sandbox.url).status_code == 302
    assert stored().base_url == other_sandbox.url
    assert stored().namespace != acme.namespace


def test_before_people_have_logged_in_nothing_proves_that_the_server_moved(staff, acme, other_sandbox):
    assert change(staff, acme, base_url=other_sandbox.url, same_server="on").status_code == 302
    assert (stored().base_url, stored().moving_to) == (other_sandbox.url, "")
    assert stored().namespace != acme.namespace


def test_other_changes_keep_the_namespace(staff, acme, bitbucket_sandbox):
    assert change(staff, acme, name="Acme Ltd", base_url=f"{bitbucket_sandbox.url}/").status_code == 302
    assert stored().name == "Acme Ltd"
    assert stored().namespace == acme.namespace


def test_a_program_that_enters_another_server_lets_all_begin_anew(acme, visitor, bitbucket_sandbox, other_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    integrations.check_up(acme)
    record = stored()
    record.base_url = other_sandbox.url
    integrations.change(record)
    assert not UserSocialAuth.objects.exists()
    assert (stored().last_login_at, stored().server_version) == (None, "")
    assert visitor.name == "nobody"
    link(stored(), other_sandbox)
    visitor.log_in(stored(), other_sandbox)
    assert UserSocialAuth.objects.get().uid.startswith(f"{stored().namespace}:")


def test_a_program_that_says_that_the_server_moved_keeps_everybody(acme, visitor, bitbucket_sandbox, other_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    record = stored()
    record.base_url = other_sandbox.url
    integrations.move(record)
    assert UserSocialAuth.objects.get().uid.startswith(f"{stored().namespace}:")
    assert visitor.name == "jane"
    assert happenings()[-1] == "integration.updated"


def test_a_change_that_is_refused_deletes_nothing(acme, visitor, bitbucket_sandbox, other_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    stale = stored()
    integrations.change(stored())
    stale.base_url = other_sandbox.url
    with pytest.raises(integrations.ChangedMeanwhileError):
        integrations.change(stale)
    assert UserSocialAuth.objects.exists()
    assert visitor.name == "jane"


def test_who_logged_in_while_the_form_was_sent_is_not_recognized_by_the_new_servers_number(
    staff, acme, visitor, bitbucket_sandbox, other_sandbox, monkeypatch
):
    save = integrations.change

    def change_after_a_login(*arguments):
        visitor.log_in(acme, bitbucket_sandbox)
        save(*arguments)

    monkeypatch.setattr(integrations, "change", change_after_a_login)
    assert change(staff, acme, base_url=other_sandbox.url).status_code == 302
    assert not UserSocialAuth.objects.exists()
    assert visitor.name == "nobody"


def test_the_form_still_asks_once_people_have_logged_in(staff, acme, visitor, bitbucket_sandbox, other_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    assert "Tick this if the server only moved." in text_of(change(staff, acme, base_url=other_sandbox.url))
    assert stored().namespace == acme.namespace
    assert visitor.name == "jane"


def test_enabling_what_was_read_before_it_was_disabled_brings_no_session_back(acme, visitor, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    stale = stored()
    integrations.enable(acme, enabled=False)
    integrations.enable(stale, enabled=True)
    assert stored().enabled
    assert visitor.name == "nobody"


def test_a_session_that_does_not_say_what_it_is_bound_to_is_over(acme, visitor, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    session = visitor.client.session
    del session["bitbucket_server_integration_revision"]
    session.save()
    assert visitor.name == "nobody"


WAITS = """\
from django.db import connection


def waits():
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return


"""
"""The beginning of a program on PostgreSQL: a function that returns once another connection waits for a lock."""

HOLD = """\
import json
import threading

from django.core.management import call_command

call_command("migrate", verbosity=0)

from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Integration
from social_bitbucket_server.django.strategy import DjangoStrategy
from social_django.utils import Storage

record = Integration(name="Acme", slug="acme", base_url="https://bitbucket.example.com")
integrations.create(record)
happened = []


def disable():
    integrations.enable(Integration.objects.get(), enabled=False)
    happened.append("disabled")
    connection.close()


strategy = DjangoStrategy(Storage, None, record.pk)
disabling = threading.Thread(target=disable)
with integrations.all_or_nothing():
    strategy.hold_integration(record.pk)
    disabling.start()
    waits()
    happened.append("written")
disabling.join()
is_bound = strategy.session_revision != Integration.objects.get().session_revision
print(json.dumps([*happened, is_bound]))
"""


def django_database(server):
    """Return Django's settings for a new database there."""
    address = urlsplit(server.new_database())
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": address.path[1:],
        "USER": address.username,
        "HOST": parse_qs(address.query)["host"][0],
    }


@pytest.mark.program
def test_nobody_changes_an_integration_while_a_login_is_written(tmp_path, must_be_there):
    folder = programs()
    must_be_there(folder is not None, "PostgreSQL")
    with PostgreSQL(folder) as server:
        settings = f"DATABASES = {{'default': {django_database(server)!r}}}"
        assert run_with(settings, WAITS + HOLD, tmp_path) == ["written", "disabled", True]
