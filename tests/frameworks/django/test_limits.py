"""Tests of rate limits, which are the project's own, and of the bound on events of strangers."""

import math
import re
import sys
import types
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client, RequestFactory, override_settings

from social_bitbucket_server.django import setup_links
from social_bitbucket_server.django.limits import TooManyRequests
from social_bitbucket_server.django.limits import visitor as visitor_of_request
from social_bitbucket_server.django.models import Event
from social_bitbucket_server.organizations import Limited, News
from tests.capabilities import capability
from tests.frameworks.django.conftest import Visitor, login_page

PAGE = (Path(__file__).parents[3] / "docs/django.md").read_text()
ADMIN = "/admin/social_bitbucket_server/integration/"
LIMIT = "SOCIAL_AUTH_BITBUCKET_SERVER_LIMIT"


class Counter:
    """A project's function that refuses the subjects in *refused*, with *error*."""

    def __init__(self):
        self.told, self.refused, self.error = [], set(), TooManyRequests(29.5)

    def __call__(self, request, what, key):
        self.told.append((what, key))
        if what in self.refused:
            raise self.error


@pytest.fixture
def counter():
    counter = Counter()
    with override_settings(**{LIMIT: counter}):
        yield counter


def refusals():
    return list(Event.objects.filter(what="request.failure").values_list("problem", "integration_id"))


@capability("rate limits")
def test_a_login_is_counted_when_it_begins_and_when_it_comes_back(counter, visitor, acme, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    assert counter.told == [(Limited.LOGINS, acme.pk), (Limited.CALLBACKS, acme.pk)]


def test_a_refused_login_asks_no_server_and_says_when_to_try_again(counter, visitor, acme):
    counter.refused.add(Limited.LOGINS)
    page = visitor.begin(acme)
    assert (page.status_code, page["Retry-After"], page["Cache-Control"]) == (
        429,
        "30",
        "max-age=0, no-cache, no-store, must-revalidate, private",
    )
    assert "It was tried too often." in page.text
    assert f'href="{login_page(acme)}"' in page.text
    assert refusals() == [("too_often", acme.pk)]


def test_any_refusal_of_django_counts_without_a_time_to_wait(counter, visitor, acme):
    counter.refused.add(Limited.LOGINS)
    counter.error = PermissionDenied("Other words.")
    page = visitor.begin(acme)
    assert page.status_code == 429
    assert not page.has_header("Retry-After")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.2, "1"),
        (0, "0"),
        (-1, None),
        (math.inf, None),
        (math.nan, None),
        ("soon", None),
        (datetime(2030, 1, 1, tzinfo=UTC), None),
        (timedelta(minutes=1), None),
    ],
)
def test_a_time_to_wait_that_is_no_number_of_seconds_is_left_out(counter, visitor, acme, seconds, told):
    counter.refused.add(Limited.LOGINS)
    counter.error = TooManyRequests(seconds)
    page = visitor.begin(acme)
    assert (page.status_code, page.get("Retry-After")) == (429, told)


def test_a_refused_callback_can_come_back_later(counter, visitor, acme, bitbucket_sandbox):
    callback = bitbucket_sandbox.authorize(visitor.begin(acme)["Location"])
    counter.refused.add(Limited.CALLBACKS)
    assert visitor.open(callback).status_code == 429
    counter.refused.clear()
    assert visitor.open(callback).status_code == 303
    assert visitor.name == "jane"


def test_a_refused_trial_is_no_result_and_can_come_back_later(counter, staff, acme, bitbucket_sandbox):
    begun = staff.post(f"{ADMIN}{acme.pk}/try/", form_at=f"{ADMIN}{acme.pk}/setup/")
    callback = bitbucket_sandbox.authorize(begun["Location"])
    counter.refused.add(Limited.CALLBACKS)
    assert staff.open(callback).status_code == 429
    assert refusals() == [("too_often", acme.pk)]
    counter.refused.clear()
    assert staff.open(callback)["Location"] == f"{ADMIN}{acme.pk}/trial/"


def test_a_refused_trial_at_a_new_address_is_no_result(counter, staff, acme, other_sandbox):
    type(acme).objects.update(moving_to=other_sandbox.url)
    counter.refused.add(Limited.LOGINS)
    page = staff.post(f"{ADMIN}{acme.pk}/try-move/", form_at=f"{ADMIN}{acme.pk}/setup/")
    assert page.status_code == 429
    assert refusals() == [("too_often", acme.pk)]
    assert not Event.objects.filter(what="integration.moved").exists()


