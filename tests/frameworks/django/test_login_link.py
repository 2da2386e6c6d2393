"""The login link, which is closed, replaced and scanned; one integration that is the only way in."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from social_bitbucket_server.django import integrations, login_ways
from social_bitbucket_server.django.models import Event, Integration
from tests.capabilities import capability
from tests.frameworks.django.conftest import Visitor, happenings, login_page, make_integration, newest_event
from tests.frameworks.django.test_admin import ADMIN, text_of


def page_of(record):
    return f"{ADMIN}{record.pk}/login-link/"


def press(staff, record, action, **fields):
    answer = staff.post(f"{ADMIN}{record.pk}/{action}/", form_at=page_of(record), **fields)
    record.refresh_from_db()
    return answer


def said(staff, record):
    return text_of(staff.open(page_of(record)))


@pytest.fixture
def acme(bitbucket_sandbox):
    return make_integration("acme", bitbucket_sandbox, organization="Acme Corporation")


@pytest.fixture
def second(other_sandbox):
    """Another integration of acme's."""
    return make_integration("acme-two", other_sandbox, organization="Acme Corporation")


@capability("login link")
def test_a_closed_link_lets_nobody_in_until_it_is_opened(staff, visitor, acme, bitbucket_sandbox):
    inside = Visitor()
    inside.log_in(acme, bitbucket_sandbox)
    page = visitor.open(login_page(acme)).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    press(staff, acme, "close-login-link")
    assert "Acme closed this login link" in text_of(visitor.open(login_page(acme)))
    refused = visitor.client.post(login_page(acme), {"csrfmiddlewaretoken": token})
    assert refused.status_code == 403
    assert "The login link is closed." in text_of(refused)
    assert inside.name == "jane"
    assert "The link is closed since" in said(staff, acme)
    press(staff, acme, "open-login-link")
    visitor.log_in(acme, bitbucket_sandbox)
    assert visitor.name == "jane"


@capability("login link")
def test_a_replaced_link_explains_itself_and_the_new_one_is_remembered(staff, visitor, acme, bitbucket_sandbox):
    press(staff, acme, "replace-login-link", confirmed="y")
    page = text_of(visitor.open(login_page(acme)))
    assert page.count("This login link was replaced") == 2, "the title and the heading"
    assert "Ask a colleague or an admin of Acme for the current login link" in page
    assert "<form" not in page
    link = re.search(r'id="login-link" value="([^"]+)"', said(staff, acme))[1]
    assert link == integrations.login_link(acme)
    assert "<form" in text_of(visitor.open(link))
    assert visitor.client.cookies["bitbucket_server_login_link"]["path"] == login_page(acme)
    visitor.log_in(acme, bitbucket_sandbox)
    assert visitor.name == "jane"
    first = acme.login_key
    press(staff, acme, "replace-login-link", confirmed="y")
    assert acme.login_key != first
    assert "This login link was replaced" in text_of(visitor.open(login_page(acme)))


def test_a_form_without_the_current_link_begins_nothing(staff, acme, bitbucket_sandbox):
    visitor = Visitor()
    page = visitor.open(login_page(acme)).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    press(staff, acme, "replace-login-link", confirmed="y")
    asked = len(bitbucket_sandbox.requests.to("/request-token"))
    for key in ("", "?key=wrong", "?key=%ff"):
        answer = visitor.client.post(login_page(acme) + key, {"csrfmiddlewaretoken": token})
        assert (answer.status_code, answer["Location"]) == (302, login_page(acme))
    assert len(bitbucket_sandbox.requests.to("/request-token")) == asked


