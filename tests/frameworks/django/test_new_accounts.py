"""People for whom the application's own users, pipeline and rules make trouble: each gets a page that says which."""

import dataclasses
import re
from html import unescape

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection
from django.http import Http404
from django.test import override_settings
from social_core.exceptions import AuthAssociationError
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from social_django.models import UserSocialAuth

from social_bitbucket_server.login import identity
from social_bitbucket_server.problems import PROBLEMS
from tests.frameworks.django.conftest import newest_event
from tests.frameworks.django.test_single_server import Person

pytestmark = pytest.mark.usefixtures("single")
PIPELINE = "SOCIAL_AUTH_BITBUCKET_SERVER_PIPELINE"
STEP = f"{__name__}.step"
runs = []


def step(**_):
    runs.append(1)
    raise ERRORS["now"]


ERRORS = {}


@pytest.fixture
def person():
    return Person()


@pytest.fixture(autouse=True)
def count():
    runs.clear()
    return runs


def become(single, **fields):
    """Let jane have these *fields* in Bitbucket."""
    jane = dataclasses.replace(single.users.by_name("jane"), **fields)
    single.users.remove("jane")
    single.users.put(jane)


def with_step(error):
    """Settings with a last step that raises *error*."""
    ERRORS["now"] = error
    return override_settings(**{PIPELINE: [*DEFAULT_AUTH_PIPELINE, STEP]})


def assert_page_says(page, problem):
    words = unescape(page.content.decode())
    assert PROBLEMS[problem].title in words
    assert newest_event().problem == problem
    assert f"Reference {newest_event().reference}" in words


@pytest.mark.parametrize("error", [KeyError("secret"), ValueError("secret"), IntegrityError("secret"), TypeError()])
def test_a_step_that_fails_ends_in_a_page_and_the_log_says_where(person, single, error, caplog):
    with with_step(error):
        page = person.come_back(single)
    assert page.status_code == 503
    assert_page_says(page, "step_failed")
    (said,) = [line for line in caplog.messages if line.startswith(f"reference={newest_event().reference}: ")]
    assert type(error).__name__ in said
    assert "in step" in said
    assert "secret" not in caplog.text


@pytest.mark.parametrize(("error", "status"), [(Http404(), 404), (PermissionDenied(), 302)])
def test_a_step_may_answer_as_django_does(person, single, error, status, caplog):
    with with_step(error):
        assert person.come_back(single).status_code == status
    assert "step_failed" not in caplog.text


def test_a_column_that_must_not_be_empty_is_named_in_the_log(person, single, caplog):
    with override_settings(SOCIAL_AUTH_USER_FIELDS=["username", "email", "is_staff"]):
        page = person.come_back(single)
    assert page.status_code == 503
    assert_page_says(page, "account_refused")
    assert "The column is_staff must have a value." in caplog.text
    assert not get_user_model().objects.exists()


def test_nobody_without_an_email_address_gets_an_account_that_needs_one(person, single, monkeypatch):
    monkeypatch.setattr(get_user_model()._meta.get_field("email"), "blank", False)
    become(single, email=None)
    page = person.come_back(single)
    assert page.status_code == 403
    assert_page_says(page, "email_missing")
    assert not get_user_model().objects.exists()


def test_nobody_without_an_email_address_gets_an_account_that_is_named_by_it(person, single, monkeypatch):
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "email")
    become(single, email=None)
    assert_page_says(person.come_back(single), "email_missing")
    assert not get_user_model().objects.exists()


def test_an_email_address_that_is_too_long_is_none_for_an_account_that_is_named_by_it(person, single, monkeypatch):
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "email")
    monkeypatch.setattr(get_user_model()._meta.get_field("email"), "max_length", 5)
    assert_page_says(person.come_back(single), "email_missing")
    assert not get_user_model().objects.exists()


def test_who_has_an_account_already_may_lose_their_email_address(person, single, monkeypatch):
    person.come_back(single)
    monkeypatch.setattr(get_user_model()._meta.get_field("email"), "blank", False)
    become(single, email=None)
    assert Person().come_back(single)["Location"] == "/"


def test_names_are_cut_to_their_columns(person, single):
    become(single, display_name=f"{'J' * 160} {'D' * 90}", email=f"{'j' * 60}@{'d' * 180}.example")
    person.come_back(single)
    user = get_user_model().objects.get()
    assert (user.first_name, user.last_name) == ("J" * 150, "D" * 90)
    assert len(user.email) <= 254
    become(single, display_name=f"{'K' * 100} {'D' * 152}")
    Person().come_back(single)
    user.refresh_from_db()
    assert (user.first_name, user.last_name) == ("K" * 100, "D" * 150)


@pytest.fixture
def _one_account_for_an_address():
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX one_account ON auth_user(email)")


@pytest.mark.usefixtures("_one_account_for_an_address")
def test_an_email_address_of_another_account_is_said_so_and_tried_once(person, single, monkeypatch):
    get_user_model().objects.create_user("other", single.users.by_name("jane").email)
    tries = []
    create = UserSocialAuth.create_user.__func__
    monkeypatch.setattr(UserSocialAuth, "create_user", classmethod(lambda *a, **k: tries.append(1) or create(*a, **k)))
    page = person.come_back(single)
    assert page.status_code == 409
    assert "Another account here has your e-mail address." in unescape(page.content.decode())
    assert len(tries) == 1


@pytest.mark.usefixtures("_one_account_for_an_address")
def test_an_address_that_is_the_user_name_is_called_an_address(person, single, monkeypatch):
    get_user_model().objects.create_user("other", single.users.by_name("jane").email)
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "email")
    assert_page_says(person.come_back(single), "email_in_use")


@pytest.mark.parametrize("code", ["identity_in_use", "username_in_use", "email_in_use"])
def test_a_refusal_of_the_applications_own_step_is_asked_for_once(person, single, code, count):
    with with_step(AuthAssociationError(code=code)):
        page = person.come_back(single)
    assert page.status_code == 409
    assert PROBLEMS[code].title in unescape(page.content.decode())
    assert len(count) == 1


def test_who_loses_the_race_for_a_user_name_gets_another_one(person, single, monkeypatch):
    create, has_lost = UserSocialAuth.create_user.__func__, identity.has_lost_race
    refusals = iter([IntegrityError("UNIQUE constraint failed: auth_user.username")])

    def create_late(cls, *arguments, **fields):
        for refusal in refusals:  # as social_django's own storage translates it
            raise AuthAssociationError(code="username_in_use", stage="pipeline") from refusal
        return create(cls, *arguments, **fields)

    def has_lost_to_another(backend, error, uid):
        get_user_model().objects.create_user("jane")  # what the other login had written; ours is taken back by now
        return has_lost(backend, error, uid)

    monkeypatch.setattr(UserSocialAuth, "create_user", classmethod(create_late))
    monkeypatch.setattr(identity, "has_lost_race", has_lost_to_another)
    assert person.come_back(single)["Location"] == "/"
    assert re.fullmatch(r"jane\w+", UserSocialAuth.objects.get().user.username)