def test_a_flood_is_one_event(counter, acme):
    counter.refused.add(Limited.LOGINS)
    for _ in range(3):
        Visitor().begin(acme)
    assert refusals() == [("too_often", acme.pk)]


def test_logins_at_social_djangos_addresses_are_counted(counter, single):
    client = Client()
    client.get("/login/bitbucket-server/")
    client.get(single.authorize(client.post("/login/bitbucket-server/")["Location"]))
    assert counter.told == [(Limited.LOGINS, ""), (Limited.CALLBACKS, "")]
    counter.refused.add(Limited.LOGINS)
    assert client.post("/login/bitbucket-server/").status_code == 429


def test_set_up_links_and_their_tests_are_counted(counter, staff, visitor, acme):
    path = setup_links.make(acme).removeprefix("http://127.0.0.1:8000")
    visitor.post(f"{path}test/", form_at=path)
    assert counter.told == [(Limited.SETUP_LINKS, ""), (Limited.SETUP_LINKS, ""), (Limited.SETUP_TESTS, acme.pk)]
    counter.refused.add(Limited.SETUP_TESTS)
    page = visitor.post(f"{path}test/", form_at=path)
    assert (page.status_code, page["Referrer-Policy"]) == (429, "same-origin")
    assert f'href="{path}"' in page.text
    counter.refused.add(Limited.SETUP_LINKS)
    assert visitor.open("/setup/bitbucket-server/guessed/").status_code == 429


@pytest.mark.parametrize(
    ("action", "what"),
    [
        ("check-up", Limited.TESTS),
        ("verify-key-pair", Limited.TESTS),
        ("go-back", Limited.TESTS),
        ("new-key-pair", Limited.KEY_PAIRS),
        ("make-setup-link", Limited.SETUP_LINKS_MADE),
        ("try", Limited.LOGINS),
    ],
)
def test_the_administration_is_counted_and_leads_back(counter, staff, acme, action, what):
    counter.refused.add(what)
    page = staff.post(f"{ADMIN}{acme.pk}/{action}/", form_at=f"{ADMIN}{acme.pk}/setup/")
    assert page.status_code == 429
    assert f'href="{ADMIN}{acme.pk}/setup/"' in page.text
    assert counter.told == [(what, acme.pk)]


def test_callbacks_of_a_stranger_fill_no_events(acme):
    address = f"/complete/bitbucket-server/{acme.pk}/?oauth_token=guessed&oauth_verifier=guessed"
    for number in range(5):
        client = Client(REMOTE_ADDR=f"2001:db8:1:2::{number}")
        assert client.get(address).status_code == 400
    assert Event.objects.filter(what="login.failure").count() == 1


def test_the_next_minute_is_news_again(monkeypatch):
    news, now = News(), [100.0]
    monkeypatch.setattr("social_bitbucket_server.organizations.limits.time.monotonic", lambda: now[0])
    first = news.is_new("a"), news.is_new("a"), news.is_new("b")
    now[0] += 60
    assert (*first, news.is_new("a")) == (True, False, True, True)


def test_an_ipv6_network_is_one_visitor():
    assert visitor_of_request(RequestFactory().get("/", REMOTE_ADDR="2001:db8:1:2:3::4")) == "2001:db8:1:2::/64"


@pytest.fixture
def documented(must_be_there, monkeypatch):
    """The module of docs/django.md, whose rates are lower here."""
    try:
        import django_ratelimit  # noqa: F401
    except ImportError:
        must_be_there(False, "django-ratelimit")
    section = PAGE.partition("\n### Rate limits\n")[2].partition("\n### ")[0]
    code, settings, _of_axes = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    module = types.ModuleType("mysite.limits")
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, "mysite", types.ModuleType("mysite"))
    monkeypatch.setitem(sys.modules, "mysite.limits", module)
    monkeypatch.setitem(module.RATES, Limited.LOGINS, "2/h")
    values = {}
    exec(settings, values)
    values.pop("__builtins__")
    with override_settings(**values):
        yield module


def test_the_documented_function_counts_with_django_ratelimit(documented, acme, globex):
    statuses = [Visitor().begin(acme).status_code for _ in range(3)]
    assert statuses == [303, 303, 429]
    assert 1 <= int(Visitor().begin(acme)["Retry-After"]) <= 3600
    assert Visitor().begin(globex).status_code == 303
