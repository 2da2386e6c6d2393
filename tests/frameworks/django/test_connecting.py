"""An account that is connected to whoever pressed the button, at social_django's own addresses."""

import pytest
from django.contrib.auth import get_user_model
from django.test import RequestFactory, override_settings
from social_core.actions import do_auth
from social_core.pipeline import DEFAULT_AUTH_PIPELINE
from social_core.pipeline.partial import partial
from social_django import views
from social_django.models import UserSocialAuth
from social_django.utils import load_backend, load_strategy

from social_bitbucket_server.login import Purpose
from tests.frameworks.django.conftest import newest_event
from tests.frameworks.django.test_single_server import Person

pytestmark = pytest.mark.usefixtures("single")
OWN = "SOCIAL_AUTH_BITBUCKET_SERVER_"
BY_PASSWORD = "django.contrib.auth.backends.ModelBackend"
STEPS = list(DEFAULT_AUTH_PIPELINE)
STEPS.insert(STEPS.index("social_core.pipeline.user.get_username"), f"{__name__}.ask_first")
CONNECTS = {f"{OWN}CONNECT_LOGGED_IN": True}
ASKS = {**CONNECTS, f"{OWN}PIPELINE": STEPS}
RESUME = "/complete/bitbucket-server/"


@partial
def ask_first(strategy, *arguments, **known):
    """Halt once, as an application that wants a password again does."""
    return None if strategy.session_get("answered") else strategy.redirect("/question")


def member(name):
    return get_user_model().objects.create_user(name)


def log_in(person, user):
    person.client.force_login(user, BY_PASSWORD)


def answer(person):
    session = person.client.session
    session["answered"] = True
    session.save()


@pytest.fixture
def person():
    return Person()


@pytest.fixture
def root(person):
    root = member("root")
    log_in(person, root)
    return root


def owners():
    return list(UserSocialAuth.objects.values_list("user__username", flat=True))


@override_settings(**CONNECTS)
def test_who_is_logged_in_when_it_begins_is_connected(person, single, root):
    person.come_back(single)
    assert owners() == ["root"]
    assert person.name == "root"


@override_settings(**CONNECTS)
def test_the_user_of_the_request_is_connected_if_the_application_hands_nobody_to_core(
    person, single, root, monkeypatch
):
    monkeypatch.setattr(views, "do_auth", lambda backend, redirect_name, **_user: do_auth(backend, redirect_name))
    person.come_back(single)
    assert owners() == ["root"]


@override_settings(**CONNECTS)
@pytest.mark.parametrize(("method", "purpose"), [("POST", Purpose.CONNECT), ("GET", Purpose.LOG_IN)])
def test_the_user_of_the_request_counts_only_for_a_post(person, root, method, purpose):
    request = RequestFactory().generic(method, "/")
    request.user, request.session = root, person.client.session
    backend = load_backend(load_strategy(request), "bitbucket-server", "/")
    backend.prepare_auth()
    assert backend.intent.purpose is purpose


@override_settings(**CONNECTS)
def test_who_is_logged_in_only_when_it_comes_back_is_not(person, single):
    begun = person.begin()
    log_in(person, member("root"))
    assert person.open(single.authorize(begun["Location"])).status_code == 400
    assert newest_event().problem == "another_person"
    assert owners() == []


@override_settings(**CONNECTS)
def test_somebody_else_who_logs_in_meanwhile_is_not(person, single, root):
    begun = person.begin()
    log_in(person, member("other"))
    assert person.open(single.authorize(begun["Location"])).status_code == 400
    assert owners() == []


@override_settings(**CONNECTS)
def test_an_account_of_somebody_else_stays_theirs(person, single, root):
    Person().come_back(single)
    assert person.come_back(single).status_code == 409
    assert newest_event().problem == "identity_in_use"
    assert owners() == ["jane"]


@pytest.mark.parametrize("value", [None, False])
def test_nothing_is_connected_unless_the_application_wants_it(person, single, root, value):
    with override_settings(**{f"{OWN}CONNECT_LOGGED_IN": value}):
        assert person.come_back(single).status_code == 400
    assert owners() == []


@override_settings(**ASKS)
def test_it_goes_on_after_the_applications_own_question(person, single, root):
    assert person.come_back(single)["Location"] == "/question"
    answer(person)
    person.open(RESUME)
    assert owners() == ["root"]


@override_settings(**ASKS)
def test_a_halted_login_is_never_connected_to_who_logs_in_meanwhile(person, single):
    assert person.come_back(single)["Location"] == "/question"
    log_in(person, member("root"))
    answer(person)
    told = []
    with override_settings(**{f"{OWN}ON_EVENT": lambda event, details: told.append((event, details))}):
        assert person.open(RESUME).status_code == 400
    ((event, details),) = told
    assert (event, details["integration_id"]) == ("login.failure", "default")
    assert newest_event().problem == details["problem"] == "another_person"
    assert owners() == []


@override_settings(**ASKS)
def test_a_halted_login_of_nobody_goes_on(person, single):
    person.come_back(single)
    answer(person)
    person.open(RESUME)
    assert owners() == ["jane"]