def test_the_cookie_of_the_link_follows_the_sessions_cookie(visitor, acme):
    login_ways.replace_link(acme)
    with override_settings(SESSION_COOKIE_SECURE=True):
        cookie = visitor.open(integrations.login_link(acme)).cookies["bitbucket_server_login_link"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")


def test_the_application_url_stays_what_it_was(staff, acme):
    pair = acme.active_key_pair
    before = integrations.application_url(acme, pair.link)
    press(staff, acme, "replace-login-link", confirmed="y")
    assert integrations.application_url(acme, pair.link) == before
    assert acme.login_key not in before


def test_a_link_is_not_replaced_by_mistake(staff, acme):
    press(staff, acme, "replace-login-link")
    assert acme.login_key == ""
    assert "It still counts." in said(staff, acme)


@capability("login link")
def test_the_qr_code_holds_the_login_link(staff, acme):
    before = staff.open(f"{ADMIN}{acme.pk}/login-qr/")
    assert before["Content-Type"] == "image/svg+xml"
    assert before.content.startswith(b"<?xml")
    press(staff, acme, "replace-login-link", confirmed="y")
    assert staff.open(f"{ADMIN}{acme.pk}/login-qr/").content != before.content


@capability("enforced")
def test_an_enforced_integration_is_the_only_way_into_its_organization(
    staff, acme, second, globex, bitbucket_sandbox, other_sandbox
):
    by_acme, by_second = Visitor(), Visitor()
    by_acme.log_in(acme, bitbucket_sandbox)
    by_second.log_in(second, other_sandbox)
    assert "1 person who logs in through another one is logged out" in said(staff, acme)
    press(staff, acme, "enforce", confirmed="y")
    assert (by_acme.name, by_second.name) == ("jane", "nobody")
    page = text_of(by_second.open(login_page(second)))
    assert "Acme is the only way in." in page
    assert f'href="{login_page(acme)}"' in page
    assert "<form" not in page
    assert "so nobody can log in here" in said(staff, second)
    Visitor().log_in(globex, other_sandbox)
    Visitor().log_in(acme, bitbucket_sandbox)
    press(staff, second, "lift")
    Visitor().log_in(second, other_sandbox)
    assert happenings().count("integration.not_enforced") == 1


def test_another_one_may_take_its_place(staff, acme, second):
    Integration.objects.update(last_login_at="2026-01-01T00:00Z")
    press(staff, acme, "enforce", confirmed="y")
    press(staff, second, "enforce", confirmed="y")
    acme.refresh_from_db()
    assert (acme.enforced_at, second.enforced_at is not None) == (None, True)


@pytest.mark.parametrize(
    ("changed", "confirmed"), [({"enabled": False}, "y"), ({"last_login_at": None}, "y"), ({}, "")]
)
def test_nobody_is_locked_out_by_mistake(staff, acme, second, changed, confirmed):
    Integration.objects.update(**({"last_login_at": "2026-01-01T00:00Z"} | changed))
    press(staff, acme, "enforce", confirmed=confirmed)
    assert acme.enforced_at is None
    assert "Nothing has changed." in said(staff, acme)


@pytest.mark.parametrize("end", ["organization", "deleted"])
def test_the_only_way_ends_with_the_organization_or_the_integration(acme, second, other_sandbox, end):
    login_ways.enforce(acme)
    if end == "deleted":
        integrations.delete(acme)
    else:
        acme.organization = "Globex Corporation"
        integrations.change(acme)
    assert login_ways.enforced(second) is None
    assert "integration.not_enforced" in happenings()
    Visitor().log_in(second, other_sandbox)


def test_an_integration_without_an_organization_is_alone(staff, acme, globex):
    assert not globex.others().exists()
    assert "Only one way in" not in said(staff, globex)
    assert "Only one way in" not in said(staff, acme)


def test_who_connects_an_account_needs_no_login_link_but_an_open_way(visitor, acme, second, bitbucket_sandbox):
    visitor.log_in(acme, bitbucket_sandbox)
    login_ways.close_link(second)
    assert visitor.post("/connect/acme-two/", form_at=login_page(acme)).status_code == 303
    login_ways.open_link(second)
    login_ways.enforce(acme)
    refused = visitor.post("/connect/acme-two/", form_at=login_page(acme))
    assert (refused.status_code, newest_event().problem) == (403, "another_way_only")


def test_a_view_of_ones_own_begins_no_login_through_a_closed_link(visitor, acme):
    login_ways.close_link(acme)
    assert visitor.post("/begin/acme/", form_at="/admin/login/").status_code == 403
    assert newest_event().problem == "login_link_closed"


def test_what_was_changed_is_written_down_with_who_did_it(staff, acme):
    press(staff, acme, "close-login-link")
    press(staff, acme, "open-login-link")
    press(staff, acme, "replace-login-link", confirmed="y")
    user = str(get_user_model().objects.get().pk)
    assert [(event.what, event.user_id) for event in Event.objects.order_by("id")[2:]] == [
        ("login_link.closed", user),
        ("login_link.opened", user),
        ("login_link.replaced", user),
    ]
